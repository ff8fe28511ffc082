package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"
)

func TestConnect_refusesAConnectionWithoutItsPragmas(t *testing.T) {
	// The spelling of another driver, which this one may ignore.
	base, err := sqlite.NewConnector("file:" + filepath.Join(t.TempDir(), "x.db") + "?_busy_timeout=5000&_sync=1")
	require.NoError(t, err)
	_, err = checkedConnector{Connector: base}.Connect(t.Context())
	require.ErrorContains(t, err, "pragma")
}

func TestConnect_checksEveryConnectionOfThePool(t *testing.T) {
	db, err := Open(t.Context(), Config{Dir: t.TempDir(), Name: "test", MaxConns: 3, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer db.Close()
	for range 3 {
		conn, err := db.reader.Connx(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		for _, p := range pragmas {
			var got string
			require.NoError(t, conn.GetContext(t.Context(), &got, "PRAGMA "+p.name))
			require.Equal(t, p.want, got, p.name)
		}
		_, err = conn.ExecContext(t.Context(), "CREATE TABLE x (id TEXT)")
		require.Error(t, err, "readers cannot write")
	}
}

func TestWrite_withAForgottenContextFailsInsteadOfHanging(t *testing.T) {
	db, err := Open(t.Context(), Config{Dir: t.TempDir(), Name: "test", Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer db.Close()
	db.wait = 10 * time.Millisecond
	outer := t.Context()
	err = db.Write(outer, func(context.Context, *Tx) error {
		return db.Write(outer, func(context.Context, *Tx) error { return nil })
	})
	require.ErrorIs(t, err, ErrUnavailable)
}

func TestClassify_knowsWhoseFaultItIs(t *testing.T) {
	for code, want := range map[string]bool{
		"08006": true, "53300": true, "57P01": true, "57P03": true, "40001": true, "40P01": true, "55P03": true, "XX001": true, "57014": true, "25006": true,
		"23505": false, "42P01": false, "22021": false,
	} {
		require.Equal(t, want, errors.Is(classify(&pgconn.PgError{Code: code}), ErrUnavailable), code)
	}
	for _, err := range []error{driver.ErrBadConn, io.ErrUnexpectedEOF, sql.ErrConnDone} {
		require.ErrorIs(t, classify(err), ErrUnavailable)
		require.ErrorIs(t, classify(err), err)
	}
	for _, err := range []error{nil, sql.ErrNoRows, context.Canceled, context.DeadlineExceeded, errors.New("other")} {
		require.Equal(t, err, classify(err))
	}
}

func TestMigrations_areSpelledForPostgreSQL(t *testing.T) {
	text := "-- BLOB and TEXT in a comment\nCREATE TABLE t (\n  id TEXT PRIMARY KEY, -- a key\n  body BLOB NOT NULL,\n  context BIGINT\n);"
	require.Equal(t, text, SQLite.spell(text))
	require.Equal(t, "-- BLOB and TEXT in a comment\nCREATE TABLE t (\n  id TEXT COLLATE \"C\" PRIMARY KEY, -- a key\n  body BYTEA NOT NULL,\n  context BIGINT\n);",
		PostgreSQL.spell(text))
}

// Rows that differ in a type, in the end of a value or in a NULL are encoded differently.
func TestAppendValue_tellsRowsApart(t *testing.T) {
	seen := map[string]int{}
	for i, row := range [][]any{
		{nil}, {""}, {[]byte{}}, {int64(0)}, {int64(1)}, {int64(-1)}, {"1"}, {[]byte("1")}, {"n"}, {"a", "b"}, {"ab", ""}, {"", "ab"}, {"a", []byte("b")}, {nil, ""}, {"", nil},
		{int64(110)}, {"\x00"}, {[]byte{0}}, {false, nil}, {nil, false},
	} {
		var text []byte
		for _, value := range row {
			var err error
			text, err = appendValue(text, value)
			require.NoError(t, err)
		}
		require.NotContains(t, seen, string(text), "rows %d and %d", seen[string(text)], i)
		seen[string(text)] = i
	}
	one, err := appendValue(nil, true)
	require.NoError(t, err)
	same, err := appendValue(nil, int64(1))
	require.NoError(t, err)
	require.Equal(t, same, one, "SQLite keeps a boolean as a number")
	_, err = appendValue(nil, 1.5)
	require.Error(t, err)
}
