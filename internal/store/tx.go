package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/fountainai/fountain/internal/tracing"
)

// Querier runs single statements, in a transaction (*Tx) or outside one (DB.Read). Errors are those of the driver, wrapped in ErrUnavailable where
// the database is the cause.
type Querier interface {
	// Get scans one row into dst, a struct with db tags or a single value; no row is sql.ErrNoRows.
	Get(ctx context.Context, dst any, query string, args ...any) error
	// Select scans all rows into the slice that dst points to. Bound it with LIMIT.
	Select(ctx context.Context, dst any, query string, args ...any) error
	// Exec runs a statement and returns how many rows it changed. Outside a transaction it fails with ErrReadOnly.
	Exec(ctx context.Context, query string, args ...any) (int64, error)
	// Dialect returns the database's dialect.
	Dialect() Dialect
}

// Tx is an open transaction, valid until the function that it was given to returns. After a failed statement (a missing row is not a failure) every
// further one fails, on SQLite as on PostgreSQL, and nothing is committed.
type Tx struct {
	within    context.Context // of the whole transaction
	session   session
	conn      *sqlx.Conn // of the session
	stage     stage
	dialect   Dialect
	traced    *tracing.Database
	attached  *sync.Map // of the database
	broken    error     // the first failed statement
	later     []Statement
	cautious  bool
	endWait   time.Duration // PostgreSQL: timeout of its commit or rollback
	last      []lastStep
	committed []func()
	kept      map[any]any // of this transaction alone
}

// session runs statements: a connection on which a transaction is open or will be.
type session interface {
	GetContext(ctx context.Context, dst any, query string, args ...any) error
	SelectContext(ctx context.Context, dst any, query string, args ...any) error
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryxContext(ctx context.Context, query string, args ...any) (*sqlx.Rows, error)
}

// stage is the state of a transaction.
type stage int

const (
	unopened stage = iota // BEGIN is sent before the first statement, or with it
	open
	ended
)

// lastStep is a step that a transaction runs immediately before it commits.
type lastStep struct {
	order int
	do    func(ctx context.Context) error
}

// Order of the steps before a commit. Each locks one row that every such transaction needs, so all transactions run them last and in this order: the
// locks are held for the shortest time, and two transactions cannot deadlock.
const (
	LastAudit       = 1 // the head of the audit chain
	LastRevocations = 2 // the head of the revocation feed
	LastCommit      = 3 // locks nothing: for what must happen immediately before the commit
)

// AtEnd registers do to run in the transaction after its function has returned nil and before the commit. Steps of a lower order run first, steps of
// the same order as they were added. An error of do rolls everything back and is returned by Write.
func (tx *Tx) AtEnd(order int, do func(ctx context.Context) error) {
	tx.last = append(tx.last, lastStep{order, do})
}

// AfterCommit registers do to run when the change is durable and before Write returns. It does not run when nothing was committed.
func (tx *Tx) AfterCommit(do func()) { tx.committed = append(tx.committed, do) }

// Attached returns the value that DB.Attach stored under the key, or nil.
func (tx *Tx) Attached(key any) any {
	value, _ := tx.attached.Load(key)
	return value
}

// Kept returns the value that this transaction keeps under the key; the first call creates it with make. The key's type must be the caller's own.
func (tx *Tx) Kept(key any, make func() any) any {
	kept, found := tx.kept[key]
	if !found {
		if tx.kept == nil {
			tx.kept = map[any]any{}
		}
		kept = make()
		tx.kept[key] = kept
	}
	return kept
}

// errLateStep rolls back a transaction in which a last step added another step, which would not be run.
var errLateStep = errors.New("a step right before the commit was added by another one")

// finish runs the last steps. A step may not add further ones.
func (tx *Tx) finish(ctx context.Context) error {
	steps := tx.last
	slices.SortStableFunc(steps, func(a, b lastStep) int { return a.order - b.order })
	for _, step := range steps {
		if step.order == LastCommit { // no step after it may wait for a lock
			if err := tx.sendLater(ctx); err != nil {
				return err
			}
		}
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	if len(tx.last) > len(steps) {
		return errLateStep
	}
	return nil
}

const (
	maxAttempts = 6
	firstPause  = 2 * time.Millisecond
)

// Write runs fn in one transaction and commits it when fn returns nil. When Write returns nil the change is durable. An error of fn rolls back and is
// returned unchanged. On PostgreSQL (READ COMMITTED) a deadlock or serialization failure rolls back and runs fn again, so fn must have no effect
// outside tx. Inside fn use the context that fn is given: with it a nested Write fails with ErrNested, and a Read reads the transaction.
func (db *DB) Write(ctx context.Context, fn func(ctx context.Context, tx *Tx) error) error {
	if db.Writing(ctx) {
		return ErrNested
	}
	cautious := false
	for attempt := 1; ; attempt++ {
		again, err := db.writeOnce(ctx, cautious, fn)
		if errors.Is(err, ErrUnmet) && !cautious { // there was no conflict: no pause is needed
			cautious, attempt = true, 0
			continue
		}
		if !again || attempt == maxAttempts {
			return err
		}
		// Full jitter: transactions that conflicted must not conflict again.
		pause := time.NewTimer(rand.N(firstPause << attempt))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return err
		}
	}
}

func (db *DB) writeOnce(ctx context.Context, cautious bool, fn func(ctx context.Context, tx *Tx) error) (again bool, err error) {
	err = db.transactWriting(ctx, cautious, func(tx *Tx) error {
		inside := context.WithValue(ctx, writing{db}, tx)
		err := fn(inside, tx)
		if err == nil && tx.broken == nil {
			err = tx.finish(inside)
		}
		if err == nil {
			err = db.intact() // a commit to a file that was removed is lost
		}
		if tx.broken != nil {
			again = isRetryable(tx.broken)
			if err == nil {
				err = fmt.Errorf("transaction went on after a failed statement: %w", tx.broken)
			}
			if errors.Is(tx.broken, ErrUnmet) {
				err = errors.Join(ErrUnmet, err)
			}
		}
		return err
	})
	if err == nil {
		db.committed.Store(time.Now().UnixNano())
	}
	return again || isRetryable(err), err
}

// View runs fn on one consistent snapshot of the database, for reads that need more than one statement. It blocks no writer.
func (db *DB) View(ctx context.Context, fn func(ctx context.Context, q Querier) error) error {
	if tx := db.open(ctx); tx != nil {
		return fn(ctx, tx)
	}
	options := &sql.TxOptions{ReadOnly: true}
	if db.dialect == PostgreSQL {
		options.Isolation = sql.LevelRepeatableRead
	}
	return db.transactReading(ctx, options, func(tx *Tx) error { return fn(ctx, readOnly{tx}) })
}

// transactReading runs fn in one transaction of a reading connection, and rolls back when fn fails or panics.
func (db *DB) transactReading(ctx context.Context, o *sql.TxOptions, fn func(tx *Tx) error) error {
	span := db.traced.Begin(ctx, "BEGIN") // includes the wait for a connection
	conn, err := db.conn(ctx, db.reader)
	if err != nil {
		span.End(err)
		return err
	}
	defer conn.Close()
	begun, err := conn.BeginTxx(ctx, o)
	span.End(err)
	if err != nil {
		return fmt.Errorf("begin: %w", classify(err))
	}
	defer begun.Rollback() // does nothing after Commit
	if err := fn(&Tx{within: ctx, session: begun, conn: conn, stage: open, dialect: db.dialect, traced: db.traced, attached: &db.attached}); err != nil {
		return err
	}
	span = db.traced.Begin(ctx, "COMMIT")
	err = begun.Commit()
	span.End(err)
	if err != nil {
		if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
			err = ctx.Err() // database/sql rolled back by itself when ctx ended
		}
		return fmt.Errorf("commit: %w", classify(err))
	}
	return nil
}

// writing is the context key of an open Write of a database.
type writing struct{ db *DB }

// Writing reports whether ctx is the context of an open Write of db.
func (db *DB) Writing(ctx context.Context) bool { return db.open(ctx) != nil }

func (db *DB) open(ctx context.Context) *Tx {
	tx, _ := ctx.Value(writing{db}).(*Tx)
	return tx
}

// Read returns a Querier that reads committed data, each statement for itself. Inside a Write it reads that Write's transaction, so that a read sees
// the Write's own changes and does not wait for a second connection.
func (db *DB) Read(ctx context.Context) Querier {
	if tx := db.open(ctx); tx != nil {
		return tx
	}
	return pooled{db}
}

// pooled runs each statement on a connection from the pool.
type pooled struct{ db *DB }

func (p pooled) Dialect() Dialect { return p.db.dialect }

func (p pooled) Get(ctx context.Context, dst any, query string, args ...any) error {
	return p.run(ctx, query, func(conn *sqlx.Conn) error {
		return conn.GetContext(ctx, dst, p.db.dialect.rebind(query), args...)
	})
}

func (p pooled) Select(ctx context.Context, dst any, query string, args ...any) error {
	return p.run(ctx, query, func(conn *sqlx.Conn) error {
		return conn.SelectContext(ctx, dst, p.db.dialect.rebind(query), args...)
	})
}

func (p pooled) run(ctx context.Context, query string, fn func(conn *sqlx.Conn) error) (err error) {
	span := p.db.traced.Begin(ctx, query)
	defer func() { span.End(err) }()
	conn, err := p.db.conn(ctx, p.db.reader)
	if err != nil {
		return err
	}
	defer conn.Close()
	return classify(fn(conn))
}

func (pooled) Exec(context.Context, string, ...any) (int64, error) { return 0, ErrReadOnly }

// readOnly is the Querier of a View.
type readOnly struct{ *Tx }

func (readOnly) Exec(context.Context, string, ...any) (int64, error) { return 0, ErrReadOnly }

// Dialect implements Querier.
func (tx *Tx) Dialect() Dialect { return tx.dialect }

// Get implements Querier.
func (tx *Tx) Get(ctx context.Context, dst any, query string, args ...any) error {
	return tx.alone(ctx, query, func(ctx context.Context) error {
		return tx.session.GetContext(ctx, dst, tx.dialect.rebind(query), args...)
	})
}

// Select implements Querier.
func (tx *Tx) Select(ctx context.Context, dst any, query string, args ...any) error {
	return tx.alone(ctx, query, func(ctx context.Context) error {
		return tx.session.SelectContext(ctx, dst, tx.dialect.rebind(query), args...)
	})
}

// Exec implements Querier.
func (tx *Tx) Exec(ctx context.Context, query string, args ...any) (rows int64, err error) {
	err = tx.alone(ctx, query, func(ctx context.Context) (err error) {
		if tx.dialect == SQLite { // bypasses database/sql, which costs as much as the driver
			return tx.sqlite(func(conn *keepingConn) error {
				rows, err = conn.change(ctx, query, args)
				return err
			})
		}
		result, err := tx.session.ExecContext(ctx, tx.dialect.rebind(query), args...)
		if err != nil {
			return err
		}
		rows, err = result.RowsAffected()
		return err
	})
	return rows, err
}

// alone sends a single statement, after the deferred ones.
func (tx *Tx) alone(ctx context.Context, query string, statement func(ctx context.Context) error) error {
	if err := tx.sendLater(ctx); err != nil {
		return err
	}
	return tx.run(ctx, query, func() error {
		if err := tx.begin(); err != nil {
			return err
		}
		if tx.dialect == SQLite {
			ctx = interruptible(ctx)
		}
		return statement(ctx)
	})
}

func (tx *Tx) run(ctx context.Context, query string, statement func() error) error {
	if tx.broken != nil {
		return fmt.Errorf("transaction is broken by an earlier statement: %w", tx.broken)
	}
	if tx.stage == ended { // the connection may still be open and would run the statement outside the transaction
		return sql.ErrTxDone
	}
	if err := tx.within.Err(); err != nil { // the transaction will be rolled back, whatever the statement's own context
		tx.broken = err
		return err
	}
	span := tx.traced.Begin(ctx, query)
	err := classify(statement())
	span.End(err)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		tx.broken = err
	}
	return err
}

// rebind converts the placeholders to those of the dialect.
func (d Dialect) rebind(query string) string {
	if d == PostgreSQL {
		return sqlx.Rebind(sqlx.DOLLAR, query)
	}
	return query
}
