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

// transactWriting runs fn in one transaction of a writer, and rolls back when it fails or panics. It begins and ends the transaction itself: database/sql would
// start a goroutine for each, and could send neither BEGIN nor COMMIT together with a statement.
func (db *DB) transactWriting(ctx context.Context, cautious bool, fn func(tx *Tx) error) error {
	span := db.traced.Begin(ctx, "BEGIN") // with the wait for a connection
	conn, err := db.conn(ctx, db.writer)
	if err != nil {
		span.End(err)
		return err
	}
	defer conn.Close()
	tx := &Tx{within: ctx, session: conn, conn: conn, dialect: db.dialect, traced: db.traced, attached: &db.attached, cautious: cautious, endWait: db.endWait}
	defer tx.rollback() // does nothing after a commit
	if tx.dialect == SQLite {
		err = tx.begin() // the function may count on being the one writer
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

// begin opens the transaction where that is not done yet.
func (tx *Tx) begin() error {
	if tx.stage != unopened {
		return nil
	}
	if tx.dialect == SQLite {
		_, err := tx.conn.ExecContext(interruptible(tx.within), beginWriting)
		if err == nil || tx.within.Err() != nil { // the driver tells that the context has ended, whatever came of the statement
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

// endWait bounds the end of a transaction on PostgreSQL, and what is sent together with it. It does not end with the context: what became of a commit that nobody
// waits for any more would be unknown.
const endWait = 30 * time.Second

// commit makes the transaction durable, together with what was to be run later.
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

// outcome tells a commit that was refused from one whose answer was lost. That is ErrUnavailable, whatever the error: nobody may take it for undone and try again.
func (tx *Tx) outcome(err error) error {
	var refused *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &refused), errors.Is(err, ErrUnmet), errors.Is(err, errRolledBack), errors.Is(err, sql.ErrTxDone):
		return err
	}
	open := false
	lost := tx.postgres(func(conn *pgx.Conn) error { // what could not be sent leaves the transaction open
		open = !conn.IsClosed() && conn.PgConn().TxStatus() != 'I'
		return nil
	})
	if open && lost == nil {
		return err
	}
	return fmt.Errorf("%w: the outcome of a commit is unknown: %w", ErrUnavailable, err)
}

// rollback ends a transaction that is open. A connection on which that fails is closed, which ends it too.
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

// errDriver says that the connections are not those of the driver that this package opens them with.
var errDriver = errors.New("the connection is of another driver")

// sqlite runs fn on the driver's connection.
func (tx *Tx) sqlite(fn func(conn *keepingConn) error) error {
	return tx.conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(*keepingConn)
		if !ok {
			return fmt.Errorf("%w: %T", errDriver, driverConn)
		}
		return fn(conn)
	})
}

// postgres runs fn on the driver's connection.
func (tx *Tx) postgres(fn func(conn *pgx.Conn) error) error {
	return tx.conn.Raw(func(driverConn any) error {
		conn, ok := driverConn.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("%w: %T", errDriver, driverConn)
		}
		return fn(conn.Conn())
	})
}
