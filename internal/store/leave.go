package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrMoved: the database was closed by Move: for good when the move succeeded, until Reopen when the move was killed.
var ErrMoved = errors.New("the database was moved to another place, or a move was killed: see docs/operations.md, Another database")

// ErrOlder: the database lacks migrations of this program.
var ErrOlder = errors.New("the database is of an older release: run fountain migrate first")

// ErrEnded: the move had begun its last step, so that the other place may already be the database in use.
var ErrEnded = errors.New("the move had come to its last step")

// moved and movedEnd are migration numbers that no migration has. moved is stored before a move reads the first row. It keeps every other process
// from opening the database, whose later writes would be lost. movedEnd is added before the last step, which opens the new place.
const (
	moved    = 99998
	movedEnd = 99997
)

func isMoved(migration int64) bool { return migration == moved || migration == movedEnd }

// mover is the PostgreSQL application name of a move; services use their own.
const mover = "move-store"

// leaving is a database that is being moved away and is closed to every other process.
type leaving struct {
	config Config
	db     *DB
}

// openAlone opens the database of a stopped service. It creates and migrates nothing, and does not check the release.
func openAlone(ctx context.Context, c Config) (*DB, error) {
	open := openPostgres
	if c.URL == "" {
		open = openSQLite // takes the file's lock
		if _, err := os.Stat(filepath.Join(c.Dir, c.Name+".db")); err != nil {
			return nil, err
		}
	} else {
		c.Name, c.MaxConns = mover, 0
	}
	return open(ctx, c)
}

// leave closes a database to every other process. It returns ErrLocked when a service has it open.
func leave(ctx context.Context, c Config) (*leaving, error) {
	db, err := openAlone(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", c.Name, classify(err))
	}
	s := &leaving{config: c, db: db}
	if err := s.close(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := s.alone(ctx); err != nil {
		return nil, errors.Join(err, s.stay(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// close writes the mark. Later opens are refused; connections that are already open are found by alone.
func (s *leaving) close(ctx context.Context) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		if tx.dialect == PostgreSQL { // serializes two moves, and waits for a service that is migrating
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(?)", int64(migrationLockID)); err != nil {
				return fmt.Errorf("wait for migrations: %w", err)
			}
		}
		missing, err := s.db.Standing(ctx, s.config)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return ErrOlder
		}
		if _, err := tx.Exec(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", int64(moved), true); err != nil {
			return fmt.Errorf("close database %s: %w", s.config.Name, err)
		}
		return nil
	})
}

// alone returns ErrLocked when another client is connected to a PostgreSQL database. A SQLite database is protected by the lock on its file.
func (s *leaving) alone(ctx context.Context) error {
	if s.db.dialect != PostgreSQL {
		return nil
	}
	var others []string
	err := s.db.Read(ctx).Select(ctx, &others, `SELECT DISTINCT application_name FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE 'fountain-%' AND application_name <> ? ORDER BY application_name LIMIT 10`, "fountain-"+mover)
	if err != nil {
		return fmt.Errorf("look who is connected: %w", err)
	}
	if len(others) > 0 {
		return fmt.Errorf("%w: %s is connected", ErrLocked, strings.Join(others, ", "))
	}
	return nil
}

// hold runs fn while nothing is written. On PostgreSQL a write by a client that was not seen waits for a table lock, and the client is detected at
// the end.
func (s *leaving) hold(ctx context.Context, fn func() error) error {
	if s.db.dialect != PostgreSQL {
		return fn()
	}
	return s.db.Write(ctx, func(inside context.Context, tx *Tx) error {
		names, err := tables(inside, tx)
		if err != nil {
			return err
		}
		for _, statement := range []string{
			"SET LOCAL idle_in_transaction_session_timeout = 0", "SET LOCAL lock_timeout = '5s'",
			`LOCK TABLE "` + strings.Join(names, `", "`) + `" IN SHARE MODE`, // the catalogue's own names, and those of a service
		} {
			if _, err := tx.Exec(inside, statement); err != nil {
				return fmt.Errorf("keep writers off: %w", err)
			}
		}
		if err := fn(); err != nil {
			return err
		}
		return s.alone(ctx)
	})
}

// end records that the last step begins.
func (s *leaving) end(ctx context.Context) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", int64(movedEnd), true); err != nil {
			return fmt.Errorf("note the last step of the move: %w", err)
		}
		return nil
	})
}

// stay removes the mark, so that services may open the database again, and closes it.
func (s *leaving) stay(ctx context.Context) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		_, err := tx.unmark(ctx)
		return err
	})
	return errors.Join(err, s.db.Close())
}

func (tx *Tx) unmark(ctx context.Context) (was bool, err error) {
	n, err := tx.Exec(ctx, "DELETE FROM goose_db_version WHERE version_id IN (?, ?)", int64(moved), int64(movedEnd))
	if err != nil {
		return false, fmt.Errorf("open the database again: %w", err)
	}
	return n > 0, nil
}

// Reopen lets services open a database again that Move has closed. was is false when it was not closed. The database lacks what was written to the
// other place since. Services can never open both: where the move had begun its last step, the other place must be given (ErrEnded when it is nil),
// and must be empty or hold an unfinished copy (ErrNotEmpty). ErrLocked means that a service or a move has the database open.
func Reopen(ctx context.Context, c Config, other *Config) (was bool, err error) {
	db, err := openAlone(ctx, c)
	if err != nil {
		return false, fmt.Errorf("open database %s: %w", c.Name, classify(err))
	}
	err = db.Write(ctx, func(ctx context.Context, tx *Tx) (err error) {
		if tx.dialect == PostgreSQL {
			var movers int
			if err := tx.Get(ctx, &movers, "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = ? AND pid <> pg_backend_pid()",
				"fountain-"+mover); err != nil {
				return fmt.Errorf("look who moves: %w", err)
			}
			if movers > 0 {
				return fmt.Errorf("%w: a move is at work", ErrLocked)
			}
		}
		if err := tx.onlyPlace(ctx, other); err != nil {
			return err
		}
		was, err = tx.unmark(ctx)
		return err
	})
	return was, errors.Join(err, db.Close())
}

// onlyPlace refuses to reopen a database when its other place may be in use.
func (tx *Tx) onlyPlace(ctx context.Context, other *Config) error {
	var ended int
	if err := tx.Get(ctx, &ended, "SELECT COUNT(*) FROM goose_db_version WHERE version_id = ?", int64(movedEnd)); err != nil {
		return fmt.Errorf("read how far the move had come: %w", err)
	}
	switch {
	case ended == 0:
		return nil
	case other == nil:
		return ErrEnded
	}
	return neverOpened(ctx, *other)
}

// neverOpened returns ErrNotEmpty unless the place is empty or holds an unfinished copy.
func neverOpened(ctx context.Context, c Config) error {
	err := Empty(ctx, c)
	if !errors.Is(err, ErrNotEmpty) || c.URL == "" {
		return err
	}
	db, err := Inspect(ctx, c)
	if err != nil {
		return err
	}
	if _, err = db.Standing(ctx, c); errors.Is(err, ErrUnfinished) {
		return db.Close()
	}
	return errors.Join(ErrNotEmpty, db.Close())
}
