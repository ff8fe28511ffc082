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

// ownMigrations create the row that Prove writes. The numbers below 00010 are reserved for this package.
func ownMigrations() fs.FS {
	sub, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return sub
}

// recentCommit is for how long a commit proves that the database can be written to.
const recentCommit = time.Second

// Prove reports whether the database works as readiness promises: it commits a write, unless one was committed within the last second, and reads it.
// A SQLite file must still be the one that was opened, and its disk must have room. The error is ErrReplaced, ErrDamaged, ErrFull, or the error of
// the statement. ctx bounds the check.
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

// header is the first bytes of a SQLite file (SQLite file format, section 1.3.1).
const header = "SQLite format 3\x00"

// identity is the SQLite file that was opened. It stays open as long as the database: closing another descriptor of the file would release SQLite's
// own locks on it (POSIX advisory locks belong to the process).
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

// intact returns ErrReplaced when the path of a SQLite database no longer leads to the open file, so that commits to it would be lost, and ErrDamaged
// when the file does not begin with the header of a database. It costs two system calls.
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

// checkWithin bounds the check of the whole file at a start.
const checkWithin = 2 * time.Second

// quickCheck returns ErrDamaged when SQLite finds its file corrupt. A file that cannot be checked in time is logged as unchecked.
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

// Check returns ErrDamaged when SQLite finds its file corrupt, however long the check takes. On PostgreSQL, which has tools of its own for this, it
// only checks that the database answers.
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
