// Package signing manages the keys that sign access tokens. A key is next (published, but does not sign), then active (signs), then retiring (only verifies
// what it has signed), then gone. Its state is computed from the clock each time.
package signing

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// Rows are the queries of the domain.
type Rows interface {
	// SigningKeys returns the keys that are not gone at the time, oldest first.
	SigningKeys(ctx context.Context, q store.Querier, at time.Time) ([]Key, error)
	// SigningKey returns a key in any state; false when there is none.
	SigningKey(ctx context.Context, q store.Querier, kid string) (Key, bool, error)
	// ListSigningKeys returns keys in any state, newest first, starting after the given place.
	ListSigningKeys(ctx context.Context, q store.Querier, after Place, limit int) ([]Key, error)
	InsertSigningKey(ctx context.Context, tx *store.Tx, k Key) error
	// UpdateSigningKey writes the times and the sealed private part of a key. The caller has the turn.
	UpdateSigningKey(ctx context.Context, tx *store.Tx, k Key) error
	// Erasable reports whether a key that stopped signing before since still has its private part.
	Erasable(ctx context.Context, q store.Querier, since time.Time) (bool, error)
	// EraseSigningKeys erases those private parts. The caller has the turn.
	EraseSigningKeys(ctx context.Context, tx *store.Tx, since time.Time) error
	// TakeTurn locks the keys against changes by others until the transaction ends.
	TakeTurn(ctx context.Context, tx *store.Tx) error
	// SweepSigningKeys deletes the keys that were gone at the time.
	SweepSigningKeys(ctx context.Context, tx *store.Tx, at time.Time) error
	// Claim returns true for the first caller that claims the name, and false for all later ones.
	Claim(ctx context.Context, tx *store.Tx, name string) (bool, error)
}

// ReloadPause is the interval between reloads of the keys. A key that another replica has scheduled is known here long before it signs. No request
// waits for a reload.
const ReloadPause = 5 * time.Second

// Ring holds the signing keys in memory. It is an auth.KeySource, safe for concurrent use.
type Ring struct {
	db     *store.DB
	rows   Rows
	sealer *seal.Keyset
	clock  clock.Clock

	loading sync.Mutex // serialises loads, so that the latest read wins

	mu      sync.RWMutex
	keys    []Key
	private map[string]crypto.Signer
	public  map[string]crypto.PublicKey // as returned by Key; converted once, since every token needs it
}

// Open returns the ring. On the first start it creates an active and a next key.
func Open(ctx context.Context, db *store.DB, rows Rows, sealer *seal.Keyset, c clock.Clock) (*Ring, error) {
	r := &Ring{db: db, rows: rows, sealer: sealer, clock: c, private: map[string]crypto.Signer{}}
	err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		first, err := rows.Claim(ctx, tx, "signing keys")
		if err != nil || !first {
			return err
		}
		now := domain.Now(c)
		if _, err := r.create(ctx, tx, EdDSA, now, now); err != nil {
			return err
		}
		_, err = r.create(ctx, tx, EdDSA, now, time.Time{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make signing keys: %w", err)
	}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	_, err = r.active()
	return r, err
}

func (r *Ring) create(ctx context.Context, tx *store.Tx, alg string, published, active time.Time) (Key, error) {
	k, private, err := generate(alg)
	if err != nil {
		return Key{}, fmt.Errorf("generate signing key: %w", err)
	}
	if k.SealedPrivate, err = r.sealer.Seal(private, k.context()); err != nil {
		return Key{}, fmt.Errorf("seal signing key: %w", err)
	}
	k.PublishedAt, k.ActiveAt = published, active
	if err := r.rows.InsertSigningKey(ctx, tx, k); err != nil {
		return Key{}, fmt.Errorf("store signing key: %w", err)
	}
	return k, auditlog.Log{Clock: r.clock}.Append(ctx, tx, auditlog.Event{Action: "createSigningKey", Target: k.KID, Detail: map[string]string{"algorithm": alg}})
}

// load reads the keys from the database.
func (r *Ring) load(ctx context.Context) error {
	r.loading.Lock()
	defer r.loading.Unlock()
	keys, err := r.rows.SigningKeys(ctx, r.db.Read(ctx), r.clock.Now())
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	private, public := make(map[string]crypto.Signer, len(keys)), make(map[string]crypto.PublicKey, len(keys))
	for _, k := range keys {
		if public[k.KID], err = k.public(); err != nil {
			return fmt.Errorf("read signing key %s: %w", k.KID, err)
		}
		if len(k.SealedPrivate) == 0 {
			continue
		}
		raw, err := r.sealer.Open(k.SealedPrivate, k.context())
		if err != nil {
			return fmt.Errorf("open signing key %s: %w", k.KID, err)
		}
		if private[k.KID], err = k.private(raw); err != nil {
			return fmt.Errorf("open signing key %s: %w", k.KID, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.private, r.public = keys, private, public
	return nil
}

// Reload reads the keys again, to learn of changes by other replicas. When it fails, the keys read last stay in use.
func (r *Ring) Reload(ctx context.Context) error { return r.load(ctx) }

// Ready returns an error unless a key is active.
func (r *Ring) Ready() error {
	_, err := r.active()
	return err
}

// Ahead reports whether the keys were created by a clock that was ahead of the current one. They sign all the same (see begun).
func (r *Ring) Ahead() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ahead := begun(r.keys, r.clock.Now())
	return ahead
}

// Published returns the key set: the keys that verify tokens now or will soon. While the database is unavailable, these are the keys read last.
func (r *Ring) Published() []Key {
	now := r.clock.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []Key
	keys, _ := begun(r.keys, now)
	for _, k := range keys {
		if k.published(now) {
			out = append(out, k)
		}
	}
	return out
}

// Key implements auth.KeySource.
func (r *Ring) Key(_ context.Context, kid string) (string, crypto.PublicKey, error) {
	now := r.clock.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	keys, _ := begun(r.keys, now)
	for i := range keys {
		if k := &keys[i]; k.KID == kid && k.published(now) {
			return k.Alg, r.public[kid], nil
		}
	}
	return "", nil, auth.ErrUnknownKey
}

// active returns the key that signs; if several are active, the one that became active last.
func (r *Ring) active() (Key, error) {
	now := r.clock.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	best := -1
	keys, _ := begun(r.keys, now)
	for i := range keys { // a key is large, and readiness asks at each request
		if keys[i].State(now) == Active && (best < 0 || keys[i].ActiveAt.After(keys[best].ActiveAt)) {
			best = i
		}
	}
	if best < 0 {
		return Key{}, errors.New("no signing key is active")
	}
	return keys[best], nil
}

// Sign signs an access token with the active key.
func (r *Ring) Sign(claims *auth.Claims) (string, error) { return r.sign(auth.TypeAccess, claims) }

// SignID signs an ID token with the active key.
func (r *Ring) SignID(claims *auth.IDClaims) (string, error) { return r.sign(auth.TypeID, claims) }

// SignVoid signs the record that voids a user's second factors.
func (r *Ring) SignVoid(claims *auth.VoidClaims) (string, error) {
	return r.sign(auth.TypeVoid, claims)
}

func (r *Ring) sign(typ string, claims jwt.Claims) (string, error) {
	k, err := r.active()
	if err != nil {
		return "", err
	}
	r.mu.RLock()
	private := r.private[k.KID]
	r.mu.RUnlock()
	if private == nil {
		return "", fmt.Errorf("signing key %s has no private part", k.KID)
	}
	text, err := auth.Sign(typ, k.KID, k.Alg, private, claims)
	if err != nil {
		return "", fmt.Errorf("sign with key %s: %w", k.KID, err)
	}
	return text, nil
}
