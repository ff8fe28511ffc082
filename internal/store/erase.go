package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
)

// Remains says where in the database's files erased data may still be found.
type Remains struct {
	Log  bool // the write-ahead log
	Free bool // free pages or free space within pages
}

const (
	logTimeout    = 100 // ms for which truncating the write-ahead log, and with it every writer, waits for readers
	firstEmptying = time.Second
	lastEmptying  = time.Minute
	emptyingFails = 10 // after so many attempts it is logged that readers hold the log
)

// Erase is Write for changes after which nothing of the overwritten or deleted data may be left. On SQLite every change overwrites the space that it
// frees (secure_delete), unless an older release wrote to the file (Remains.Free), and the write-ahead log is truncated; while a reader holds the log
// (Remains.Log), truncation is repeated in the background until it succeeds. On PostgreSQL old rows stay in the table until a vacuum, and in the log
// until it is recycled: both are reported as remaining.
func (db *DB) Erase(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) (Remains, error) {
	if db.dialect != SQLite {
		return Remains{Log: true, Free: true}, db.Write(ctx, fn)
	}
	var mark int64
	err := db.Write(ctx, func(ctx context.Context, tx *Tx) error {
		if err := fn(ctx, tx); err != nil {
			return err
		}
		return tx.Get(ctx, &mark, "PRAGMA user_version")
	})
	if err != nil {
		return Remains{}, err
	}
	remains := Remains{Free: mark != overwrites}
	// The change is committed: a failure from here on is not the caller's error.
	held, err := db.emptyLog(context.WithoutCancel(ctx))
	if err != nil {
		db.log.WarnContext(ctx, "erased data can't be removed from the write-ahead log", "database", db.name, "error", err)
	}
	if held || err != nil {
		remains.Log = true
		db.emptying.begin(db)
	}
	return remains, nil
}

// emptyLog checkpoints and truncates the write-ahead log. held reports that a reader still needs it. Writers wait meanwhile, so the timeout is short.
func (db *DB) emptyLog(ctx context.Context) (held bool, err error) {
	conn, err := db.conn(ctx, db.writer)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer func() { err = errors.Join(err, setBusyTimeout(context.WithoutCancel(ctx), conn, busyTimeout)) }()
	if err := setBusyTimeout(ctx, conn, logTimeout); err != nil {
		return false, err
	}
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

// setBusyTimeout sets for how many milliseconds a connection waits for a lock. A connection on which this fails is closed.
func setBusyTimeout(ctx context.Context, conn *sqlx.Conn, ms int) error {
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", ms)); err != nil {
		return errors.Join(fmt.Errorf("set the busy timeout: %w", classify(err)), discard(conn))
	}
	return nil
}

// discard keeps a connection from returning to its pool. The error is that of a connection which is already closed.
func discard(conn *sqlx.Conn) error {
	err := conn.Raw(func(any) error { return driver.ErrBadConn })
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

// overwrites is the user_version of a SQLite file in which every change has overwritten the space that it freed. Files of older releases have 0.
const overwrites = 1

// markOverwriting marks a new file.
func (db *DB) markOverwriting(ctx context.Context) error {
	if _, err := db.writer.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", overwrites)); err != nil {
		return fmt.Errorf("mark the new file: %w", err)
	}
	return nil
}

// emptying truncates the write-ahead log in the background after readers held it. Its zero value is ready for use.
type emptying struct {
	mu      sync.Mutex
	stop    chan struct{} // nil: not started
	done    chan struct{}
	running bool
	closed  bool
}

// begin starts truncating the log in the background, unless that is running already.
func (e *emptying) begin(db *DB) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running || e.closed {
		return
	}
	e.running, e.stop, e.done = true, make(chan struct{}), make(chan struct{})
	go e.run(db, e.stop, e.done)
}

func (e *emptying) run(db *DB, stop, done chan struct{}) {
	defer close(done)
	pause := firstEmptying
	for n := 1; ; n++ {
		timer := time.NewTimer(pause)
		select {
		case <-stop:
			timer.Stop() // closing the database truncates the log and removes it
			return
		case <-timer.C:
		}
		if e.try(db, n) {
			return
		}
		pause = min(2*pause, lastEmptying)
	}
}

// try truncates the log and reports whether the work is done. An Erase that runs meanwhile either precedes the truncation or starts a new one.
func (e *emptying) try(db *DB, n int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	held, err := db.emptyLog(context.Background())
	if !held && err == nil {
		e.running = false
		return true
	}
	if n%emptyingFails == 0 {
		db.log.Warn("erased data may still be in the write-ahead log: a reader blocks its checkpoint", "database", db.name, "tries", n, "error", err)
	}
	return false
}

// end stops the background work.
func (e *emptying) end() {
	e.mu.Lock()
	e.closed = true
	stop, done := e.stop, e.done
	if e.running {
		close(stop)
	}
	e.mu.Unlock()
	if done != nil {
		<-done
	}
}
