// Package storetest runs a store's tests on every supported database.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
)

// Environment variables that control the PostgreSQL half.
const (
	urlVariable     = "FOUNTAIN_TEST_POSTGRES_URL" // an administrator's URL; tools/postgres.sh start prints one
	requireVariable = "FOUNTAIN_TEST_REQUIRE"      // a list: with "postgres" in it a missing URL fails the test
)

// Each runs f as the subtest "sqlite" always, and as "postgres" when FOUNTAIN_TEST_POSTGRES_URL is set. Every subtest has a fresh database, which is
// removed afterwards. On PostgreSQL every call of open adds a replica. SQLite has no replicas: there open returns the handle that is still open, or
// opens the same file again after a Close.
func Each(t *testing.T, migrations []fs.FS, f func(t *testing.T, open func(t *testing.T) *store.DB)) {
	t.Helper()
	EachConfig(t, migrations, func(t *testing.T, c store.Config) {
		opened := &handles{config: c}
		f(t, opened.open)
	})
}

// EachConfig is Each for tests that open the database themselves, for example in a child process.
func EachConfig(t *testing.T, migrations []fs.FS, f func(t *testing.T, c store.Config)) {
	t.Helper()
	config := store.Config{Name: "test", Migrations: migrations, Log: slog.New(slog.DiscardHandler), MaxConns: 8}
	t.Run("sqlite", func(t *testing.T) {
		c := config
		c.Dir = t.TempDir()
		f(t, c)
	})
	admin := os.Getenv(urlVariable)
	if admin == "" {
		if required() {
			t.Errorf("%s demands postgres, but %s is not set", requireVariable, urlVariable)
		}
		return
	}
	t.Run("postgres", func(t *testing.T) {
		c := config
		c.URL = createDatabase(t, admin)
		f(t, c)
	})
}

// EachPair runs f for every pair of source and target kind, with two fresh databases each time.
func EachPair(t *testing.T, migrations []fs.FS, f func(t *testing.T, from, to store.Config)) {
	t.Helper()
	for _, same := range []bool{true, false} { // of the two that meet one "from", one at a time: the next one has a fresh "from"
		t.Run(map[bool]string{true: "to its kind", false: "to the other"}[same], func(t *testing.T) {
			EachConfig(t, migrations, func(t *testing.T, from store.Config) {
				EachConfig(t, migrations, func(t *testing.T, to store.Config) {
					if ((from.URL == "") == (to.URL == "")) == same {
						f(t, from, to)
					}
				})
			})
		})
	}
}

// required reports whether a test must fail when there is no server.
func required() bool {
	return slices.Contains(strings.FieldsFunc(os.Getenv(requireVariable), isSeparator), "postgres")
}

func isSeparator(r rune) bool { return r == ',' || r == ' ' }

// handles closes the databases that a test opened.
type handles struct {
	config store.Config
	last   *store.DB
}

func (h *handles) open(t *testing.T) *store.DB {
	t.Helper()
	ctx := context.Background()
	if h.last != nil && h.last.Dialect() == store.SQLite && h.last.Ping(ctx) == nil {
		return h.last
	}
	db, err := store.Open(ctx, h.config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() }) // the test may have closed it
	h.last = db
	return db
}

// PostgresConfig returns an empty database on the server of FOUNTAIN_TEST_POSTGRES_URL, which is removed after the test or benchmark. Without a
// server the test is skipped, or fails when FOUNTAIN_TEST_REQUIRE contains postgres.
func PostgresConfig(t testing.TB) store.Config {
	t.Helper()
	admin := os.Getenv(urlVariable)
	if admin == "" {
		if required() {
			t.Fatalf("%s demands postgres, but %s is not set", requireVariable, urlVariable)
		}
		t.Skip(urlVariable + " is not set")
	}
	return store.Config{Name: "test", URL: createDatabase(t, admin), Log: slog.New(slog.DiscardHandler), MaxConns: 8}
}

// createDatabase creates an empty database and returns its URL.
func createDatabase(t testing.TB, admin string) string {
	t.Helper()
	ctx := context.Background()
	random := make([]byte, 8)
	_, err := rand.Read(random)
	require.NoError(t, err)
	name := "fountain_test_" + hex.EncodeToString(random)
	run := func(statement string) {
		conn, err := pgx.Connect(ctx, admin)
		require.NoError(t, err, "connect to the test server")
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, statement)
		require.NoError(t, err)
	}
	run("CREATE DATABASE " + name + " TEMPLATE template0 ENCODING 'UTF8'")
	t.Cleanup(func() { run("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)") })
	address, err := url.Parse(admin)
	require.NoError(t, err)
	address.Path = "/" + name
	return address.String()
}
