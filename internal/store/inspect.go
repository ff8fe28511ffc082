package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// Inspect opens a database for reading alone, beside a process that may have it open: it takes no lock, creates nothing and migrates nothing. Reads
// fail where the database is of another version than the statements.
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
