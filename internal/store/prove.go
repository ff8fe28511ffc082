package store

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

//go:embed migrations
var migrationFiles embed.FS

// ownMigrations make the row that Prove writes. The numbers below 00010 belong to this package.
func ownMigrations() fs.FS {
	sub, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return sub
}

// recentCommit is how long a commit proves that the database can be written to.
const recentCommit = time.Second

// Prove reports whether the database does what a service that is ready promises: it commits a write, unless another was committed within
// the last second, and reads it. A SQLite file must still be the one that was opened, and its disk must have
// room. The error is ErrReplaced, ErrDamaged,
// ErrFull, or whatever else the statement met; ctx bounds it.
func (db *DB) Prove(ctx context.Context) error {
	if err := errors.Join(db.intact(), db.room()); err != nil {
		return err
	}
	now := time.Now()
	if now.UnixNano()-db.committed.Load() > int64(recentCommit) {
		err := db.Write(ctx, func(ctx context.Context, tx *Tx) error {
			_, err := tx.Exec(ctx, `INSERT INTO store_proof (id, proved_at) VALUES (1, ?)
				ON CONFLICT (id) DO UPDATE SET proved_at = excluded.proved_at`, now.UnixMicro())
			return err
		})
		if err != nil {
			return fmt.Errorf("prove that the database can be written to: %w", err)
		}
	}
	var rows int
	if err := db.Read(ctx).Get(ctx, &rows, "SELECT count(*) FROM store_proof"); err != nil {
		return fmt.Errorf("prove that the database can be read: %w", err)
	}
	return nil
}

// header is what a SQLite file begins with (SQLite file format, section 1.3.1).
const header = "SQLite format 3\x00"

// identity is the SQLite file that was opened. It stays open as long as the database: to close another descriptor of the file would drop
// SQLite's own locks on it (POSIX advisory locks belong to the process).
type identity struct {
	path string
	file *os.File
	info os.FileInfo
}

func identify(path string) (*identity, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &identity{path: path, file: file, info: info}, nil
}

// intact returns ErrReplaced when the path of a SQLite database does not lead to the file that is open, in which a commit would be lost,
// and ErrDamaged when the file does not begin as a database. It costs two system calls.
func (db *DB) intact() error {
	f := db.identity
	if f == nil {
		return nil
	}
	now, err := os.Stat(f.path)
	if err != nil || !os.SameFile(now, f.info) {
		return fmt.Errorf("%w: %w", ErrUnavailable, ErrReplaced)
	}
	var first [len(header)]byte
	if _, err := f.file.ReadAt(first[:], 0); err != nil || string(first[:]) != header {
		return ErrDamaged
	}
	return nil
}

// checkWithin bounds the look at the whole file at a start.
const checkWithin = 2 * time.Second

// quickCheck returns ErrDamaged when SQLite finds its file broken. A file that is too large for the time is said to be unchecked.
func (db *DB) quickCheck(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	var findings []string
	err := db.reader.SelectContext(bounded, &findings, "PRAGMA quick_check(1)")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case bounded.Err() != nil:
		db.log.InfoContext(ctx, "the database is too large to be checked whole at the start", "database", db.name, "limit", checkWithin)
		return nil
	case err != nil:
		return err
	case len(findings) != 1 || findings[0] != "ok":
		return fmt.Errorf("%w: quick_check found a fault", ErrDamaged)
	}
	return nil
}

// Check returns ErrDamaged when SQLite finds a fault in its file, however long the look takes. PostgreSQL has tools of its own for it: there the
// database is asked whether it answers.
func (db *DB) Check(ctx context.Context) error {
	if db.dialect == PostgreSQL {
		return db.Ping(ctx)
	}
	var findings []string
	if err := db.Read(ctx).Select(ctx, &findings, "PRAGMA quick_check(1)"); err != nil {
		return err
	}
	if len(findings) != 1 || findings[0] != "ok" {
		return fmt.Errorf("%w: quick_check found a fault", ErrDamaged)
	}
	return nil
}
