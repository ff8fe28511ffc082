// Package credential checks everything that a caller may present to the kms: API keys, access tokens, refresh tokens of clients, and
// second-factor proofs. It reports their current state; the only thing it issues is access tokens.
package credential

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/keytext"
	"github.com/fountainai/fountain/internal/ratelimit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Code is the result of checking a key.
type Code string

// The codes of a verdict.
const (
	Valid             Code = "VALID"
	NotFound          Code = "NOT_FOUND"
	Malformed         Code = "MALFORMED"
	OwnerDisabled     Code = "DISABLED"
	KeyExpired        Code = "EXPIRED"
	KeyRevoked        Code = "REVOKED"
	InsufficientScope Code = "INSUFFICIENT_SCOPE"
	RateLimited       Code = "RATE_LIMITED"
)

// Verdict is the result of checking a presented key. Key and Owner are set only when the text belongs to a key.
type Verdict struct {
	Code   Code
	Key    apikey.Key
	Owner  authority.Owner
	Scopes []string // what the key may do now: those of its scopes that its owner has too
	Rate   Rate     // only for a key with a limit
}

// Use counts the uses of a key that are not written yet.
type Use struct {
	Times int64
	Last  time.Time
}

// KeyRows are the queries of the domain.
type KeyRows interface {
	// ByHash returns the key whose hash is one of the given.
	ByHash(ctx context.Context, q store.Querier, hashes [][]byte) (apikey.Key, bool, error)
	// FirstUse records the first use of a key; false when the key is no longer valid.
	FirstUse(ctx context.Context, tx *store.Tx, id string, at time.Time) (bool, error)
	// Used adds uses of keys.
	Used(ctx context.Context, tx *store.Tx, uses map[string]Use) error
}

// Keys checks API keys.
type Keys struct {
	db     *store.DB
	rows   KeyRows
	owners authority.Owners
	pepper apikey.Pepper
	clock  clock.Clock
	log    *slog.Logger
	uses   uses

	refusals *auditlog.Refusals
	known    *known
	limiter  *ratelimit.Limiter
}

// NewKeys returns the checker of API keys. endings is this replica's view of the revocation feed.
func NewKeys(
	db *store.DB, rows KeyRows, owners authority.Owners, pepper apikey.Pepper, endings auth.Revocations,
	refusals *auditlog.Refusals, limiter *ratelimit.Limiter, c clock.Clock, log *slog.Logger,
) *Keys {
	return &Keys{
		db: db, rows: rows, owners: owners, pepper: pepper, refusals: refusals, limiter: limiter, clock: c, log: log, known: newKnown(endings),
	}
}

// Verify checks a presented key and that it has the scopes need. A valid key counts as used, and is counted against its rate limit.
func (s *Keys) Verify(ctx context.Context, text string, need []string) (Verdict, error) {
	v, err := s.check(ctx, text)
	if err != nil || v.Code != Valid {
		return v, err
	}
	if !authority.Covers(v.Scopes, need) {
		v.Code = InsufficientScope
		return v, nil
	}
	if v.Rate = s.rate(ctx, v.Key); v.Rate.Exceeded {
		v.Code = RateLimited
		return v, nil
	}
	return s.use(ctx, v)
}

// Identify checks a key for its holder, and does not count as a use. An invalid key is domain.InvalidCredentials.
func (s *Keys) Identify(ctx context.Context, text string) (Verdict, error) {
	v, err := s.check(ctx, text)
	if err == nil && v.Code != Valid {
		err = domain.Refuse(domain.InvalidCredentials, "The API key is not valid.")
	}
	return v, err
}

// Forget drops what is cached of a key that was changed, so that its next check reads its row.
func (s *Keys) Forget(keyID string) { s.known.forget(keyID) }

// Authenticate checks a key that is presented with its ID, as a client secret.
func (s *Keys) Authenticate(ctx context.Context, keyID, text string) (Verdict, error) {
	v, err := s.check(ctx, text)
	if err != nil {
		return v, err
	}
	if v.Key.ID != "" && v.Key.ID != keyID {
		return Verdict{Code: NotFound}, nil
	}
	if v.Code == Valid {
		if v.Rate = s.rate(ctx, v.Key); v.Rate.Exceeded {
			return v, domain.Refuse(domain.RateLimited, "The rate limit of the API key is exceeded.").After(v.Rate.Retry)
		}
		return s.use(ctx, v)
	}
	if v.Key.ID != "" {
		// Somebody presents the text of a key that has ended: a security event.
		err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			return s.refusals.Append(ctx, tx, auditlog.Event{
				Action: "issueToken", Actor: v.Key.Owner.ID, Kind: v.Key.Owner.Kind, Target: v.Key.ID,
				Detail: map[string]string{"security": "unusable key presented", "code": string(v.Code)},
			})
		})
		if err != nil {
			return v, fmt.Errorf("record an unusable key: %w", err)
		}
	}
	return v, nil
}

// check returns the current state of a key: the result of a check in the last second, unless the key has ended since, or that of reading its row.
func (s *Keys) check(ctx context.Context, text string) (Verdict, error) {
	if v, ok := s.known.get(text, s.clock.Now()); ok {
		return v, nil
	}
	at := s.known.begin()
	v, err := s.read(ctx, text)
	if err == nil && v.Code == Valid && !v.Key.LastUsedAt.IsZero() { // a first use must be written, so it is not cached
		s.known.put(text, v, at)
	}
	return v, err
}

func (s *Keys) read(ctx context.Context, text string) (Verdict, error) {
	keyID, ok := keytext.Parse(text)
	if !ok {
		return Verdict{Code: Malformed}, nil
	}
	hashes, err := s.pepper.Sums([]byte(text))
	if err != nil {
		return Verdict{}, fmt.Errorf("hash presented key: %w", err)
	}
	q := s.db.Read(ctx)
	k, found, err := s.rows.ByHash(ctx, q, hashes)
	if err != nil {
		return Verdict{}, fmt.Errorf("find presented key: %w", err)
	}
	if !found || k.ID != keyID {
		return Verdict{Code: NotFound}, nil
	}
	owner, found, err := s.owners.Owner(ctx, q, k.Owner, authority.Unlocked)
	if err != nil {
		return Verdict{}, fmt.Errorf("find owner of presented key: %w", err)
	}
	v := Verdict{Code: Valid, Key: k, Owner: owner, Scopes: authority.Both(k.Scopes, owner.Scopes)}
	if k.FollowsOwner {
		v.Scopes = owner.Scopes
	}
	switch status := k.Status(s.clock.Now()); {
	case status == apikey.Revoked:
		v.Code = KeyRevoked
	case status == apikey.Expired:
		v.Code = KeyExpired
	case !found || !owner.Active:
		v.Code = OwnerDisabled
	}
	return v, nil
}

// use counts a use of the key. The first use is written before the answer, because from then on the key that it replaces can't be rotated again;
// later ones are written in batches.
func (s *Keys) use(ctx context.Context, v Verdict) (Verdict, error) {
	now := domain.Now(s.clock)
	if !v.Key.LastUsedAt.IsZero() {
		s.uses.note(v.Key.ID, now)
		return v, nil
	}
	err := s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		works, err := s.rows.FirstUse(ctx, tx, v.Key.ID, now)
		if err == nil && !works {
			v.Code = KeyRevoked
		}
		return err
	})
	if err != nil {
		return v, fmt.Errorf("note first use of key: %w", err)
	}
	return v, nil
}

// uses are the uses that are not written yet.
type uses struct {
	mu sync.Mutex
	of map[string]Use
}

func (u *uses) note(keyID string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of == nil {
		u.of = map[string]Use{}
	}
	u.of[keyID] = Use{u.of[keyID].Times + 1, at}
}

func (u *uses) take() map[string]Use {
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.of
	u.of = nil
	return of
}

// Flush writes the pending uses and drops expired results of checks. Uses of a failed flush are lost: they are information, not a
// guarantee.
func (s *Keys) Flush(ctx context.Context) (err error) {
	defer tried.To(&err, "write uses of keys")
	s.known.sweep()
	of := s.uses.take()
	if len(of) == 0 {
		return nil
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return s.rows.Used(ctx, tx, of) })
}

const lastFlush = 2 * time.Second

// RunFlush waits for ctx to end, and then flushes a last time.
func (s *Keys) RunFlush(ctx context.Context) error {
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	if err := s.Flush(last); err != nil {
		s.log.WarnContext(ctx, "the times of last use of API keys could not be stored", "error", err)
	}
	return nil
}
