package store

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
)

// Dialect is the database behind a DB.
type Dialect string

// The two databases.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// Errors of this package.
var (
	ErrLocked      = errors.New("database is in use by another process")
	ErrNewer       = errors.New("database was migrated by a newer release")
	ErrNested      = errors.New("write inside an open write transaction")
	ErrUnavailable = errors.New("database is unavailable")
)

// Config says where one service's database is and how it is built.
type Config struct {
	URL        string  // empty: SQLite file <Dir>/<Name>.db; else postgres://...
	Dir        string  // SQLite only
	Name       string  // the service's word
	Migrations []fs.FS // *.sql at the root of each
	Log        *slog.Logger
	MaxConns   int // readers on SQLite (default 4), all connections on PostgreSQL (default 16)
}

// DB is one open database.
type DB struct{}

// Tx is an open write transaction.
type Tx struct{}

// Querier runs single statements with ? placeholders.
type Querier interface {
	// Get scans one row into dst; no row is sql.ErrNoRows.
	Get(ctx context.Context, dst any, query string, args ...any) error
	// Select scans all rows into the slice dst points to.
	Select(ctx context.Context, dst any, query string, args ...any) error
	// Exec returns how many rows were changed.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	// Dialect returns the database's dialect.
	Dialect() Dialect
}

// Open opens and migrates.
func Open(ctx context.Context, c Config) (*DB, error) { panic("being built") }

// Write runs fn in one transaction.
func (db *DB) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	panic("being built")
}

// View runs fn on one consistent snapshot.
func (db *DB) View(ctx context.Context, fn func(ctx context.Context, q Querier) error) error {
	panic("being built")
}

// Writing reports whether ctx belongs to an open Write of db.
func (db *DB) Writing(ctx context.Context) bool { panic("being built") }

// Read returns a Querier on the readers, outside any transaction.
func (db *DB) Read(ctx context.Context) Querier { panic("being built") }

// Dialect returns the database's dialect.
func (db *DB) Dialect() Dialect { panic("being built") }

// Ping tells whether the database answers.
func (db *DB) Ping(ctx context.Context) error { panic("being built") }

// Close closes the database and releases its lock.
func (db *DB) Close() error { panic("being built") }

// IsUnique reports whether err is a violated uniqueness constraint.
func IsUnique(err error) bool { panic("being built") }

// Get implements Querier.
func (tx *Tx) Get(ctx context.Context, dst any, query string, args ...any) error {
	panic("being built")
}

// Select implements Querier.
func (tx *Tx) Select(ctx context.Context, dst any, query string, args ...any) error {
	panic("being built")
}

// Exec implements Querier.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (int64, error) {
	panic("being built")
}

// Dialect implements Querier.
func (tx *Tx) Dialect() Dialect { panic("being built") }
