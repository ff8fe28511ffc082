package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// Inspect opens a database read-only, also while another process has it open: it takes no lock, creates nothing and migrates nothing. Reads fail
// where the schema is of another version than the statements expect.
func Inspect(ctx context.Context, c Config) (*DB, error) {
	if !namePattern.MatchString(c.Name) {
		return nil, errors.New("inspect database: name must be lower-case letters, digits, - and _")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	open := inspectSQLite
	if c.URL != "" {
		open = openPostgres
	}
	db, err := open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("inspect database %s: %w", c.Name, classify(err))
	}
	return db, nil
}

func inspectSQLite(ctx context.Context, c Config) (*DB, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, c.Name+".db")
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	pool, err := sqlitePool(path, 1, true)
	if err != nil {
		return nil, err
	}
	db := &DB{name: c.Name, dialect: SQLite, wait: connWait, log: c.Log, writer: pool, reader: pool}
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Settled checks the place of a database before it is opened. It returns ErrUnfinished when a restore was begun there and not finished, and
// ErrDamaged when there is a write-ahead log without its database.
func Settled(c Config) error {
	if c.URL != "" {
		return nil
	}
	return errors.Join(settled(c.Dir), noOrphanLog(filepath.Join(c.Dir, c.Name+".db")))
}

// Standing compares the migrations of an open database with those of this program. missing are the migrations that the next start applies. It returns
// ErrNewer when a newer release migrated the database, ErrUnfinished when a restore was begun and not finished, and ErrMoved when the database was
// moved away.
func (db *DB) Standing(ctx context.Context, c Config) (missing []int64, err error) {
	known, err := c.known()
	if err != nil {
		return nil, err
	}
	var applied []int64
	err = db.Read(ctx).Select(ctx, &applied, "SELECT DISTINCT version_id FROM goose_db_version WHERE is_applied AND version_id > 0 ORDER BY version_id")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	for _, n := range applied {
		switch {
		case n == unfinished:
			return nil, ErrUnfinished
		case isMoved(n):
			return nil, ErrMoved
		case !slices.Contains(known, n):
			return nil, fmt.Errorf("%w: migration %05d is unknown here", ErrNewer, n)
		}
	}
	for _, n := range known {
		if !slices.Contains(applied, n) {
			missing = append(missing, n)
		}
	}
	return missing, nil
}

// Free returns how many bytes an unprivileged process can still write to a directory's file system.
func Free(dir string) (uint64, error) {
	free, err := freeBytes(dir)
	if err != nil {
		return 0, fmt.Errorf("read the free space of %s: %w", dir, err)
	}
	return free, nil
}

// SpareDisk is how many bytes must be free in the directory of a SQLite database for its service to be ready.
const SpareDisk = spareDisk
