package harness

import (
	"crypto/rand"
	"database/sql"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the database/sql driver
	"github.com/stretchr/testify/require"
)

// Postgres returns the URL of a new PostgreSQL database, which is dropped after the test. FOUNTAIN_TEST_POSTGRES_URL
// names the server. If it is missing, the test is skipped, or fails if FOUNTAIN_TEST_REQUIRE contains "postgres".
func Postgres(tb testing.TB) string {
	tb.Helper()
	Own(tb, "it is about services that the test starts on databases of its own")
	server := os.Getenv("FOUNTAIN_TEST_POSTGRES_URL")
	if server == "" {
		if strings.Contains(os.Getenv("FOUNTAIN_TEST_REQUIRE"), "postgres") {
			tb.Fatal("FOUNTAIN_TEST_POSTGRES_URL is not set, and PostgreSQL is required")
		}
		tb.Skip("FOUNTAIN_TEST_POSTGRES_URL is not set")
	}
	db, err := sql.Open("pgx", server)
	require.NoError(tb, err)
	name := "e2e_" + strings.ToLower(rand.Text())
	_, err = db.Exec("CREATE DATABASE " + name)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		_, err := db.Exec("DROP DATABASE " + name + " WITH (FORCE)")
		require.NoError(tb, err)
		require.NoError(tb, db.Close())
	})
	u, err := url.Parse(server)
	require.NoError(tb, err)
	u.Path = "/" + name
	return u.String()
}

// Listen opens a loopback listener.
func Listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	return l
}
