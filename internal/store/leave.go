package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrMoved: Move has closed the database, for good when it moved it, until it is opened again when it was killed.
var ErrMoved = errors.New("the database was moved to another place, or a move was killed: see docs/operations.md, Another database")

// ErrOlder: the database lacks migrations of this program.
var ErrOlder = errors.New("the database is of an older release: run fountain migrate first")

// ErrEnded: the move had come to its last step, so that the other place may be the database by now.
var ErrEnded = errors.New("the move had come to its last step")

// moved and movedEnd are numbers of migrations that nobody has. moved closes the database that a move copies, before the first row is read: what is written to it
// from then on would be lost. movedEnd is put beside it before the last step, which opens the new place.
const (
	moved    = 99998
	movedEnd = 99997
)

func isMoved(migration int64) bool { return migration == moved || migration == movedEnd }

// mover is the name under which a move is seen at PostgreSQL; services have their own.
const mover = "move-store"

// leaving is a database that is being moved away: closed for everybody else.
type leaving struct {
	config Config
	db     *DB
}

// openAlone opens the database of a service that does not run. Nothing is made, migrated or asked of its release.
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

// leave closes a database for everybody else. ErrLocked says that a service has it open.
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

// close writes the mark. Whoever opens the database afterwards is refused; who has it open already is found by alone.
func (s *leaving) close(ctx context.Context) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		if tx.dialect == PostgreSQL { // of two moves at once one is first, and a service that migrates ends that before
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

// alone returns ErrLocked when somebody else is connected to a PostgreSQL database. A SQLite database is locked by its file.
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

// hold runs fn while nobody writes. On PostgreSQL a write of somebody who was not seen waits, and is seen at the end.
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

// end notes that the last step begins.
func (s *leaving) end(ctx context.Context) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)", int64(movedEnd), true); err != nil {
			return fmt.Errorf("note the last step of the move: %w", err)
		}
		return nil
	})
}

// stay opens the database again, and lets go of it.
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

// Reopen lets services open a database again that Move has closed; false when it was not closed. What was written to the other place is not in it. Services never
// can open both: where the move had come to its last step, the other place must be named (ErrEnded when it is nil), and must be empty or hold a copy that was not
// ended (ErrNotEmpty). ErrLocked says that a service or a move has the database open.
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

// onlyPlace refuses to open a database whose other place may be open.
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

// neverOpened returns ErrNotEmpty unless a place is empty or holds a copy that was not ended.
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
