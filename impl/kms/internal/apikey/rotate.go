package apikey

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

const (
	// DefaultOverlap is how long a replaced key stays valid if nothing else is requested.
	DefaultOverlap = time.Hour
	// patience is how old a replacement must be before it may count as lost and be repeated. Otherwise two concurrent rotations could both
	// succeed, and the second would revoke the key of the first.
	patience = time.Minute
)

// Rotation is a new key and the key that it replaces.
type Rotation struct {
	Key        Key
	Text       string
	Replaces   string
	OldExpires time.Time
}

// Order has the parameters of a rotation.
type Order struct {
	Overlap   time.Duration // how long the old key stays valid
	ExpiresAt time.Time     // of the new key; zero: the lineage's lifetime, within what was granted
}

// MayRotate locks the caller's rows and the key's owner, and returns the key if the caller may replace it. With the token of another key the caller may not
// replace a stronger key, since it would learn the text of the successor.
func (s *Keys) MayRotate(ctx context.Context, tx *store.Tx, caller Caller, keyID string) (Key, authority.Held, error) {
	k, held, err := s.hold(ctx, tx, caller, authority.RotateKey, keyID)
	if err != nil {
		return Key{}, held, err
	}
	if k.ID != caller.ClientID && !authority.Reaches(caller.Principal, held.Caller, k.Scopes) {
		return Key{}, held, domain.Refuse(domain.Forbidden, "The token lacks scopes of the API key that it would rotate.")
	}
	return k, held, nil
}

// Rotate replaces a key, if MayRotate allows it. The new key has the same name, owner, scopes and lifetime; the old one stays valid for the overlap. The key
// must be valid and not yet replaced, else it is domain.StateConflict. A replacement may be repeated if its successor has never been used; that successor
// is then revoked. This way an answer that was lost does not lock a client out. The successor expires no later than what was granted to its lineage;
// a later expiry is only for a caller who could create such a key now.
func (s *Keys) Rotate(ctx context.Context, tx *store.Tx, caller Caller, keyID string, o Order) (_ Rotation, err error) {
	defer tried.To(&err, "rotate key")
	k, held, err := s.MayRotate(ctx, tx, caller, keyID)
	if err != nil {
		return Rotation{}, err
	}
	if !o.ExpiresAt.IsZero() {
		if k, err = s.renew(caller, held, k, o.ExpiresAt); err != nil {
			return Rotation{}, err
		}
	}
	owner, _ := held.Owner(k.Owner)
	return s.rotate(ctx, tx, k, owner, o, "rotateApiKey")
}

// renew sets another expiry for the key's successor. An expiry beyond what was granted requires the rights to create such a key.
func (s *Keys) renew(caller Caller, held authority.Held, k Key, expires time.Time) (Key, error) {
	now := domain.Now(s.clock)
	expires, err := s.checkExpiry(expires, now)
	if err != nil {
		return Key{}, err
	}
	k.Life = expires.Sub(now)
	if !expires.After(k.GrantedUntil) {
		return k, nil
	}
	owner, _ := held.Owner(k.Owner)
	longer := domain.Refuse(domain.Forbidden, "Only a caller in a session who could create such an API key can extend its life.")
	if err := permit(caller, held.Caller, authority.CreateKey, owner, longer); err != nil {
		return Key{}, err
	}
	if caller.SessionID == "" { // otherwise the token of a key could keep its own lineage alive forever
		return Key{}, longer
	}
	k.GrantedUntil = expires
	return k, nil
}

// RotateCurrent replaces the key that the calling service's token was issued for, within what was granted at its enrolment.
func (s *Keys) RotateCurrent(ctx context.Context, tx *store.Tx, caller Caller, overlap time.Duration) (_ Rotation, err error) {
	defer tried.To(&err, "rotate own key")
	held, err := s.standing.Hold(ctx, tx, caller.Principal, caller.ref())
	if err != nil {
		return Rotation{}, err
	}
	k, found, err := s.rows.Get(ctx, tx, caller.ClientID)
	if err != nil {
		return Rotation{}, fmt.Errorf("read key: %w", err)
	}
	if !found || k.Owner != caller.ref() {
		return Rotation{}, notRotatable()
	}
	return s.rotate(ctx, tx, k, held.Caller, Order{Overlap: overlap}, "rotateCurrentApiKey")
}

func (s *Keys) rotate(ctx context.Context, tx *store.Tx, old Key, owner authority.Owner, o Order, action string) (Rotation, error) {
	now := domain.Now(s.clock)
	if !owner.Active || !old.GrantedUntil.After(now) {
		return Rotation{}, notRotatable()
	}
	successor := old
	successor.ParentID, successor.CreatedAt, successor.ExpiresAt = old.ID, now, now.Add(old.Life)
	if successor.ExpiresAt.After(old.GrantedUntil) {
		successor.ExpiresAt = old.GrantedUntil
	}
	successor.LastUsedAt, successor.RevokedAt, successor.ReplacedBy = time.Time{}, time.Time{}, ""
	successor, text := successor.withText()
	done, replaced, err := s.rows.Replace(ctx, tx, old.ID, successor.ID, now, now.Add(o.Overlap), now.Add(-patience))
	if err != nil {
		return Rotation{}, fmt.Errorf("replace key: %w", err)
	}
	if !replaced {
		return Rotation{}, notRotatable()
	}
	if err := s.insert(ctx, tx, successor, text); err != nil {
		return Rotation{}, err
	}
	if done.Prior != "" {
		if err := s.revokeUnused(ctx, tx, done.Prior, now); err != nil {
			return Rotation{}, err
		}
	}
	detail := auditlog.Granted(map[string]string{"successor": successor.ID}, successor.Scopes, nil)
	if err := s.audit.Append(ctx, tx, auditlog.Event{Action: action, Target: old.ID, Detail: detail}); err != nil {
		return Rotation{}, fmt.Errorf("record rotation: %w", err)
	}
	if successor.FollowsOwner {
		successor.Scopes = owner.Scopes
	}
	return Rotation{Key: successor, Text: text, Replaces: old.ID, OldExpires: done.OldExpires}, nil
}

// revokeUnused revokes a successor that was never used; one that was used is domain.StateConflict.
func (s *Keys) revokeUnused(ctx context.Context, tx *store.Tx, keyID string, now time.Time) error {
	unused, err := s.rows.RevokeUnused(ctx, tx, keyID, now, "replaced before it was used")
	if err != nil {
		return fmt.Errorf("revoke unused successor: %w", err)
	}
	if !unused {
		return notRotatable()
	}
	return s.recordEnd(ctx, tx, "revokeApiKey", []string{keyID})
}

func notRotatable() error {
	return domain.Refuse(domain.StateConflict, "Only a working API key that was not rotated before can be rotated.")
}
