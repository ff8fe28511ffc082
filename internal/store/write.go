package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// transactWriting runs fn in one writing transaction, and rolls back when fn fails or panics. It begins and ends the transaction itself: database/sql
// would start a goroutine for each, and could send neither BEGIN nor COMMIT together with a statement.
func (db *DB) transactWriting(ctx context.Context, cautious bool, fn func(tx *Tx) error) error {
	span := db.traced.Begin(ctx, "BEGIN") // includes the wait for a connection
	conn, err := db.conn(ctx, db.writer)
	if err != nil {
		span.End(err)
		return err
	}
	defer conn.Close()
	tx := &Tx{within: ctx, session: conn, conn: conn, dialect: db.dialect, traced: db.traced, attached: &db.attached, cautious: cautious, endWait: db.endWait}
	defer tx.rollback() // does nothing after a commit
	if tx.dialect == SQLite {
		err = tx.begin() // fn may rely on being the only writer
	}
	span.End(err)
	if err != nil {
		return fmt.Errorf("begin: %w", classify(err))
	}
	if err := fn(tx); err != nil {
		return err
	}
	span = db.traced.Begin(ctx, "COMMIT")
	err = tx.commit()
	span.End(err)
	if err != nil {
		return fmt.Errorf("commit: %w", classify(err))
	}
	for _, do := range tx.committed {
		do()
	}
	return nil
}

// begin opens the transaction unless it is open.
func (tx *Tx) begin() error {
	if tx.stage != unopened {
		return nil
	}
	if tx.dialect == SQLite {
		_, err := tx.conn.ExecContext(interruptible(tx.within), beginWriting)
		if err == nil || tx.within.Err() != nil { // the driver reports the end of the context, whatever the result of the statement
			tx.stage = open
		}
		return err
	}
	return tx.postgres(func(conn *pgx.Conn) error {
		tx.stage = open
		_, err := conn.Exec(tx.within, "BEGIN")
		return err
	})
}

// endWait bounds the end of a transaction on PostgreSQL, and the statements sent with it. It does not depend on the context: otherwise the result of
// a commit that is cancelled would be unknown.
const endWait = 30 * time.Second

// commit makes the transaction durable, together with the deferred statements.
func (tx *Tx) commit() error {
	if err := tx.within.Err(); err != nil {
		return err
	}
	var err error
	if tx.dialect == SQLite {
		_, err = tx.conn.ExecContext(context.WithoutCancel(tx.within), commitWriting)
	} else {
		err = tx.outcome(tx.commitPostgres())
	}
	if err == nil {
		tx.stage = ended
	}
	return err
}

func (tx *Tx) commitPostgres() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tx.within), tx.endWait)
	defer cancel()
	switch {
	case len(tx.later) > 0:
		m := tx.message()
		m.batch.Queue(commitWriting).Exec(committed)
		return tx.send(ctx, m)
	case tx.stage == open:
		return tx.postgres(func(conn *pgx.Conn) error {
			tag, err := conn.Exec(ctx, commitWriting)
			if err != nil {
				return err
			}
			return committed(tag)
		})
	}
	return nil
}

// outcome distinguishes a refused commit from one whose answer was lost. A lost answer is ErrUnavailable, whatever the error: the caller must not
// take the change for undone and retry.
func (tx *Tx) outcome(err error) error {
	var refused *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &refused), errors.Is(err, ErrUnmet), errors.Is(err, errRolledBack), errors.Is(err, sql.ErrTxDone):
		return err
	}
	open := false
	lost := tx.postgres(func(conn *pgx.Conn) error { // if sending failed, the transaction is still open
		open = !conn.IsClosed() && conn.PgConn().TxStatus() != 'I'
		return nil
	})
	if open && lost == nil {
		return err
	}
	return fmt.Errorf("%w: the outcome of a commit is unknown: %w", ErrUnavailable, err)
}

// rollback ends an open transaction. If it fails the connection is closed, which also ends the transaction.
func (tx *Tx) rollback() {
	if tx.stage != open {
		return
	}
	tx.stage = ended
	ctx := context.WithoutCancel(tx.within)
	if tx.dialect == PostgreSQL {
		bounded, cancel := context.WithTimeout(ctx, tx.endWait)
		defer cancel()
		ctx = bounded
	}
	if _, err := tx.conn.ExecContext(ctx, rollBack); err != nil {
		_ = tx.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// errDriver means that a connection is not one of the drivers that this package uses.
var errDriver = errors.New("the connection is of another driver")

// sqlite runs fn on the SQLite driver's connection.
func (tx *Tx) sqlite(fn func(conn *keepingConn) error) error {
	return tx.conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(*keepingConn)
		if !ok {
			return fmt.Errorf("%w: %T", errDriver, driverConn)
		}
		return fn(conn)
	})
}

// postgres runs fn on the PostgreSQL driver's connection.
func (tx *Tx) postgres(fn func(conn *pgx.Conn) error) error {
	return tx.conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("%w: %T", errDriver, driverConn)
		}
		return fn(conn.Conn())
	})
}
