package store_test

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"io"
	"io/fs"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/seal"
	base "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var migrations = []fs.FS{store.Migrations, audit.Migrations, idempotency.Migrations}

// start is the first second of a step of 30 s and of 60 s.
var start = time.Unix(1_800_000_000, 0).UTC()

// world is the service on one database, with a fake clock.
type world struct {
	*factor.Service
	db    *base.DB
	now   *clock.Fake
	key   *seal.Key
	more  func() *factor.Service // one more replica
	store *store.Store
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *base.DB) {
		w := newWorld(t, open(t), seal.NewDataKey(), clock.NewFake(start))
		w.more = func() *factor.Service { return w.replica(t, open(t)) }
		f(t, w)
	})
}

func newWorld(t *testing.T, db *base.DB, key []byte, now *clock.Fake) *world {
	t.Helper()
	sealing, err := seal.FromDataKey(key)
	require.NoError(t, err)
	w := &world{db: db, now: now, key: sealing, store: newStore(t, db)}
	w.Service = w.replica(t, db)
	return w
}

func (w *world) replica(t *testing.T, db *base.DB) *factor.Service {
	t.Helper()
	return w.service(t, newStore(t, db), rand.Reader)
}

// newStore returns a store that is closed before its database.
func newStore(tb testing.TB, db *base.DB) *store.Store {
	audittest.Open(tb, db)
	s := store.New(db, store.Options{Log: slog.New(slog.DiscardHandler)})
	tb.Cleanup(s.Close)
	return s
}

func (w *world) service(t *testing.T, r factor.Repository, random io.Reader) *factor.Service {
	t.Helper()
	key, err := w.store.ProofKey(t.Context(), w.key, w.now.Now())
	require.NoError(t, err)
	s, err := factor.New(factor.Config{
		Repository: r, Authority: trusting{}, Sealer: w.key, ProofKey: key, Issuer: "FountainAI", Random: random, Clock: w.now, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	return s
}

// trusting is a kms for which every session is valid; the token of a caller is its subject.
type trusting struct{}

func (trusting) Standing(_ context.Context, token string) (factor.Standing, error) {
	return factor.Standing{Active: true, Subject: token}, nil
}

func (trusting) CheckInvitation(context.Context, string, string) (string, error) {
	return "", factor.ErrInvitation
}

func (trusting) UseInvitation(context.Context, string, string, string) error {
	return factor.ErrInvitation
}

// someone returns a caller with a session who has just signed in and used a second factor.
func someone() factor.Caller {
	subject := id.New("usr")
	return factor.Caller{Subject: subject, Token: subject, Client: "fountain", Session: "ses_1", RequestID: "req"}
}

// enrolled gives the caller an active factor, confirmed with the code of the step before the present one, and returns its seed.
func (w *world) enrolled(t *testing.T, c factor.Caller, p totp.Parameters) (factorID string, seed []byte) {
	t.Helper()
	e, err := w.Enrol(t.Context(), c, "phone", p, "", nil)
	require.NoError(t, err)
	seed = seedOf(t, e)
	_, err = w.Confirm(t.Context(), c, e.FactorID, w.code(t, seed, p, -1))
	require.NoError(t, err)
	return e.FactorID, seed
}

func seedOf(t *testing.T, e factor.Enrolment) []byte {
	t.Helper()
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret)
	require.NoError(t, err)
	return seed
}

// code returns the code of the step that is offset steps after the present one.
func (w *world) code(t *testing.T, seed []byte, p totp.Parameters, offset int64) string {
	t.Helper()
	code, err := totp.Code(seed, p, p.Step(w.now.Now())+offset)
	require.NoError(t, err)
	return code
}

// wrong returns a code of no step near now.
func (w *world) wrong(t *testing.T, seed []byte, p totp.Parameters) string {
	t.Helper()
	near := map[string]bool{}
	for offset := int64(-3); offset <= 3; offset++ {
		near[w.code(t, seed, p, offset)] = true
	}
	for _, guess := range []string{"00000000", "11111111", "22222222", "33333333", "44444444", "55555555", "66666666", "77777777"} {
		if !near[guess[:p.Digits]] {
			return guess[:p.Digits]
		}
	}
	t.Fatal("seven steps cannot hit eight guesses")
	return ""
}

func (w *world) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	require.NoError(t, w.db.Write(t.Context(), func(ctx context.Context, tx *base.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	}))
}

func (w *world) number(t *testing.T, query string, args ...any) (n int64) {
	t.Helper()
	require.NoError(t, w.db.Read(t.Context()).Get(t.Context(), &n, query, args...))
	return n
}

// events returns the audit trail, newest first, after it has checked the chain.
func (w *world) events(t *testing.T) []audit.Record {
	t.Helper()
	_, broken, err := audit.Verify(t.Context(), w.db.Read(t.Context()))
	require.NoError(t, err)
	require.Zero(t, broken)
	records, _, err := audit.List(t.Context(), w.db.Read(t.Context()), audit.Query{Limit: 1000})
	require.NoError(t, err)
	return records
}

func requireRight(t *testing.T, p factor.Proof, err error) {
	t.Helper()
	require.NoError(t, err)
	require.NotEmpty(t, p.Token)
	require.Equal(t, proof.ACR, p.ACR)
}

func requireLocked(t *testing.T, err error, why ...any) (after time.Duration) {
	t.Helper()
	var locked *factor.TooManyAttempts
	require.ErrorAs(t, err, &locked, why...)
	return locked.After
}

func requireWrong(t *testing.T, p factor.Proof, err error) {
	t.Helper()
	require.ErrorIs(t, err, factor.ErrInvalidCode)
	require.Zero(t, p)
}
