package signing

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	feed "github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

const (
	// DefaultSetAge is how long a verifier may cache the key set by default.
	DefaultSetAge = 5 * time.Minute
	// MinSetAge is the shortest time that can be configured. The family's verifiers fetch a key set at most every 10 seconds, and accept at most 32 keys. With
	// keys that follow each other as fast as they may, the set has 20.
	MinSetAge = 30 * time.Second
	// Handover is how long before its first use every replica knows the next key: two reload intervals, so that all replicas switch at the same moment.
	Handover = 2 * ReloadPause
	// DefaultLife is how long a key signs.
	DefaultLife = 90 * 24 * time.Hour
	// MinLife is the shortest life that can be set.
	MinLife = time.Hour
	// TendPause is the interval between checks for a due rotation.
	TendPause = 30 * time.Second

	eraseAfter = time.Minute         // after retiring: until then a replica whose clock is behind may sign with it
	listedFor  = 30 * 24 * time.Hour // how long keys are listed after they have gone
)

// Lead is how long a key is published before it signs. setAge is how long a verifier may cache the key set: any set that may still be in use then contains
// the key.
func Lead(setAge time.Duration) time.Duration { return 2 * setAge }

// Retention is how long a key is published after it has stopped signing. By then the last token it signed has expired, also by clocks that are off.
func Retention(setAge time.Duration) time.Duration { return ServiceLife + 2*setAge + 2*auth.Leeway }

// Rotation changes which key signs. Every change first takes the turn (Rows.TakeTurn), which serialises the changes of all replicas.
type Rotation struct {
	DB       *store.DB
	Rows     Rows
	Ring     *Ring
	Standing *authority.Standing
	Feed     *feed.Feed
	Audit    auditlog.Log
	Clock    clock.Clock
	Life     time.Duration // how long a key signs
	SetAge   time.Duration // how long a verifier may cache the key set; the same at all replicas
}

// Rotate schedules the next key to sign, and returns it with its activation time. algorithm is that of the next key, or "" for no change. It fails with
// domain.StateConflict while another rotation is under way.
func (r *Rotation) Rotate(ctx context.Context, caller *auth.Principal, algorithm string) (named Key, err error) {
	defer tried.To(&err, "rotate signing key")
	err = r.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := r.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		keys, err := r.turn(ctx, tx)
		if err != nil {
			return err
		}
		if scheduled(keys, r.now()) {
			return domain.Refuse(domain.StateConflict, "A rotation is under way; the next one can begin when its key signs.")
		}
		named, err = r.rotate(ctx, tx, keys, algorithm)
		return err
	})
	return named, err
}

// Tend starts a rotation when the active key has signed for its lifetime, and erases private parts of keys that have stopped signing.
func (r *Rotation) Tend(ctx context.Context) (err error) {
	defer tried.To(&err, "tend signing keys")
	now := r.now()
	keys, err := r.Rows.SigningKeys(ctx, r.DB.Read(ctx), now)
	if err != nil {
		return err
	}
	left, err := r.Rows.Erasable(ctx, r.DB.Read(ctx), now.Add(-eraseAfter))
	if err != nil {
		return err
	}
	if !r.due(keys, now) && !left {
		return nil // no write when there is nothing to do
	}
	return r.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		keys, err := r.turn(ctx, tx)
		if err != nil {
			return err
		}
		if err := r.Rows.EraseSigningKeys(ctx, tx, now.Add(-eraseAfter)); err != nil {
			return err
		}
		if !r.due(keys, now) { // another replica was first
			return nil
		}
		if keys, err = r.Rows.SigningKeys(ctx, tx, now); err != nil { // read again without what was erased
			return err
		}
		_, err = r.rotate(ctx, tx, keys, "")
		return err
	})
}

// change runs a change of the keys in a transaction, and then reloads this replica's ring.
func (r *Rotation) change(ctx context.Context, f func(ctx context.Context, tx *store.Tx) error) error {
	if err := r.DB.Write(ctx, f); err != nil {
		return err
	}
	return r.Ring.Reload(ctx)
}

func (r *Rotation) now() time.Time { return domain.Now(r.Clock) }

// turn takes the turn and returns the current keys.
func (r *Rotation) turn(ctx context.Context, tx *store.Tx) ([]Key, error) {
	if err := r.Rows.TakeTurn(ctx, tx); err != nil {
		return nil, err
	}
	return r.Rows.SigningKeys(ctx, tx, r.now())
}

// due reports whether the active key has signed for its lifetime and no successor is scheduled.
func (r *Rotation) due(keys []Key, now time.Time) bool {
	current, found := signer(keys, now)
	return found && !scheduled(keys, now) && !now.Before(current.ActiveAt.Add(r.Life))
}

// scheduled reports whether a key has an activation time that is still to come.
func scheduled(keys []Key, now time.Time) bool {
	keys, _ = begun(keys, now)
	for _, k := range keys {
		if k.State(now) == Next && !k.ActiveAt.IsZero() {
			return true
		}
	}
	return false
}

// signer returns the active key; if there are several, the one that became active last.
func signer(keys []Key, now time.Time) (best Key, found bool) {
	keys, _ = begun(keys, now)
	for _, k := range keys {
		if k.State(now) == Active && (!found || k.ActiveAt.After(best.ActiveAt)) {
			best, found = k, true
		}
	}
	return best, found
}

// waiting returns the published key that has no activation time yet. It ignores a key that begun took for active because of a clock that was ahead.
func waiting(keys []Key, now time.Time) (Key, bool) {
	for _, k := range keys {
		if k.State(now) == Next && k.ActiveAt.IsZero() {
			return k, true
		}
	}
	return Key{}, false
}

// rotate schedules the key that will sign, retires the current one at the same moment, and publishes the key after it. The caller has the turn.
func (r *Rotation) rotate(ctx context.Context, tx *store.Tx, keys []Key, algorithm string) (Key, error) {
	now := r.now()
	if err := r.Rows.SweepSigningKeys(ctx, tx, now.Add(-listedFor)); err != nil {
		return Key{}, err
	}
	next, found := waiting(keys, now)
	current, _ := signer(keys, now)
	if algorithm == "" {
		algorithm = current.Alg
		if found {
			algorithm = next.Alg
		}
	}
	if found && next.Alg != algorithm { // it has never signed
		next.GoneAt, next.SealedPrivate, found = now, nil, false
		if err := r.Rows.UpdateSigningKey(ctx, tx, next); err != nil {
			return Key{}, err
		}
	}
	if !found {
		var err error
		if next, err = r.Ring.create(ctx, tx, algorithm, now, time.Time{}); err != nil {
			return Key{}, err
		}
	}
	next.ActiveAt = now.Add(Handover)
	if earliest := next.PublishedAt.Add(Lead(r.SetAge)); earliest.After(next.ActiveAt) {
		next.ActiveAt = earliest
	}
	if err := r.Rows.UpdateSigningKey(ctx, tx, next); err != nil {
		return Key{}, err
	}
	if err := r.retire(ctx, tx, keys, next); err != nil {
		return Key{}, err
	}
	if _, err := r.Ring.create(ctx, tx, algorithm, now, time.Time{}); err != nil {
		return Key{}, err
	}
	return next, r.Audit.Append(ctx, tx, auditlog.Event{Action: "rotateSigningKey", Target: next.KID, Detail: map[string]string{
		"replaces": current.KID, "algorithm": algorithm, "activeAt": next.ActiveAt.UTC().Format(time.RFC3339Nano),
	}})
}

// retire stops every other key that signs at the moment that next becomes active.
func (r *Rotation) retire(ctx context.Context, tx *store.Tx, keys []Key, next Key) error {
	for _, k := range keys {
		if k.KID == next.KID || k.ActiveAt.IsZero() || !k.RetiringAt.IsZero() || !k.GoneAt.IsZero() {
			continue
		}
		k.RetiringAt, k.GoneAt = next.ActiveAt, next.ActiveAt.Add(Retention(r.SetAge))
		if err := r.Rows.UpdateSigningKey(ctx, tx, k); err != nil {
			return err
		}
	}
	return nil
}

// Revoke ends a key and the validity of everything it has signed, at once. If it was the active key, the next one signs from now on. It returns the key.
// A key that was already revoked stays as it is. Revoking a key that has gone ends the use of its ID tokens as hints. An unknown key is
// domain.NotFound.
func (r *Rotation) Revoke(ctx context.Context, caller *auth.Principal, kid string) (ended Key, err error) {
	defer tried.To(&err, "revoke signing key")
	err = r.change(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := r.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		if err := r.Rows.TakeTurn(ctx, tx); err != nil {
			return err
		}
		var found bool
		if ended, found, err = r.Rows.SigningKey(ctx, tx, kid); err != nil {
			return err
		}
		if !found {
			return domain.Refuse(domain.NotFound, "There is no such signing key.")
		}
		if !ended.RevokedAt.IsZero() {
			return nil
		}
		return r.revoke(ctx, tx, &ended)
	})
	return ended, err
}

func (r *Rotation) revoke(ctx context.Context, tx *store.Tx, ended *Key) error {
	now, was := r.now(), ended.State(r.now())
	ended.RevokedAt, ended.SealedPrivate = now, nil
	if was != Gone {
		ended.GoneAt = now
	}
	if err := r.Rows.UpdateSigningKey(ctx, tx, *ended); err != nil {
		return err
	}
	keys, err := r.Rows.SigningKeys(ctx, tx, now)
	if err != nil {
		return err
	}
	signs, err := r.succeed(ctx, tx, keys, ended.Alg)
	if err != nil {
		return err
	}
	r.Feed.Append(tx, revocation.SigningKey, ended.KID, 0)
	return r.Audit.Append(ctx, tx, auditlog.Event{Action: "revokeSigningKey", Target: ended.KID, Detail: map[string]string{"state": string(was), "signs": signs.KID}})
}

// succeed ensures that after a revocation one key signs and another one is published as its successor. It returns the one that signs.
func (r *Rotation) succeed(ctx context.Context, tx *store.Tx, keys []Key, algorithm string) (signs Key, err error) {
	now := r.now()
	named, waits := -1, -1
	for i, k := range keys {
		switch k.State(now) {
		case Active:
			signs = k
		case Next:
			if k.ActiveAt.IsZero() {
				waits = i
			} else {
				named = i
			}
		}
	}
	switch {
	case signs.KID != "" && named < 0: // its successor was revoked, or an old key: the active key continues
		signs.RetiringAt, signs.GoneAt = time.Time{}, time.Time{}
		err = r.Rows.UpdateSigningKey(ctx, tx, signs)
	case signs.KID != "":
	case named >= 0 || waits >= 0:
		if named < 0 {
			named, waits = waits, -1
		}
		signs = keys[named]
		signs.ActiveAt = now
		err = r.Rows.UpdateSigningKey(ctx, tx, signs)
	default:
		signs, err = r.Ring.create(ctx, tx, algorithm, now, now)
	}
	if err == nil && waits < 0 {
		_, err = r.Ring.create(ctx, tx, signs.Alg, now, time.Time{})
	}
	if err != nil {
		return Key{}, fmt.Errorf("activate another key: %w", err)
	}
	return signs, nil
}

// Place is the position of the last key on a page.
type Place struct {
	At  time.Time `json:"at"` // when the last key was published; zero for the first page
	KID string    `json:"kid"`
}

const listName = "signing keys"

// List returns a page of the keys, newest first, and the cursor of the next page, or "". The reading is recorded in the audit trail.
func (r *Rotation) List(ctx context.Context, caller *auth.Principal, cursor string, limit int) (keys []Key, next string, err error) {
	defer tried.To(&err, "list signing keys")
	var after Place
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	err = r.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if err := r.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		if keys, err = r.Rows.ListSigningKeys(ctx, tx, after, limit+1); err != nil {
			return err
		}
		return r.Audit.Append(ctx, tx, auditlog.Event{Action: "listSigningKeys"})
	})
	if err != nil || len(keys) <= limit {
		return keys, "", err
	}
	keys = keys[:limit]
	last := keys[limit-1]
	return keys, page.Encode(listName, Place{last.PublishedAt, last.KID}), nil
}
