package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"
)

// keeping opens a connection in the same way as the pools.
func keeping(t *testing.T) *keepingConn {
	t.Helper()
	base, err := sqlite.NewConnector("file:" + filepath.Join(t.TempDir(), "test.db"))
	require.NoError(t, err)
	conn, err := base.Connect(t.Context())
	require.NoError(t, err)
	c, err := newKeepingConn(conn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	c.exec(t, "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
	for i := range 3 {
		c.exec(t, "INSERT INTO things (id, name) VALUES (?, ?)", int64(i), fmt.Sprint("thing ", i))
	}
	return c
}

func values(args []any) []driver.NamedValue {
	named := make([]driver.NamedValue, len(args))
	for i, a := range args {
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return named
}

func (c *keepingConn) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	_, err := c.ExecContext(t.Context(), query, values(args))
	require.NoError(t, err)
}

func (c *keepingConn) query(t *testing.T, query string, args ...any) driver.Rows {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), query, values(args))
	require.NoError(t, err)
	return rows
}

// all reads the remaining rows and closes them.
func all(t *testing.T, rows driver.Rows) [][]driver.Value {
	t.Helper()
	var read [][]driver.Value
	for {
		row := make([]driver.Value, len(rows.Columns()))
		err := rows.Next(row)
		if errors.Is(err, io.EOF) {
			require.NoError(t, rows.Close())
			return read
		}
		require.NoError(t, err)
		read = append(read, row)
	}
}

const names = "SELECT name FROM things WHERE id >= ? ORDER BY id"

func TestStatements_areCompiledOnceAndBoundAnew(t *testing.T) {
	c := keeping(t)
	require.Equal(t, 1, c.kept.Len(), "the INSERT; a change of the schema is not kept")
	require.Len(t, all(t, c.query(t, names, int64(0))), 3)
	first, _ := c.kept.Peek(names)
	require.Len(t, all(t, c.query(t, names, int64(2))), 1)
	require.Empty(t, all(t, c.query(t, names, int64(9))))
	again, _ := c.kept.Peek(names)
	require.Same(t, first, again)
}

// A statement has one cursor. If the same text is run while its rows are read, it gets another statement.
func TestStatements_areUsedByOneAtATime(t *testing.T) {
	c := keeping(t)
	outer := c.query(t, names, int64(0))
	row := make([]driver.Value, 1)
	require.NoError(t, outer.Next(row))
	require.Len(t, all(t, c.query(t, names, int64(1))), 2)
	require.Len(t, all(t, outer), 2, "the inner rows moved nothing")
}

func TestStatements_followTheSchema(t *testing.T) {
	c := keeping(t)
	const everything = "SELECT * FROM things"
	require.Len(t, all(t, c.query(t, everything))[0], 2)
	c.exec(t, "ALTER TABLE things ADD COLUMN kind TEXT NOT NULL DEFAULT 'plain'")
	rows := c.query(t, everything)
	require.Equal(t, []string{"id", "name", "kind"}, rows.Columns())
	require.Equal(t, []driver.Value{int64(0), "thing 0", "plain"}, all(t, rows)[0])
	c.exec(t, "DROP TABLE things")
	_, err := c.QueryContext(t.Context(), everything, nil)
	require.ErrorContains(t, err, "no such table")
}

func TestStatements_thatFailAreNotKept(t *testing.T) {
	c := keeping(t)
	const insert = "INSERT INTO things (id, name) VALUES (?, ?)"
	_, err := c.ExecContext(t.Context(), insert, values([]any{int64(0), "again"}))
	require.ErrorContains(t, err, "UNIQUE")
	require.False(t, c.kept.Contains(insert))
	c.exec(t, insert, int64(7), "seven")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.QueryContext(ended, names, values([]any{int64(0)}))
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, all(t, c.query(t, names, int64(0))), 4)
}

// A statement that is evicted while its rows are read is still read to the end.
func TestStatements_areBounded(t *testing.T) {
	c := keeping(t)
	outer := c.query(t, names, int64(0))
	for i := range 2 * maxStatements {
		require.Len(t, all(t, c.query(t, fmt.Sprintf("SELECT name FROM things WHERE id = %d", i%3)+fmt.Sprintf(" AND %d = %d", i, i))), 1)
	}
	require.Equal(t, maxStatements, c.kept.Len())
	require.Len(t, all(t, outer), 3)
}

func TestRepeated_isWhatReadsAndChangesRows(t *testing.T) {
	for query, want := range map[string]bool{
		"SELECT 1": true, "\n\tINSERT INTO t": true, "UPDATE t SET": true, "DELETE FROM t": true, "WITH a AS (SELECT 1)\nSELECT 1": true,
		"BEGIN IMMEDIATE": true, "COMMIT": true, "ROLLBACK": true,
		"": false, "BEGIN": false, "PRAGMA user_version": false, "CREATE TABLE t (a)": false, "SELECT 1; DELETE FROM t": false,
	} {
		require.Equal(t, want, repeated(query), query)
	}
}

// The buffer for arguments is reused. No argument of a statement remains in it for the next one or in memory, and rows belong to the arguments of
// their own query.
func TestKeepingConn_keepsNoArguments(t *testing.T) {
	c := keeping(t)
	empty := func() {
		t.Helper()
		for _, v := range c.given[:cap(c.given)] {
			require.Zero(t, v)
		}
	}
	_, err := c.change(t.Context(), "INSERT INTO things (id, name) VALUES (?, ?), (?, ?)", []any{int64(7), "secret", int64(8), "secret too"})
	require.NoError(t, err)
	empty()
	_, err = c.change(t.Context(), "INSERT INTO things (id, name) VALUES (?, ?)", []any{int64(7), "another"})
	require.Error(t, err, "there is one")
	empty()
	var names []any
	require.NoError(t, c.selectEach(t.Context(), func(row []any) error {
		names = append(names, row[0])
		_, err := c.change(t.Context(), "UPDATE things SET name = name || ? WHERE id = ?", []any{"!", int64(0)})
		return err
	}, "SELECT name FROM things WHERE id >= ? ORDER BY id", []any{int64(2)}))
	require.Equal(t, []any{"thing 2", "secret", "secret too"}, names)
	empty()
}
