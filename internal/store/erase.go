package store

import (
	"context"
	"fmt"
)

// Remains says where in the database's files what was erased may still lie.
type Remains struct {
	Log  bool // the write-ahead log
	Free bool // pages or rows that are free
}

// Erase is Write for changes that must leave nothing behind of what they overwrite or delete. On SQLite freed bytes are overwritten and the
// write-ahead log is emptied, unless a reader holds it (Remains.Log). On PostgreSQL old rows lie there until a vacuum, and in the log until it is
// recycled: both remain.
func (db *DB) Erase(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (Remains, error) {
	if db.dialect != SQLite {
		return Remains{Log: true, Free: true}, db.Write(ctx, fn)
	}
	err := db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		if _, err := tx.Exec(ctx, "PRAGMA secure_delete = ON"); err != nil {
			return fmt.Errorf("have freed bytes overwritten: %w", err)
		}
		if err := fn(ctx, tx); err != nil {
			return err
		}
		// What is freed is overwritten when it is freed; later changes need not pay for it. After an error it stays on, which costs and harms nothing.
		if _, err := tx.Exec(ctx, "PRAGMA secure_delete = OFF"); err != nil {
			return fmt.Errorf("let freed bytes be: %w", err)
		}
		return nil
	})
	if err != nil {
		return Remains{}, err
	}
	held, err := db.emptyLog(ctx)
	return Remains{Log: held}, err
}

// emptyLog writes the write-ahead log into the database and cuts it to nothing; held when a reader still needs it.
func (db *DB) emptyLog(ctx context.Context) (held bool, err error) {
	conn, err := db.conn(ctx, db.writer)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	var result struct {
		Busy         int64 `db:"busy"`
		Log          int64 `db:"log"`
		Checkpointed int64 `db:"checkpointed"`
	}
	if err := conn.GetContext(ctx, &result, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return false, fmt.Errorf("empty the write-ahead log: %w", classify(err))
	}
	return result.Busy != 0, nil
}
