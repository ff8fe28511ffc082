// Package store opens the one database of a service, SQLite or PostgreSQL, and runs statements on it. It knows no table.
//
// Queries are written once for both databases: ? marks a placeholder and stands for nothing else, times are BIGINT unix
// microseconds, and a guarantee is one statement (UPDATE ... WHERE ... RETURNING), never a check followed by a write.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/fountainai/fountain/internal/tracing"
)

// Dialect is the kind of database behind a DB, for the few statements that must differ.
type Dialect string

// The two databases.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// systems are the databases' names in OpenTelemetry (semantic conventions, db.system.name).
var systems = map[Dialect]string{SQLite: "sqlite", PostgreSQL: "postgresql"}

// Config says where a service's database is and how to open it.
type Config struct {
	URL        string       // empty: the SQLite file <Dir>/<Name>.db; else postgres://...
	Dir        string       // SQLite: created with mode 0700 when absent
	Name       string       // the service's word: file name and PostgreSQL application name
	Migrations []fs.FS      // each holds NNNNN_name.sql files at its root; the numbers are unique over all of them and begin at 00010
	Log        *slog.Logger // default slog.Default
	MaxConns   int          // SQLite: readers (default 4); PostgreSQL: all connections (default 16)
	Tracer     *tracing.Tracer
}

// DB is one open database.
type DB struct {
	name    string
	dialect Dialect
	writer  *sqlx.DB
	reader  *sqlx.DB      // PostgreSQL: the same pool as writer
	wait    time.Duration // for a free connection
	endWait time.Duration // for the end of a transaction, on PostgreSQL
	unlock  func() error
	log     *slog.Logger
	traced  *tracing.Database // nil: statements have no spans

	identity  *identity    // SQLite: the file that is open
	emptying  emptying     // SQLite: the write-ahead log, after what was erased
	committed atomic.Int64 // unix nanoseconds of the last commit
	attached  sync.Map     // values of other packages, by key
}

// Attach stores a value with the database, which all its transactions can read (Tx.Attached). The key's type must be the caller's own.
func (db *DB) Attach(key, value any) { db.attached.Store(key, value) }

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// Open opens the database, creates it when it is a SQLite file that does not exist, and migrates it. It returns ErrLocked when another process has a
// SQLite database open, ErrNewer when a newer release has migrated it, ErrDamaged when a SQLite file is corrupt, ErrFull when the disk has no room
// for it, and ErrUnavailable when it does not answer.
func Open(ctx context.Context, c Config) (*DB, error) {
	if !namePattern.MatchString(c.Name) {
		return nil, errors.New("open database: name must be lower-case letters, digits, - and _")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	open := openSQLite
	if c.URL != "" {
		open = openPostgres
	}
	db, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", c.Name, classify(err))
	}
	db.traced = c.Tracer.Database(systems[db.dialect], c.Name)
	if err := db.migrate(ctx, append(slices.Clone(c.Migrations), ownMigrations())); err != nil {
		return nil, errors.Join(fmt.Errorf("migrate database %s: %w", c.Name, classify(err)), db.Close())
	}
	return db, nil
}

// Dialect returns the database's dialect.
func (db *DB) Dialect() Dialect { return db.dialect }

// Ping returns ErrUnavailable when the database does not answer a query.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	return db.Read(ctx).Get(ctx, &one, "SELECT 1")
}

// Close waits for running statements, closes the database and releases its lock.
func (db *DB) Close() error {
	var errs []error
	db.emptying.end()
	if db.reader != nil && db.reader != db.writer {
		errs = append(errs, db.reader.Close())
	}
	if db.writer != nil { // nil: it was never opened
		errs = append(errs, db.writer.Close())
	}
	if db.identity != nil {
		errs = append(errs, db.identity.file.Close())
	}
	if db.unlock != nil {
		errs = append(errs, db.unlock())
	}
	return errors.Join(errs...)
}

// connWait bounds how long a statement waits for a free connection, so that a hanging writer makes the service unavailable instead of blocking its
// callers for ever.
const connWait = 10 * time.Second

// conn takes a connection from the pool; the caller closes it.
func (db *DB) conn(ctx context.Context, pool *sqlx.DB) (*sqlx.Conn, error) {
	wait, cancel := context.WithTimeout(ctx, db.wait)
	defer cancel()
	conn, err := pool.Connx(wait)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, fmt.Errorf("%w: no connection became free within %s", ErrUnavailable, db.wait)
	}
	return conn, classify(err)
}

// ensureDir creates the data directory with access for its owner only.
func ensureDir(dir string) error {
	if dir == "" {
		return errors.New("a SQLite database needs a directory")
	}
	return os.MkdirAll(dir, 0o700)
}
