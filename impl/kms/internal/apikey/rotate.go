package apikey

import (
	"context"
	"time"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

const (
	// DefaultOverlap is how long a replaced key works where nothing else is asked for.
	DefaultOverlap = time.Hour
	// patience is how old a replacement must be before it may be taken for lost and made again: two rotations at once
	// must not both succeed, the later one killing the other's key.
	patience = time.Minute
)

// Rotation is a key and the one that it replaces.
type Rotation struct {
	Key        Key
	Text       string
	Replaces   string
	OldExpires time.Time
}

// MayRotate returns the key when the caller may replace it, before a stored answer may be told: for a key that is not the caller's own,
// raise decides; and a key replaces no stronger one beside itself (forbidden), since its holder would have that one's text.
func (s *Keys) MayRotate(ctx context.Context, q store.Querier, caller *auth.Principal, raise Raise, keyID string) (Key, error) {
	k, found, err := s.rows.Get(ctx, q, keyID)
	if err != nil {
		return Key{}, err
	}
	if !found || !mayManage(caller, k.OwnerKind, k.OwnerID) {
		return Key{}, notFound()
	}
	if foreign(caller, k.OwnerKind, k.OwnerID) {
		if err := raise(); err != nil {
			return Key{}, err
		}
	}
	if k.ID != caller.ClientID && !reaches(caller, k.Scopes) {
		return Key{}, domain.Refuse(domain.Forbidden, "The token lacks scopes of the key that it would replace.")
	}
	return k, nil
}

// Rotate replaces a key, as far as MayRotate allows: the new one has its name, owner, scopes and length of life, the old one works for the
// overlap. Only a working key that was not replaced before can be replaced (state_conflict), or one whose successor nobody has used, which
// then is revoked: an answer that was lost must not lock a client out.
func (s *Keys) Rotate(ctx context.Context, tx *store.Tx, caller *auth.Principal, raise Raise, keyID string, overlap time.Duration) (Rotation, error) {
	k, err := s.MayRotate(ctx, tx, caller, raise, keyID)
	if err != nil {
		return Rotation{}, err
	}
	return s.rotate(ctx, tx, k, overlap, "rotateApiKey")
}

// RotateCurrent replaces the key by which the caller got its token.
func (s *Keys) RotateCurrent(ctx context.Context, tx *store.Tx, caller *auth.Principal, overlap time.Duration) (Rotation, error) {
	k, found, err := s.rows.Get(ctx, tx, caller.ClientID)
	if err != nil {
		return Rotation{}, err
	}
	if !found || k.OwnerID != caller.Subject {
		return Rotation{}, conflict()
	}
	return s.rotate(ctx, tx, k, overlap, "rotateCurrentApiKey")
}

func (s *Keys) rotate(ctx context.Context, tx *store.Tx, old Key, overlap time.Duration, action string) (Rotation, error) {
	owner, found, err := s.owners.Find(ctx, tx, old.OwnerKind, old.OwnerID)
	if err != nil {
		return Rotation{}, err
	}
	if !found || !owner.Active {
		return Rotation{}, conflict()
	}
	now := domain.Now(s.clock)
	successor := old
	successor.CreatedAt, successor.ExpiresAt = now, now.Add(old.life())
	successor.LastUsedAt, successor.RevokedAt, successor.ReplacedBy = time.Time{}, time.Time{}, ""
	successor, text := successor.withText()
	done, replaced, err := s.rows.Replace(ctx, tx, old.ID, successor.ID, now, now.Add(overlap), now.Add(-patience))
	if err != nil {
		return Rotation{}, err
	}
	if !replaced {
		return Rotation{}, conflict()
	}
	if err := s.insert(ctx, tx, successor, text); err != nil {
		return Rotation{}, err
	}
	if done.Prior != "" {
		if err := s.revokeUnused(ctx, tx, done.Prior, now); err != nil {
			return Rotation{}, err
		}
	}
	detail := map[string]string{"successor": successor.ID}
	if err := s.audit.Append(ctx, tx, domain.Event{Action: action, Target: old.ID, Detail: detail}); err != nil {
		return Rotation{}, err
	}
	successor, err = s.shown(ctx, tx, successor)
	return Rotation{Key: successor, Text: text, Replaces: old.ID, OldExpires: done.OldExpires}, err
}

// revokeUnused ends a successor that was never used; one that was used is state_conflict.
func (s *Keys) revokeUnused(ctx context.Context, tx *store.Tx, keyID string, now time.Time) error {
	const reason = "replaced before it was used"
	unused, err := s.rows.RevokeUnused(ctx, tx, keyID, now, reason)
	if err != nil {
		return err
	}
	if !unused {
		return conflict()
	}
	return s.audit.Append(ctx, tx, domain.Event{Action: "revokeApiKey", Target: keyID, Detail: map[string]string{"reason": reason}})
}

// life is how long a key of this kind lives: as long as this one was to when it was made.
func (k Key) life() time.Duration {
	if k.ReplacedBy != "" {
		return DefaultLife // its end was brought forward
	}
	return min(max(k.ExpiresAt.Sub(k.CreatedAt), time.Hour), MaxLife)
}

func conflict() error {
	return domain.Refuse(domain.StateConflict, "Only a working key that was not replaced before can be replaced.")
}
