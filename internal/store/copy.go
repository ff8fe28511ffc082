package store

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// CopyTo writes a consistent copy of a SQLite database, without a WAL, to a file that must not exist. The copy holds what was committed when it
// began; writers do not wait for it. On an error the file is removed. On PostgreSQL it fails: PostgreSQL has backup tools of its own.
func (db *DB) CopyTo(ctx context.Context, path string) (err error) {
	if db.dialect != SQLite {
		return errors.New("copy database: only a SQLite database is copied")
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600) // SQLite fills an empty file, and keeps its mode
	if err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	pool, err := sqlitePool(db.identity.path, 1, false) // a connection that may not write cannot write a copy either
	if err != nil {
		return fmt.Errorf("copy database: %w", err)
	}
	_, err = pool.ExecContext(ctx, "VACUUM INTO ?", path)
	if err = errors.Join(err, pool.Close()); err != nil {
		return fmt.Errorf("copy database: %w", classify(err))
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("copy database: %w", classify(err))
	}
	return nil
}
