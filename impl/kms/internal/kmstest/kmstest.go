// Package kmstest builds the kms's domain for tests, on a real database with a fake clock.
package kmstest

import (
	"context"
	"io/fs"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/password"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/impl/kms/internal/role"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
)

// Issuer is the issuer of tokens in tests.
const Issuer = "https://kms.example"

// Password is a password that the rules accept.
const Password = "quiet amber lanterns over water"

// Parts are the dependencies of the domain packages, on a fresh SQLite database.
type Parts struct {
	*testing.T
	DB        *store.DB
	Clock     *clock.Fake
	Standing  *authority.Standing
	Feed      *revocation.Feed
	Catalogue *authority.Catalogue
	Hasher    *password.Hasher
	Users     *user.Users
}

// New returns new Parts; the database is closed after the test.
func New(t *testing.T) *Parts {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{
		Dir: t.TempDir(), Name: "kms", Log: slog.New(slog.DiscardHandler), Migrations: []fs.FS{audit.Migrations, kmsdb.Migrations},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return On(t, db)
}

// On returns Parts on an empty database with the tables of the kms and of the audit trail.
func On(t *testing.T, db *store.DB) *Parts {
	t.Helper()
	audittest.Open(t, db)
	c := clock.NewFake(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	contracts, err := contract.LoadAll()
	require.NoError(t, err)
	catalogue, err := authority.NewCatalogue(Issuer, contracts)
	require.NoError(t, err)
	feed, err := revocation.Open(t.Context(), db, kmsdb.Revocations{}, c, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	p := &Parts{T: t, DB: db, Clock: c, Standing: &authority.Standing{Rows: kmsdb.Standing{}, Clock: c}, Feed: feed, Catalogue: catalogue, Hasher: password.NewHasher()}
	roles := &role.Roles{DB: db, Rows: kmsdb.Roles{}, Users: kmsdb.Users{}, Standing: p.Standing, Catalogue: catalogue, Feed: feed, Clock: c}
	p.Users = user.New(db, kmsdb.Users{}, roles, p.Standing, feed, p.Hasher, c)
	return p
}

// Write runs f in a transaction that must succeed.
func (p *Parts) Write(f func(ctx context.Context, tx *store.Tx) error) {
	p.Helper()
	require.NoError(p, p.DB.Write(p.Context(), f))
}

// First creates the first administrator, with Password.
func (p *Parts) First(username string) (made user.Created) {
	p.Helper()
	draft, err := p.Users.Draft(p.Context(), username, Password, "", []string{authority.RoleAdmin})
	require.NoError(p, err)
	p.Write(func(ctx context.Context, tx *store.Tx) (err error) {
		made, err = p.Users.CreateFirst(ctx, tx, draft)
		return err
	})
	return made
}

// Service creates an active service.
func (p *Parts) Service(name string) service.Service {
	p.Helper()
	now := domain.Now(p.Clock)
	s := service.Service{ID: id.New("svc"), Name: name, Status: user.Active, Version: 1, CreatedAt: now, UpdatedAt: now}
	p.Write(func(ctx context.Context, tx *store.Tx) error {
		_, err := kmsdb.Services{}.Insert(ctx, tx, s)
		return err
	})
	return s
}

// Caller returns the user as the principal of a new session's token.
func (p *Parts) Caller(userID string) *auth.Principal {
	p.Helper()
	now := domain.Now(p.Clock)
	f := session.Family{ID: id.New("ses"), UserID: userID, ClientID: "fountain", AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(7 * 24 * time.Hour)}
	p.Write(func(ctx context.Context, tx *store.Tx) error { return kmsdb.Sessions{}.InsertFamily(ctx, tx, f) })
	owner, found, err := p.Standing.Rows.Owner(p.Context(), p.DB.Read(p.Context()), authority.Ref{Kind: auth.KindUser, ID: userID}, authority.Unlocked)
	require.NoError(p, err)
	require.True(p, found)
	return &auth.Principal{
		Subject: userID, Kind: auth.KindUser, Username: owner.Name, ClientID: f.ClientID, SessionID: f.ID, TokenID: id.New("tok"), Epoch: owner.Epoch,
		Scopes: owner.Scopes, Roles: owner.Roles, ACR: contract.ACRPassword, AMR: []string{"pwd"},
	}
}

// Live reports whether the caller's session, key and owner are still valid.
func (p *Parts) Live(caller *auth.Principal) bool {
	p.Helper()
	err := p.DB.Write(p.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := p.Standing.Hold(ctx, tx, caller)
		return err
	})
	if err != nil {
		require.ErrorIs(p, err, domain.Ended)
	}
	return err == nil
}
