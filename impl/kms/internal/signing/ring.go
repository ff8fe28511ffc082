// Package signing keeps the keys that sign access tokens. A key is next (published, not used), then active (signs), then
// retiring (verifies what it has signed), then gone; which of them it is, is computed from the clock whenever it is asked for.
package signing

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
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

// EdDSA is the algorithm of the keys (RFC 8037).
const EdDSA = "EdDSA"

// Key is a signing key. A zero time is not reached.
type Key struct {
	KID, Alg                                  string
	Public                                    ed25519.PublicKey
	SealedPrivate                             []byte
	PublishedAt, ActiveAt, RetiringAt, GoneAt time.Time
}

// State is the place of a key in its life.
type State string

// The states.
const (
	Unpublished State = "unpublished"
	Next        State = "next"
	Active      State = "active"
	Retiring    State = "retiring"
	Gone        State = "gone"
)

// State returns the key's state at a time.
func (k Key) State(now time.Time) State {
	reached := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	switch {
	case reached(k.GoneAt):
		return Gone
	case reached(k.RetiringAt):
		return Retiring
	case reached(k.ActiveAt):
		return Active
	case reached(k.PublishedAt):
		return Next
	}
	return Unpublished
}

// begun returns the keys as they stand at a time. When none is active and one will be, the clock was ahead when they were made and has been
// set right since (ahead): then the one that becomes active first is active already, on every replica the same.
func begun(keys []Key, now time.Time) (_ []Key, ahead bool) {
	first := -1
	for i, k := range keys {
		switch {
		case k.State(now) == Active:
			return keys, false
		case k.ActiveAt.After(now) && (first < 0 || k.ActiveAt.Before(keys[first].ActiveAt)):
			first = i
		}
	}
	if first < 0 {
		return keys, false
	}
	keys = slices.Clone(keys)
	keys[first].PublishedAt, keys[first].ActiveAt = now, now
	return keys, true
}

// published reports whether the key belongs into the key set.
func (k Key) published(now time.Time) bool {
	s := k.State(now)
	return s == Next || s == Active || s == Retiring
}

// Thumbprint returns the RFC 7638 thumbprint of an Ed25519 key, base64url: its kid.
func Thumbprint(public ed25519.PublicKey) string {
	// The members in the order and form of RFC 8037, appendix A.3.
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(public) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Rows is what the ring asks of the database.
type Rows interface {
	// SigningKeys returns the keys that are not gone at the time, oldest first.
	SigningKeys(ctx context.Context, q store.Querier, at time.Time) ([]Key, error)
	InsertSigningKey(ctx context.Context, tx *store.Tx, k Key) error
	// Claim is true for the first who claims the name, for ever.
	Claim(ctx context.Context, tx *store.Tx, name string) (bool, error)
}

// ReloadPause is how often the keys are read again: what another replica has rotated is known by then, long before it signs. No
// request ever waits for it.
const ReloadPause = 5 * time.Second

// Ring holds the signing keys in memory. It is an auth.KeySource, safe for concurrent use.
type Ring struct {
	db     *store.DB
	rows   Rows
	sealer *seal.Keyset
	clock  clock.Clock

	mu      sync.RWMutex
	keys    []Key
	private map[string]ed25519.PrivateKey
	public  map[string]crypto.PublicKey // as Key gives them, made once: it is asked for with every token
}

// Open returns the ring; the first one ever makes an active and a next key.
func Open(ctx context.Context, db *store.DB, rows Rows, sealer *seal.Keyset, c clock.Clock) (*Ring, error) {
	r := &Ring{db: db, rows: rows, sealer: sealer, clock: c, private: map[string]ed25519.PrivateKey{}}
	err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		first, err := rows.Claim(ctx, tx, "signing keys")
		if err != nil || !first {
			return err
		}
		now := domain.Now(c)
		if err := r.create(ctx, tx, now, now); err != nil {
			return err
		}
		return r.create(ctx, tx, now, time.Time{})
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

func (r *Ring) create(ctx context.Context, tx *store.Tx, published, active time.Time) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("generate signing key: %w", err)
	}
	kid := Thumbprint(public)
	sealed, err := r.sealer.Seal(private.Seed(), []byte("signing-key:"+kid))
	if err != nil {
		return fmt.Errorf("seal signing key: %w", err)
	}
	k := Key{KID: kid, Alg: EdDSA, Public: public, SealedPrivate: sealed, PublishedAt: published, ActiveAt: active}
	if err := r.rows.InsertSigningKey(ctx, tx, k); err != nil {
		return fmt.Errorf("store signing key: %w", err)
	}
	return auditlog.Log{Clock: r.clock}.Append(ctx, tx, auditlog.Event{Action: "createSigningKey", Target: kid})
}

// load reads the keys again.
func (r *Ring) load(ctx context.Context) error {
	keys, err := r.rows.SigningKeys(ctx, r.db.Read(ctx), r.clock.Now())
	if err != nil {
		return fmt.Errorf("read signing keys: %w", err)
	}
	private, public := make(map[string]ed25519.PrivateKey, len(keys)), make(map[string]crypto.PublicKey, len(keys))
	for _, k := range keys {
		public[k.KID] = k.Public
		if len(k.SealedPrivate) == 0 {
			continue
		}
		seed, err := r.sealer.Open(k.SealedPrivate, []byte("signing-key:"+k.KID))
		if err != nil || len(seed) != ed25519.SeedSize {
			return fmt.Errorf("open signing key %s: %w", k.KID, errors.Join(err, errSeed(seed)))
		}
		private[k.KID] = ed25519.NewKeyFromSeed(seed)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys, r.private, r.public = keys, private, public
	return nil
}

func errSeed(seed []byte) error {
	if len(seed) != ed25519.SeedSize {
		return errors.New("not a seed")
	}
	return nil
}

// Reload reads the keys again: what another replica has rotated is known by then. When it fails, the keys that were read last still count.
func (r *Ring) Reload(ctx context.Context) error { return r.load(ctx) }

// Ready returns nil while there is a key that signs.
func (r *Ring) Ready() error {
	_, err := r.active()
	return err
}

// Ahead reports whether the keys were made by a clock that was ahead of the one of now, and sign all the same.
func (r *Ring) Ahead() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ahead := begun(r.keys, r.clock.Now())
	return ahead
}

// Published returns the keys that verify tokens now or will soon: the key set. When the database is away, the keys that were read
// last still count.
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

// active returns the key that signs: of several, the one that became active last.
func (r *Ring) active() (Key, error) {
	now := r.clock.Now()
	r.mu.RLock()
	defer r.mu.RUnlock()
	var best Key
	keys, _ := begun(r.keys, now)
	for _, k := range keys {
		if k.State(now) == Active && (best.KID == "" || k.ActiveAt.After(best.ActiveAt)) {
			best = k
		}
	}
	if best.KID == "" {
		return best, errors.New("no signing key is active")
	}
	return best, nil
}

// Sign signs an access token with the active key.
func (r *Ring) Sign(claims *auth.Claims) (string, error) { return r.sign(auth.TypeAccess, claims) }

// SignID signs an ID token with the active key.
func (r *Ring) SignID(claims *auth.IDClaims) (string, error) { return r.sign(auth.TypeID, claims) }

// SignVoid signs the record by which a user's second factors are void.
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
