package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
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
	tx := &Tx{within: ctx, session: conn, conn: conn, dialect: db.dialect, traced: db.traced, attached: &db.attached, cautious: cautious}
	if tx.dialect == SQLite {
		err = tx.begin() // the function may count on being the one writer
	}
	span.End(err)
	if err != nil {
		return fmt.Errorf("begin: %w", classify(err))
	}
	defer tx.rollback() // does nothing after a commit
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
		if _, err := tx.conn.ExecContext(interruptible(tx.within), beginWriting); err != nil {
			return err
		}
		tx.stage = open
		return nil
	}
	return tx.postgres(func(conn *pgx.Conn) error {
		tx.stage = open
		_, err := conn.Exec(tx.within, "BEGIN")
		return err
	})
}

// endWait bounds the end of a transaction, and what is sent together with it. It does not end with the context: what became of a commit that nobody waits for
// any more would be unknown.
const endWait = 30 * time.Second

// commit makes the transaction durable, together with what was to be run later.
func (tx *Tx) commit() error {
	if err := tx.within.Err(); err != nil {
		return err
	}
	if tx.dialect == SQLite {
		if _, err := tx.conn.ExecContext(context.WithoutCancel(tx.within), commitWriting); err != nil {
			return err
		}
		tx.stage = ended
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tx.within), endWait)
	defer cancel()
	switch {
	case len(tx.later) > 0:
		m := tx.message()
		m.batch.Queue(commitWriting).Exec(committed)
		if err := tx.send(ctx, m); err != nil {
			return err
		}
	case tx.stage == open:
		err := tx.postgres(func(conn *pgx.Conn) error {
			tag, err := conn.Exec(ctx, commitWriting)
			if err != nil {
				return err
			}
			return committed(tag)
		})
		if err != nil {
			return err
		}
	}
	tx.stage = ended
	return nil
}

// rollback ends a transaction that is open. A connection on which that fails is closed, which ends it too.
func (tx *Tx) rollback() {
	if tx.stage != open {
		return
	}
	tx.stage = ended
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tx.within), endWait)
	defer cancel()
	if tx.dialect == SQLite {
		ctx = context.WithoutCancel(ctx)
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
