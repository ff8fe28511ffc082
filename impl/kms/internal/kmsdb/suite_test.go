package kmsdb_test

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// noon is the time of the storage tests. Rows store the times that they are given, so no test needs a clock.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// suite is one fresh database.
type suite struct {
	*testing.T
	db *store.DB
}

// each runs f on every database.
func each(t *testing.T, f func(s suite)) {
	t.Helper()
	storetest.Each(t, []fs.FS{kmsdb.Migrations}, func(t *testing.T, open func(t *testing.T) *store.DB) {
		f(suite{t, open(t)})
	})
}

// q reads committed data.
func (s suite) q() store.Querier { return s.db.Read(s.Context()) }

// write runs f in a transaction that must succeed.
func (s suite) write(f func(ctx context.Context, tx *store.Tx) error) {
	s.Helper()
	require.NoError(s, s.db.Write(s.Context(), f))
}

// fails runs f in a transaction that must fail, and returns its error.
func (s suite) fails(f func(ctx context.Context, tx *store.Tx) error) error {
	s.Helper()
	err := s.db.Write(s.Context(), f)
	require.Error(s, err)
	return err
}

// did runs f in a transaction and returns its result.
func (s suite) did(f func(ctx context.Context, tx *store.Tx) (bool, error)) (done bool) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) (err error) {
		done, err = f(ctx, tx)
		return err
	})
	return done
}

// exec runs a statement in a transaction.
func (s suite) exec(query string, args ...any) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, query, args...)
		return err
	})
}

// number reads a number.
func (s suite) number(query string, args ...any) (n int64) {
	s.Helper()
	require.NoError(s, s.q().Get(s.Context(), &n, query, args...))
	return n
}

// restoredAt marks the database as restored at the time.
func (s suite) restoredAt(at time.Time) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) error { return kmsdb.Settings{}.MarkRestored(ctx, tx, at) })
}

// whatIsLocked returns which lock others can't take on the rows of a query after f has run in an open transaction: "none" excludes nothing, "shared" excludes
// changes, "exclusive" excludes shared locks too. SQLite has a single writer and no row locks: there it returns want.
func (s suite) whatIsLocked(want, query string, f func(ctx context.Context, tx *store.Tx) error) (locked string) {
	s.Helper()
	s.write(func(ctx context.Context, tx *store.Tx) error {
		if err := f(ctx, tx); err != nil {
			return err
		}
		if s.db.Dialect() == store.SQLite {
			locked = want
			return nil
		}
		free := func(lock string) bool {
			var rows []int64
			return s.q().Select(s.Context(), &rows, query+" FOR "+lock+" NOWAIT") == nil
		}
		switch {
		case free("UPDATE"):
			locked = "none"
		case free("SHARE"):
			locked = "shared"
		default:
			locked = "exclusive"
		}
		return nil
	})
	return locked
}

// ada returns a user; insertUser stores one.
func ada(id, name string, roles ...string) user.User {
	return user.User{ID: id, Username: name, Roles: roles, Status: user.Active, Version: 1, CreatedAt: noon, UpdatedAt: noon}
}

func (s suite) insertUser(u user.User) {
	s.Helper()
	require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
		return kmsdb.Users{}.Insert(ctx, tx, u, "hash of "+u.Username)
	}))
}

// printer returns a service; insertService stores one.
func printer(id, name string, scopes ...string) service.Service {
	return service.Service{ID: id, Name: name, Scopes: scopes, Status: user.Active, Version: 1, CreatedAt: noon, UpdatedAt: noon}
}

func (s suite) insertService(one service.Service) {
	s.Helper()
	require.True(s, s.did(func(ctx context.Context, tx *store.Tx) (bool, error) { return kmsdb.Services{}.Insert(ctx, tx, one) }))
}
