package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/fountainai/fountain/internal/problem"
)

// Errors of this package; match them with errors.Is.
var (
	// ErrLocked: another process has the SQLite database open.
	ErrLocked = errors.New("database is in use by another process")
	// ErrNewer: the database holds migrations that this binary does not know.
	ErrNewer = errors.New("database was migrated by a newer release")
	// ErrNested: a write was begun inside an open write. On SQLite it would wait for itself.
	ErrNested = errors.New("write begun inside an open write transaction")
	// ErrUnavailable: the database cannot be reached, is full, or is too busy. The request itself may be valid. When the error comes from a commit
	// whose connection broke, the commit may have happened. It is a problem, so that the edge answers 503 without translation, however it is wrapped.
	ErrUnavailable error = problem.New(problem.Unavailable, "The service cannot reach its database.").WithRetryAfter(time.Second)
	// ErrDamaged: the SQLite file is not a database, or its content is corrupt. Waiting does not help; restoring a backup does.
	ErrDamaged = errors.New("database file is damaged, or is no database")
	// ErrFull: the disk of the database is full. It comes with ErrUnavailable.
	ErrFull = errors.New("disk of the database is full")
	// ErrReplaced: the file of a SQLite database was removed or replaced while it was open. It comes with ErrUnavailable; a restart opens
	// the file that is there then.
	ErrReplaced = errors.New("database file was removed or replaced")
	// ErrHeld: another transaction held a row for longer than lock_timeout (PostgreSQL). It comes with ErrUnavailable; the transaction was
	// rolled back.
	ErrHeld = errors.New("another transaction holds the row")
	// ErrReadOnly: Exec was called outside a write transaction.
	ErrReadOnly = errors.New("statement changes data outside a write transaction")
)

// IsUnique reports whether err is a violated UNIQUE or PRIMARY KEY constraint. The transaction in which it happened cannot be committed; where a
// conflict is expected, use ON CONFLICT DO NOTHING and check the number of rows.
func IsUnique(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// classify wraps ErrUnavailable or ErrDamaged around errors that are caused by the database and not by the request. Other errors, among them
// sql.ErrNoRows and those of the caller's context, are returned unchanged.
func classify(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrUnavailable), errors.Is(err, ErrDamaged), errors.Is(err, sql.ErrNoRows):
		return err
	case damaged(err):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case full(err):
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrFull, err)
	case held(err):
		return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrHeld, err)
	case unavailable(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

func damaged(err error) bool {
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return false
	}
	code := lite.Code() & 0xff // the primary code is the low byte
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

func full(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "53100" // disk_full
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code()&0xff == sqlite3.SQLITE_FULL
	}
	return errors.Is(err, syscall.ENOSPC)
}

func held(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03" // lock_not_available
}

func unavailable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return unavailableState(pg.Code)
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff { // the primary code is the low byte
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
			sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY:
			return true
		}
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connect) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err) // the last: pgx found its connection closed before it sent anything
}

// unavailableState sorts SQLSTATE codes (PostgreSQL manual, appendix A) by class.
func unavailableState(code string) bool {
	switch {
	case strings.HasPrefix(code, "08"), // connection exception
		strings.HasPrefix(code, "53"),  // insufficient resources
		strings.HasPrefix(code, "57P"), // shutdown, crash, cannot connect now
		strings.HasPrefix(code, "58"),  // system error
		strings.HasPrefix(code, "XX"):  // internal error, corruption
		return true
	}
	return retryable(code) || code == "25P03" || code == "55P03" || code == "57014" || code == "25006" // idle in transaction, lock not available, statement timeout, read only
}

// retryable reports the SQLSTATEs of transactions that were rolled back and may succeed when they are repeated.
func retryable(code string) bool { return code == "40001" || code == "40P01" }

func isRetryable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && retryable(pg.Code)
}
