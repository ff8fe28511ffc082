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
	"sync"
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
//
// The databases are copies of one in which the migrations have run: to run them takes longer than most tests.
func Each(t *testing.T, migrations []fs.FS, f func(t *testing.T, open func(t *testing.T) *store.DB)) {
	t.Helper()
	each(t, migrations, migrated, func(t *testing.T, c store.Config) {
		opened := &handles{config: c}
		f(t, opened.open)
	})
}

// EachConfig is Each with empty databases, for tests that open the database themselves, for example in a child process.
func EachConfig(t *testing.T, migrations []fs.FS, f func(t *testing.T, c store.Config)) {
	t.Helper()
	each(t, migrations, empty, f)
}

// each runs f with a new database of each kind, which make makes.
func each(t *testing.T, migrations []fs.FS, make func(t *testing.T, c store.Config, admin string) store.Config, f func(t *testing.T, c store.Config)) {
	t.Helper()
	config := store.Config{Name: "test", Migrations: migrations, Log: slog.New(slog.DiscardHandler), MaxConns: 8}
	t.Run("sqlite", func(t *testing.T) { f(t, make(t, config, "")) })
	admin := os.Getenv(urlVariable)
	if admin == "" {
		if required() {
			t.Errorf("%s demands postgres, but %s is not set", requireVariable, urlVariable)
		}
		return
	}
	t.Run("postgres", func(t *testing.T) { f(t, make(t, config, admin)) })
}

// empty names an empty database: on SQLite in a new directory, or on the server of admin.
func empty(t *testing.T, c store.Config, admin string) store.Config {
	if admin == "" {
		c.Dir = t.TempDir()
		return c
	}
	c.URL = createDatabase(t, admin, "template0")
	return c
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
	return store.Config{Name: "test", URL: createDatabase(t, admin, "template0"), Log: slog.New(slog.DiscardHandler), MaxConns: 8}
}

// createDatabase creates a copy of a template database, and returns its URL.
func createDatabase(t testing.TB, admin, template string) string {
	t.Helper()
	random := make([]byte, 8)
	_, err := rand.Read(random)
	require.NoError(t, err)
	name := "fountain_test_" + hex.EncodeToString(random)
	run(t, admin, "CREATE DATABASE "+name+" TEMPLATE "+template+" ENCODING 'UTF8'"+copying(t, admin))
	t.Cleanup(func() { run(t, admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return named(t, admin, name)
}

var (
	asking   sync.Mutex
	strategy = map[string]string{} // by the URL of the server
)

// copying returns how the server copies a template database. Where it does not flush its files (fsync is off, as in CI), copies of the files take a
// tenth of the time that PostgreSQL's default takes, which writes all pages to its log; where it does, they take longer.
func copying(t testing.TB, admin string) string {
	t.Helper()
	asking.Lock()
	defer asking.Unlock()
	chosen, known := strategy[admin]
	if !known {
		ctx := context.Background()
		conn, err := pgx.Connect(ctx, admin)
		require.NoError(t, err, "connect to the test server")
		defer conn.Close(ctx)
		const fast = "current_setting('fsync') = 'off' AND current_setting('server_version_num')::int >= 150000" // 15 has the clause
		require.NoError(t, conn.QueryRow(ctx, "SELECT CASE WHEN "+fast+" THEN ' STRATEGY FILE_COPY' ELSE '' END").Scan(&chosen))
		strategy[admin] = chosen
	}
	return chosen
}

// named returns the URL of a database on the server of admin.
func named(t testing.TB, admin, name string) string {
	t.Helper()
	address, err := url.Parse(admin)
	require.NoError(t, err)
	address.Path = "/" + name
	return address.String()
}

// run runs statements in one session of the administrator.
func run(t testing.TB, admin string, statements ...string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, admin)
	require.NoError(t, err, "connect to the test server")
	defer conn.Close(ctx)
	for _, statement := range statements {
		_, err = conn.Exec(ctx, statement)
		require.NoError(t, err)
	}
}
