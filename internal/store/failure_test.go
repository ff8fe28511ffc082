package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func TestOpen_saysUnavailableWithoutThePassword(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close()) // no process listens there now
	_, err = store.Open(t.Context(), store.Config{Name: "test", URL: "postgres://someone:hunter2secret@" + address + "/db"})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NotContains(t, err.Error(), "hunter2secret")

	for _, broken := range []string{"mysql://u:hunter2secret@h/db", "postgres://u:hunter2secret@h:port/db", "postgres://u:hunter2secret@h/%zz"} {
		_, err = store.Open(t.Context(), store.Config{Name: "test", URL: broken})
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2secret")
	}
}

func TestWrite_saysUnavailableWhenTheDiskIsFull(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: counters, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer db.Close()
	limit := func(pages int) {
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			var now int
			return tx.Get(ctx, &now, map[bool]string{true: "PRAGMA max_page_count = 1", false: "PRAGMA max_page_count = 1000000"}[pages == 1])
		}))
	}
	limit(1) // SQLite keeps the present size if the limit is lower
	large := make([]byte, 1<<20)
	insert := func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO counters (name, value, note) VALUES ('big', 1, ?)", large)
		return err
	}
	err = db.Write(t.Context(), insert)
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.ErrorIs(t, err, store.ErrFull)
	limit(1_000_000)
	require.NoError(t, db.Write(t.Context(), insert), "space came back, so did the service")
}

func TestDB_recoversFromALostConnection(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		if db.Dialect() == store.SQLite {
			return // no connection to lose
		}
		put(t, db, "a", 1)
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, increment(ctx, tx, "a"))
			var pid int
			require.NoError(t, tx.Get(ctx, &pid, "SELECT pg_backend_pid()"))
			var ended bool
			require.NoError(t, db.Read(t.Context()).Get(ctx, &ended, "SELECT pg_terminate_backend(?)", pid))
			return increment(ctx, tx, "a")
		})
		require.ErrorIs(t, err, store.ErrUnavailable)
		require.NoError(t, db.Ping(t.Context()))
		require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"))
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return increment(ctx, tx, "a")
		}))
	})
}

func TestErrUnavailable_isAnswered503(t *testing.T) {
	err := fmt.Errorf("load key: %w", fmt.Errorf("%w: %w", store.ErrUnavailable, net.ErrClosed))
	p := problem.From(err)
	require.Equal(t, http.StatusServiceUnavailable, p.Status())
	require.Equal(t, "1", p.Header.Get("Retry-After"))
	require.NotContains(t, p.Detail, "closed", "the cause stays in the house")
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestOpen_refusesASessionThatLosesCommits(t *testing.T) {
	storetest.EachConfig(t, counters, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // TestConnect_refusesAConnectionWithoutItsPragmas
		}
		c.URL += "&synchronous_commit=off"
		_, err := store.Open(t.Context(), c)
		require.ErrorContains(t, err, "synchronous_commit")
	})
}

func TestWrite_endsWithItsContext(t *testing.T) {
	storetest.Each(t, counters, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		put(t, db, "a", 1)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, increment(ctx, tx, "a"))
			cancel()
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.EqualValues(t, 1, value(t, db.Read(t.Context()), "a"), "not committed")
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			return increment(ctx, tx, "a")
		}), "the writer is free")
	})
}
