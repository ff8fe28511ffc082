package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// ErrNotEmpty: the target of a restore or a move already holds a database.
var ErrNotEmpty = errors.New("there is a database already")

// ErrUnfinished: a restore of the database was begun and not finished. Its content must not be used: nothing in it is marked as old.
var ErrUnfinished = errors.New("a restore was not finished: empty the places of all services but for the root key, and restore again; where fountain move-store was killed, empty this PostgreSQL database and move again")

// unfinished is a migration number that no migration has. It is stored from before the first table is created until the restore is finished, so that
// a killed restore leaves no database that a service would open.
const unfinished = 99999

// Staging is the directory beside the databases of a service in which a restore creates them. While it exists no SQLite database beside it is opened:
// the restore is running or was killed, and the databases of other services may not be in their places yet.
const Staging = ".restore"

// settled returns ErrUnfinished when a restore into the directory was begun and not finished.
func settled(dir string) error {
	staging := filepath.Join(dir, Staging)
	_, err := os.Lstat(staging)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an unfinished restore: %w", err)
	}
	return fmt.Errorf("%w (%s is there)", ErrUnfinished, staging)
}

// Knows reports whether this program contains all of these migrations.
func (c Config) Knows(numbers []int64) (bool, error) {
	known, err := c.known()
	for _, n := range numbers {
		if !slices.Contains(known, n) {
			return false, err
		}
	}
	return true, err
}

// Lacks reports whether a database with these migrations still lacks some of this program.
func (c Config) Lacks(numbers []int64) (bool, error) {
	known, err := c.known()
	for _, n := range known {
		if !slices.Contains(numbers, n) {
			return true, err
		}
	}
	return false, err
}

func (c Config) known() (numbers []int64, err error) {
	for _, part := range append(slices.Clone(c.Migrations), ownMigrations()) {
		names, err := fs.Glob(part, "*.sql")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			n, err := goose.NumericComponent(name)
			if err != nil {
				return nil, fmt.Errorf("number of migration %s: %w", name, err)
			}
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// Empty returns ErrNotEmpty when the configured place holds a database. It returns nil when the place is empty.
func Empty(ctx context.Context, c Config) error {
	if c.URL == "" {
		_, err := os.Lstat(filepath.Join(c.Dir, c.Name+".db"))
		if err == nil {
			return ErrNotEmpty
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for database %s: %w", c.Name, err)
		}
		return nil
	}
	db, err := Inspect(ctx, c)
	if err != nil {
		return err
	}
	var names []string
	err = db.Read(ctx).Select(ctx, &names, tablesOf[PostgreSQL])
	if err == nil && len(names) > 0 {
		err = ErrNotEmpty
	}
	return errors.Join(err, db.Close())
}

// Filling is a database that is being created from copied rows.
type Filling struct {
	config Config
	db     *DB
	goose  *goose.Provider
}

// Fill creates the database in an empty place with the given migrations, all of which this program knows, has fill insert its rows, and then migrates
// it to the current version. No service opens it before Finish. The caller must call Finish or Abandon on the Filling.
func Fill(ctx context.Context, c Config, migrations []int64, fill func(ctx context.Context, l *Loader) error) (*Filling, error) {
	if err := Empty(ctx, c); err != nil {
		return nil, err
	}
	open := openSQLite
	if c.URL != "" {
		open = openPostgres
	}
	db, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("make database %s: %w", c.Name, classify(err))
	}
	f := &Filling{config: c, db: db}
	if err := f.begin(ctx); err != nil {
		if c.URL != "" { // an existing database does not belong to this restore
			return nil, errors.Join(err, db.Close())
		}
		return nil, errors.Join(err, f.Abandon(context.WithoutCancel(ctx)))
	}
	if err := f.fill(ctx, migrations, fill); err != nil {
		return nil, errors.Join(err, f.Abandon(context.WithoutCancel(ctx)))
	}
	return f, nil
}

// begin creates the table of migrations with the mark in it, in one transaction: a service that starts at the same time either sees the mark, or has
// created the table itself, so that the place is not empty.
func (f *Filling) begin(ctx context.Context) error {
	dialect := goose.DialectSQLite3
	if f.db.dialect == PostgreSQL {
		dialect = goose.DialectPostgres
	}
	versions, err := database.NewStore(dialect, versionTable)
	if err != nil {
		return err
	}
	tx, err := f.db.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("note unfinished restore: %w", classify(err))
	}
	defer tx.Rollback() // does nothing after Commit
	if err := versions.CreateVersionTable(ctx, tx); err != nil {
		return fmt.Errorf("make table of migrations: %w", classify(err))
	}
	for _, n := range []int64{0, unfinished} { // goose's own first row
		if err := versions.Insert(ctx, tx, database.InsertRequest{Version: n}); err != nil {
			return fmt.Errorf("note unfinished restore: %w", classify(err))
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("note unfinished restore: %w", classify(err))
	}
	return nil
}

func (f *Filling) fill(ctx context.Context, migrations []int64, fill func(ctx context.Context, l *Loader) error) (err error) {
	if f.goose, err = f.db.provider(append(slices.Clone(f.config.Migrations), ownMigrations())); err != nil {
		return err
	}
	for _, n := range slices.Sorted(slices.Values(migrations)) {
		if _, err := f.goose.ApplyVersion(ctx, n, true); err != nil {
			return fmt.Errorf("make tables of %s: %w", f.config.Name, classify(err))
		}
	}
	err = f.db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		l := &Loader{tx: tx}
		if err := l.clear(ctx); err != nil {
			return err
		}
		return fill(ctx, l)
	})
	if err != nil {
		return err
	}
	if _, err := f.goose.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s to the present: %w", f.config.Name, classify(err))
	}
	return nil
}

// Write changes the inserted rows in one transaction.
func (f *Filling) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	return f.db.Write(ctx, fn)
}

// DB returns the database, for reading.
func (f *Filling) DB() *DB { return f.db }

// Finish removes the mark, so that services may open the database, and closes it.
func (f *Filling) Finish(ctx context.Context) error {
	err := f.db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM goose_db_version WHERE version_id = ?", unfinished)
		return err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("end restore of %s: %w", f.config.Name, err), f.db.Close())
	}
	return f.db.Close()
}

// Abandon closes the database and removes it, so that its place is empty.
func (f *Filling) Abandon(ctx context.Context) error {
	if f.config.URL == "" {
		err := f.db.Close()
		for _, end := range []string{".db", ".db-wal", ".db-shm", ".lock"} {
			if gone := os.Remove(filepath.Join(f.config.Dir, f.config.Name+end)); !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
		return err
	}
	var names []string
	err := f.db.Read(ctx).Select(ctx, &names, tablesOf[PostgreSQL])
	if err == nil && len(names) > 0 { // all tables are this restore's: the place was empty
		err = f.db.Write(ctx, func(ctx context.Context, tx *Tx) error {
			_, err := tx.Exec(ctx, `DROP TABLE "`+strings.Join(names, `", "`)+`" CASCADE`)
			return err
		})
	}
	return errors.Join(err, f.db.Close())
}

// Loader inserts copied rows into a new database.
type Loader struct{ tx *Tx }

// clear deletes the rows that migrations inserted.
func (l *Loader) clear(ctx context.Context) error {
	names, err := tables(ctx, l.tx)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		if _, err := l.tx.Exec(ctx, `DELETE FROM "`+name+`"`); err != nil {
			return fmt.Errorf("empty table %s: %w", name, err)
		}
	}
	return nil
}

// Create runs the statement that creates a table which no migration creates.
func (l *Loader) Create(ctx context.Context, statement string) error {
	_, err := l.tx.Exec(ctx, statement)
	return err
}

// Target is a table into which rows are inserted.
type Target struct {
	tx    *Tx
	table CopiedTable
	types []string // of its columns, in the order of the table's
	args  []any
	rows  int
	bytes int // of the values in args
}

// maxPlaceholders keeps a statement below the limits of both databases. rowsPerStatement keeps it short enough to be read. bytesPerInsert bounds the
// memory for pending values: at most this and one row.
const (
	maxPlaceholders  = 8000
	rowsPerStatement = 200
	bytesPerInsert   = 4 << 20
)

// Into returns the target for a table, which must exist with exactly these columns.
func (l *Loader) Into(ctx context.Context, t CopiedTable) (*Target, error) {
	if err := t.valid(); err != nil {
		return nil, err
	}
	found, err := columns(ctx, l.tx, t.Name)
	if err != nil {
		return nil, err
	}
	types := make([]string, len(t.Columns))
	for i, name := range t.Columns {
		at := slices.IndexFunc(found, func(c column) bool { return c.Name == name })
		if at < 0 {
			return nil, fmt.Errorf("table %s has no column %s", t.Name, name)
		}
		types[i] = found[at].Type
	}
	if len(found) != len(t.Columns) {
		return nil, fmt.Errorf("table %s has other columns than those that were copied", t.Name)
	}
	return &Target{tx: l.tx, table: t, types: types}, nil
}

// Add adds a row. It is in the database after Flush.
func (t *Target) Add(ctx context.Context, row []any) error {
	if len(row) != len(t.types) {
		return fmt.Errorf("a row of %s has %d values", t.table.Name, len(row))
	}
	for i, value := range row {
		t.args = append(t.args, fit(value, t.types[i]))
		switch v := value.(type) {
		case string:
			t.bytes += len(v)
		case []byte:
			t.bytes += len(v)
		}
	}
	t.rows++
	if t.rows >= rowsPerStatement || len(t.args)+len(row) > maxPlaceholders || t.bytes > bytesPerInsert {
		return t.Flush(ctx)
	}
	return nil
}

// fit converts a value to the type of its column: SQLite stores values of any type in any column.
func fit(value any, kind string) any {
	switch v := value.(type) {
	case string:
		if kind == "bytea" || kind == "blob" {
			return []byte(v)
		}
	case []byte:
		if kind == "text" {
			return string(v)
		}
	case int64:
		if kind == "boolean" { // of either database
			return v != 0
		}
	}
	return value
}

// Flush inserts the pending rows.
func (t *Target) Flush(ctx context.Context) error {
	if t.rows == 0 {
		return nil
	}
	one := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(t.types)), ", ") + ")"
	all := strings.TrimSuffix(strings.Repeat(one+", ", t.rows), ", ")
	_, err := t.tx.Exec(ctx, `INSERT INTO "`+t.table.Name+`" (`+t.table.columnList()+") VALUES "+all, t.args...)
	clear(t.args) // releases the values
	t.args, t.rows, t.bytes = t.args[:0], 0, 0
	if err != nil {
		return fmt.Errorf("put rows into %s: %w", t.table.Name, err)
	}
	return nil
}
