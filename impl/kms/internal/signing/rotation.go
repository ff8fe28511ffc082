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
	// DefaultSetAge is how long a verifier may keep the key set, unless a shorter time is set.
	DefaultSetAge = 5 * time.Minute
	// MinSetAge is the shortest time that can be set. Verifiers of the family fetch a set no more often than every 10 seconds, and take one of 32 keys at the most: with keys
	// that follow each other as soon as they may, there are 20 in the set.
	MinSetAge = 30 * time.Second
	// Handover is how long before its first use every replica knows which key signs: two readings, so that all change at the same moment.
	Handover = 2 * ReloadPause
	// DefaultLife is how long a key signs.
	DefaultLife = 90 * 24 * time.Hour
	// MinLife is the shortest life that can be set.
	MinLife = time.Hour
	// TendPause is how often it is looked whether a rotation is due.
	TendPause = 30 * time.Second

	eraseAfter = time.Minute         // of retiring: a replica whose clock is behind may sign with it until then
	listedFor  = 30 * 24 * time.Hour // that keys have gone
)

// Lead is how long a key is published before it signs, where a verifier may keep the key set for setAge: whoever has a set that may still be kept has the key in it.
func Lead(setAge time.Duration) time.Duration { return 2 * setAge }

// Retention is how long a key that signs no more is published: what it signed last has expired by then, at clocks that are off, too.
func Retention(setAge time.Duration) time.Duration { return ServiceLife + 2*setAge + 2*auth.Leeway }

// Rotation changes which key signs. Every change has the turn, so that of two replicas one comes after the other.
type Rotation struct {
	DB       *store.DB
	Rows     Rows
	Ring     *Ring
	Standing *authority.Standing
	Feed     *feed.Feed
	Audit    auditlog.Log
	Clock    clock.Clock
	Life     time.Duration // for which a key signs
	SetAge   time.Duration // for which a verifier may keep the key set: the same at all replicas
}

// Rotate has the next key sign, and returns it with the time from which on. algorithm is "" or that of the key to come. While a rotation is under way it is
// state_conflict.
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

// Tend rotates when the active key has signed for its life, and erases private parts that sign no more.
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
		return nil // nothing is written where there is nothing to do
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
		if keys, err = r.Rows.SigningKeys(ctx, tx, now); err != nil { // without what was erased
			return err
		}
		_, err = r.rotate(ctx, tx, keys, "")
		return err
	})
}

// change runs what changes keys and has this replica know of it.
func (r *Rotation) change(ctx context.Context, f func(ctx context.Context, tx *store.Tx) error) error {
	if err := r.DB.Write(ctx, f); err != nil {
		return err
	}
	return r.Ring.Reload(ctx)
}

func (r *Rotation) now() time.Time { return domain.Now(r.Clock) }

// turn takes the turn and returns the keys as they stand then.
func (r *Rotation) turn(ctx context.Context, tx *store.Tx) ([]Key, error) {
	if err := r.Rows.TakeTurn(ctx, tx); err != nil {
		return nil, err
	}
	return r.Rows.SigningKeys(ctx, tx, r.now())
}

// due reports whether the active key has signed for its life and no other is named yet.
func (r *Rotation) due(keys []Key, now time.Time) bool {
	current, found := signer(keys, now)
	return found && !scheduled(keys, now) && !now.Before(current.ActiveAt.Add(r.Life))
}

// scheduled reports whether a key is named that does not sign yet.
func scheduled(keys []Key, now time.Time) bool {
	keys, _ = begun(keys, now)
	for _, k := range keys {
		if k.State(now) == Next && !k.ActiveAt.IsZero() {
			return true
		}
	}
	return false
}

// signer returns the key that signs: of several, the one that became active last.
func signer(keys []Key, now time.Time) (best Key, found bool) {
	keys, _ = begun(keys, now)
	for _, k := range keys {
		if k.State(now) == Active && (!found || k.ActiveAt.After(best.ActiveAt)) {
			best, found = k, true
		}
	}
	return best, found
}

// waiting returns the key that is published and not named yet. One of a clock that was ahead does not count.
func waiting(keys []Key, now time.Time) (Key, bool) {
	for _, k := range keys {
		if k.State(now) == Next && k.ActiveAt.IsZero() {
			return k, true
		}
	}
	return Key{}, false
}

// rotate names the key that will sign, retires the one that does at the same moment, and publishes the one after it. It is called with the turn.
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

// retire lets every other key that signs, sign no more once next does.
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

// Revoke ends a key and everything that it has signed, at once. When it signs, the next one does instead. It returns the key; one that was revoked stays as
// it is; of one whose time is over, ID tokens are no hints any more. A key that there is not is not_found.
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

// succeed sees to it that after an ending one key signs and another one waits, and returns the one that signs.
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
	case signs.KID != "" && named < 0: // the one that was to follow has ended, or an old one: it goes on
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
		return Key{}, fmt.Errorf("have another key sign: %w", err)
	}
	return signs, nil
}

// Place is where a page of keys ended.
type Place struct {
	At  time.Time `json:"at"` // when the last key was published; zero: at the beginning
	KID string    `json:"kid"`
}

const listName = "signing keys"

// List returns a page of the keys, newest first, and the cursor of the next one, or "". The reading is recorded.
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
