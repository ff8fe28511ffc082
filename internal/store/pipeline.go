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

// Statement is one of several that are sent together.
type Statement struct {
	Query string
	Args  []any
}

// ExecAll runs statements one after the other and returns how many rows each has changed. PostgreSQL gets them in one message and answers once, which spares a wait
// for the network for each but the first; so no statement can hang on what this process makes of an answer to one before. The first that fails breaks the
// transaction, as with Exec.
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

// SelectFirst runs the query that a transaction begins with: on PostgreSQL it is sent together with BEGIN. each is called for every row, with an int64, a string, bytes or
// nil for each column (BIGINT, TEXT or BLOB); it may keep them, but not the slice. It must not use the transaction.
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

// ErrUnmet says that a statement that was run later changed no row. A function of Write that returns it, in a transaction that is not Cautious, is run anew in one
// that is.
var ErrUnmet = errors.New("a statement that must change a row changed none")

// Later has a statement, an INSERT, UPDATE or DELETE without RETURNING, run before the next one or, on PostgreSQL, together with the COMMIT in one message. It
// must change a row: when it changes none, all is rolled back and the function of Write is run anew, whatever it has made of the error, in a transaction that is Cautious; there Later can't
// be used. So it is for what almost never fails, by whoever has another way.
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

// errCautious refuses what might fail again.
var errCautious = errors.New("a statement was put off in a cautious transaction")

// Brief reports whether the transaction is one of a context made by Brief.
func (tx *Tx) Brief() bool { return tx.within.Value(brief{}) != nil }

// Cautious reports whether a statement of the transaction before, which was run later, changed no row. What might happen again has to be looked at as it goes.
func (tx *Tx) Cautious() bool { return tx.cautious }

// sendLater runs what was put off.
func (tx *Tx) sendLater(ctx context.Context) error {
	if len(tx.later) == 0 {
		return nil
	}
	return tx.send(ctx, tx.message())
}

// message is what is sent to PostgreSQL at once. The statements are run until the first that fails.
type message struct {
	batch pgx.Batch
	texts []string // what of it has a span
	later bool     // it holds some that must change a row
}

// message begins a message with BEGIN, where that was not sent, and with what was put off.
func (tx *Tx) message() *message {
	m := &message{}
	if tx.stage == unopened {
		m.batch.Queue("BEGIN")
	}
	for _, s := range tx.later {
		// Its failure is the only way to have PostgreSQL stop right there, before a COMMIT that is on its way already.
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

// send sends a message and reads all answers.
func (tx *Tx) send(ctx context.Context, m *message) error {
	return tx.run(ctx, strings.Join(slices.Compact(m.texts), "; "), func() error {
		return tx.postgres(func(conn *pgx.Conn) error {
			// Out of a transaction that is over, as after a lost connection, nothing may be sent: it would be in none.
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
				return refused // whether it was while a statement was prepared or run depends on what was prepared before
			}
			return err
		})
	})
}

// divisionByZero is the SQLSTATE of what message makes of a statement that changed no row.
const divisionByZero = "22012"

// errRolledBack says that PostgreSQL has answered a COMMIT with something else.
var errRolledBack = errors.New("the transaction was not committed")

// committed tells a commit from what PostgreSQL makes of one after a failure, a rollback.
func committed(tag pgconn.CommandTag) error {
	if tag.String() != commitWriting {
		return fmt.Errorf("%w: it ended with %s", errRolledBack, tag)
	}
	return nil
}
