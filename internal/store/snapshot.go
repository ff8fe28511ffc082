package store

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Snapshot is a consistent state of a database, for copying. It contains every transaction that was committed before the snapshot began, and no part
// of any other.
type Snapshot struct{ tx *Tx }

// CopiedTable is a table of a snapshot. The names are those of the database.
type CopiedTable struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// Snapshot runs fn on one state of the database, that at the call or a later one. It blocks no writer, and has no time limit.
func (db *DB) Snapshot(ctx context.Context, fn func(ctx context.Context, s *Snapshot) error) error {
	return db.View(ctx, func(ctx context.Context, q Querier) error {
		view, ok := q.(readOnly)
		if !ok {
			return ErrNested
		}
		if q.Dialect() == PostgreSQL { // other services are copied at the same time
			if _, err := view.Tx.Exec(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
				return fmt.Errorf("begin snapshot: %w", err)
			}
		}
		var rows int
		if err := q.Get(ctx, &rows, "SELECT COUNT(*) FROM goose_db_version"); err != nil { // the first statement takes the snapshot
			return fmt.Errorf("begin snapshot: %w", err)
		}
		return fn(ctx, &Snapshot{view.Tx})
	})
}

// Querier returns a Querier that reads the snapshot.
func (s *Snapshot) Querier() Querier { return readOnly{s.tx} }

// Migrations returns the numbers of the applied migrations in ascending order. ErrMoved and ErrUnfinished mean that the content must not be used.
func (s *Snapshot) Migrations(ctx context.Context) (numbers []int64, err error) {
	if numbers, err = s.applied(ctx); err != nil {
		return nil, err
	}
	switch {
	case slices.Contains(numbers, unfinished):
		return nil, ErrUnfinished
	case slices.Contains(numbers, moved):
		return nil, ErrMoved
	}
	return numbers, nil
}

func (s *Snapshot) applied(ctx context.Context) (numbers []int64, err error) {
	err = s.tx.Select(ctx, &numbers, "SELECT DISTINCT version_id FROM goose_db_version WHERE is_applied AND version_id > 0 ORDER BY version_id")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return numbers, nil
}

// versionTable is goose's table. It is filled by migrating, never copied.
const versionTable = "goose_db_version"

var identifier = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// tablesOf and columnsOf are queries of the catalogue. A reference is a pair of a table and a table that it references.
var (
	tablesOf = map[Dialect]string{
		SQLite:     "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
		PostgreSQL: "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename",
	}
	columnsOf = map[Dialect]string{
		SQLite: "SELECT name, lower(type) AS type FROM pragma_table_info(?) ORDER BY cid",
		PostgreSQL: `SELECT column_name AS name, data_type AS type FROM information_schema.columns
			WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position`,
	}
	referencesOf = map[Dialect]string{
		SQLite: `SELECT m.name AS child, f."table" AS parent FROM sqlite_master m, pragma_foreign_key_list(m.name) f WHERE m.type = 'table'`,
		PostgreSQL: `SELECT child.relname AS child, parent.relname AS parent FROM pg_constraint c JOIN pg_class child ON child.oid = c.conrelid
			JOIN pg_class parent ON parent.oid = c.confrelid WHERE c.contype = 'f' AND c.connamespace = current_schema()::regnamespace`,
	}
)

type column struct{ Name, Type string }

func columns(ctx context.Context, q Querier, table string) (out []column, err error) {
	if err := q.Select(ctx, &out, columnsOf[q.Dialect()], table); err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", table, err)
	}
	return out, nil
}

// tables returns the names of all tables except goose's, each after the tables that it references.
func tables(ctx context.Context, q Querier) ([]string, error) {
	var names []string
	if err := q.Select(ctx, &names, tablesOf[q.Dialect()]); err != nil {
		return nil, fmt.Errorf("read names of tables: %w", err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == versionTable })
	var references []struct{ Child, Parent string }
	if err := q.Select(ctx, &references, referencesOf[q.Dialect()]); err != nil {
		return nil, fmt.Errorf("read references of tables: %w", err)
	}
	parents := map[string][]string{}
	for _, r := range references {
		parents[r.Child] = append(parents[r.Child], r.Parent)
	}
	var ordered []string
	var visit func(name string)
	seen := map[string]bool{}
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, parent := range parents[name] {
			visit(parent)
		}
		ordered = append(ordered, name)
	}
	for _, name := range names {
		visit(name)
	}
	return ordered, nil
}

// Tables returns the tables to copy, each after the tables that it references.
func (s *Snapshot) Tables(ctx context.Context) (out []CopiedTable, err error) {
	names, err := tables(ctx, s.tx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		found, err := columns(ctx, s.tx, name)
		if err != nil {
			return nil, err
		}
		t := CopiedTable{Name: name}
		for _, c := range found {
			t.Columns = append(t.Columns, c.Name)
		}
		if err := t.valid(); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// valid refuses names that could be anything else than an identifier in a statement.
func (t CopiedTable) valid() error {
	if !identifier.MatchString(t.Name) || len(t.Columns) == 0 || slices.ContainsFunc(t.Columns, func(c string) bool { return !identifier.MatchString(c) }) {
		return fmt.Errorf("table %q has a name that can't be copied", t.Name)
	}
	return nil
}

func (t CopiedTable) columnList() string { return `"` + strings.Join(t.Columns, `", "`) + `"` }

// Each calls do with every row of a table. A value is nil, an int64 (0 or 1 for a boolean), a string or bytes; do may keep it.
func (s *Snapshot) Each(ctx context.Context, t CopiedTable, do func(row []any) error) error {
	return s.each(ctx, t, "", do)
}

func (s *Snapshot) each(ctx context.Context, t CopiedTable, order string, do func(row []any) error) error {
	rows, err := s.tx.session.QueryxContext(ctx, "SELECT "+t.columnList()+` FROM "`+t.Name+`"`+order) // the names were checked by valid
	if err != nil {
		return fmt.Errorf("read table %s: %w", t.Name, classify(err))
	}
	defer rows.Close()
	for rows.Next() {
		row, err := rows.SliceScan()
		if err != nil {
			return fmt.Errorf("read row of %s: %w", t.Name, classify(err))
		}
		for i, value := range row {
			switch v := value.(type) {
			case bool:
				row[i] = int64(0)
				if v {
					row[i] = int64(1)
				}
			case []byte:
				if v == nil { // of SQLite, no bytes: it would be written as NULL
					row[i] = []byte{}
				}
			}
		}
		if err := do(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read table %s: %w", t.Name, classify(err))
	}
	return nil
}
