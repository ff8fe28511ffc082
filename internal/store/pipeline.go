package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Statement is one of several statements that are sent together.
type Statement struct {
	Query string
	Args  []any
}

// ExecAll runs statements in order and returns how many rows each changed. PostgreSQL gets them in one message, which saves a network round trip for
// each but the first; so no statement can depend on the result of an earlier one. The first failure breaks the transaction, as with Exec.
func (tx *Tx) ExecAll(ctx context.Context, statements ...Statement) ([]int64, error) {
	changed := make([]int64, len(statements))
	if tx.dialect == SQLite {
		for i, s := range statements {
			rows, err := tx.Exec(ctx, s.Query, s.Args...)
			if err != nil {
				return nil, err
			}
			changed[i] = rows
		}
		return changed, nil
	}
	m := tx.message()
	for i, s := range statements {
		m.add(s.Query, s.Args...).Exec(func(done pgconn.CommandTag) error {
			changed[i] = done.RowsAffected()
			return nil
		})
	}
	if err := tx.send(ctx, m); err != nil {
		return nil, err
	}
	return changed, nil
}

// SelectFirst runs the first query of a transaction: on PostgreSQL it is sent together with BEGIN. each is called for every row, with an int64, a
// string, bytes or nil for each column (BIGINT, TEXT or BLOB). It may keep the values, but not the slice, and must not use the transaction.
func (tx *Tx) SelectFirst(ctx context.Context, each func(row []any) error, query string, args ...any) error {
	if tx.dialect == SQLite {
		return tx.alone(ctx, query, func(ctx context.Context) error {
			return tx.sqlite(func(conn *keepingConn) error { return conn.selectEach(ctx, each, query, args) })
		})
	}
	m := tx.message()
	m.add(query, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			row, err := rows.Values()
			if err != nil {
				return err
			}
			if err := each(row); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return tx.send(ctx, m)
}

// ErrUnmet means that a deferred statement (Later) changed no row. When the function of Write returns it in a transaction that is not Cautious, the
// function is run again in one that is.
var ErrUnmet = errors.New("a statement that must change a row changed none")

// Later defers a statement, an INSERT, UPDATE or DELETE without RETURNING: it is run before the next statement or, on PostgreSQL, in one message with
// the COMMIT. It must change a row. When it changes none, everything is rolled back and the function of Write is run again, whatever it did with the
// error, in a Cautious transaction, in which Later fails. So Later is for statements that almost never change no row, and the caller needs another
// way for a Cautious transaction.
func (tx *Tx) Later(ctx context.Context, s Statement) error {
	if tx.cautious {
		return errCautious
	}
	if tx.dialect == PostgreSQL {
		tx.later = append(tx.later, s)
		return nil
	}
	changed, err := tx.Exec(ctx, s.Query, s.Args...)
	if err == nil && changed == 0 {
		tx.broken, err = ErrUnmet, ErrUnmet
	}
	return err
}

// errCautious is the error of Later in a Cautious transaction: the statement might fail again.
var errCautious = errors.New("a statement was put off in a cautious transaction")

// Brief reports whether the transaction was begun with a context made by Brief.
func (tx *Tx) Brief() bool { return tx.within.Value(brief{}) != nil }

// Cautious reports whether this transaction repeats one in which a deferred statement changed no row. Statements must then be run and checked one by
// one.
func (tx *Tx) Cautious() bool { return tx.cautious }

// sendLater runs the deferred statements.
func (tx *Tx) sendLater(ctx context.Context) error {
	if len(tx.later) == 0 {
		return nil
	}
	return tx.send(ctx, tx.message())
}

// message is a batch that is sent to PostgreSQL at once. Its statements run until the first failure.
type message struct {
	batch pgx.Batch
	texts []string // texts of the statements that get a span
	later bool     // contains deferred statements that must change a row
}

// message starts a batch with BEGIN, if that was not sent yet, and the deferred statements.
func (tx *Tx) message() *message {
	m := &message{}
	if tx.stage == unopened {
		m.batch.Queue("BEGIN")
	}
	for _, s := range tx.later {
		// A failing statement is the only way to stop PostgreSQL before a COMMIT that was already sent in the same batch.
		m.texts = append(m.texts, s.Query)
		m.batch.Queue(PostgreSQL.rebind("WITH changed AS ("+s.Query+" RETURNING 1) SELECT 1 / COUNT(*) FROM changed"), s.Args...)
		m.later = true
	}
	tx.later = nil
	return m
}

func (m *message) add(query string, args ...any) *pgx.QueuedQuery {
	m.texts = append(m.texts, query)
	return m.batch.Queue(PostgreSQL.rebind(query), args...)
}

// send sends a batch and reads all answers.
func (tx *Tx) send(ctx context.Context, m *message) error {
	return tx.run(ctx, strings.Join(slices.Compact(m.texts), "; "), func() error {
		return tx.postgres(func(conn *pgx.Conn) error {
			// In a transaction that has ended, as after a lost connection, nothing may be sent: it would run outside any transaction.
			want := byte('T')
			if tx.stage == unopened {
				want = 'I'
			}
			if conn.PgConn().TxStatus() != want {
				return sql.ErrTxDone
			}
			tx.stage = open
			err := conn.SendBatch(ctx, &m.batch).Close()
			if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
				if m.later && refused.Code == divisionByZero {
					return ErrUnmet
				}
				return refused // the error does not tell whether preparing or running failed, as that depends on what was prepared before
			}
			return err
		})
	})
}

// divisionByZero is the SQLSTATE that message provokes for a statement that changed no row.
const divisionByZero = "22012"

// errRolledBack means that PostgreSQL answered a COMMIT with something else.
var errRolledBack = errors.New("the transaction was not committed")

// committed returns an error unless the tag is that of a commit: PostgreSQL answers COMMIT with ROLLBACK after a failure.
func committed(tag pgconn.CommandTag) error {
	if tag.String() != commitWriting {
		return fmt.Errorf("%w: it ended with %s", errRolledBack, tag)
	}
	return nil
}
