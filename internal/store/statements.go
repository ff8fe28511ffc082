package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxStatements is how many compiled statements a SQLite connection caches. The program has fewer statement texts, apart from those whose number of
// placeholders varies.
const maxStatements = 256

// sqliteConn lists the methods that database/sql uses of the driver's connection.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// keepingConn is a SQLite connection that caches its compiled statements, as a PostgreSQL connection does. Compiling took a third of the time of a
// short transaction. SQLite recompiles a statement by itself when the schema has changed.
//
// As every connection, it is used by one goroutine at a time.
type keepingConn struct {
	sqliteConn
	kept  *simplelru.LRU[string, *keptStatement]
	given []driver.NamedValue // room for the arguments of a statement; empty between two
}

// keptStatement is a compiled statement. It has one set of bindings and one cursor, so it has one user at a time.
type keptStatement struct {
	statement
	inUse   bool
	evicted bool // close it at the end of its current use
}

// statement lists the methods that are used of the driver's statement.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func newKeepingConn(conn driver.Conn) (*keepingConn, error) {
	whole, ok := conn.(sqliteConn)
	if !ok {
		return nil, fmt.Errorf("the driver's connection %T lacks what it had", conn)
	}
	kept, err := simplelru.NewLRU(maxStatements, func(_ string, s *keptStatement) { s.evict() })
	if err != nil {
		return nil, err
	}
	return &keepingConn{sqliteConn: whole, kept: kept}, nil
}

// evict closes a statement, or leaves that to its current user. The driver's Close frees memory, and its errors cannot be acted on.
func (s *keptStatement) evict() {
	s.evicted = true
	if !s.inUse {
		_ = s.Close()
	}
}

// release ends a use. A statement that failed is not used again.
func (c *keepingConn) release(query string, s *keptStatement, err error) {
	s.inUse = false
	switch {
	case s.evicted:
		_ = s.Close()
	case err != nil:
		c.kept.Remove(query)
	}
}

// take returns the compiled statement for the caller's exclusive use, or nil when the query must run without a cached one: it is not repeated, or its
// cached statement is in use.
func (c *keepingConn) take(ctx context.Context, query string) (*keptStatement, error) {
	s, known := c.kept.Get(query)
	switch {
	case known && s.inUse, !known && !repeated(query):
		return nil, nil
	case !known:
		prepared, err := c.PrepareContext(ctx, query)
		if err != nil {
			return nil, err
		}
		whole, ok := prepared.(statement)
		if !ok {
			return nil, fmt.Errorf("the driver's statement %T lacks what it had", prepared)
		}
		s = &keptStatement{statement: whole}
		c.kept.Add(query, s)
	}
	s.inUse = true
	return s, nil
}

// repeated reports whether a query is worth caching: a single statement on rows, or one that begins or ends a transaction, but none that changes the
// schema or the connection.
func repeated(query string) bool {
	switch query {
	case beginWriting, commitWriting, rollBack:
		return true
	}
	query = strings.TrimLeft(query, " \t\n")
	end := max(strings.IndexAny(query, " \t\n"), 0)
	switch query[:end] { // as this project writes them
	case "SELECT", "INSERT", "UPDATE", "DELETE", "WITH":
		return !strings.Contains(query, ";")
	}
	return false
}

// The statements that begin and end transactions.
const (
	beginWriting  = "BEGIN IMMEDIATE" // a deferred transaction that reads and then writes fails with SQLITE_BUSY at once, without waiting for the busy timeout
	commitWriting = "COMMIT"
	rollBack      = "ROLLBACK"
)

// brief is the context key of statements that are not interrupted.
type brief struct{}

// Brief returns a context whose end does not interrupt a running statement on SQLite; the transaction is still aborted before its next statement. It
// is for transactions of bounded size that many callers wait for: the driver starts a goroutine for each statement that can be interrupted. On
// PostgreSQL, where a statement can wait for the locks of others, it has no effect. Functions of such transactions must be safe to run again; code
// that may cause a repeat checks for this context (Tx.Brief).
func Brief(ctx context.Context) context.Context { return context.WithValue(ctx, brief{}, true) }

// interruptible returns the context in which a statement on SQLite is run: one without an end for Brief.
func interruptible(ctx context.Context) context.Context {
	if ctx.Done() == nil || ctx.Value(brief{}) == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// ExecContext implements driver.ExecerContext.
func (c *keepingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	ctx = interruptible(ctx)
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	result, err := s.ExecContext(ctx, args)
	c.release(query, s, err)
	return result, err
}

// QueryContext implements driver.QueryerContext. The statement is in use until the rows are closed.
func (c *keepingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	ctx = interruptible(ctx)
	s, err := c.take(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		c.release(query, s, err)
		return nil, err
	}
	return &keptRows{rows, func(err error) { c.release(query, s, err) }}, nil
}

// change runs a statement and returns how many rows it changed.
func (c *keepingConn) change(ctx context.Context, query string, args []any) (int64, error) {
	named, err := c.driverValues(args)
	if err != nil {
		return 0, err
	}
	defer clear(named) // they may be secret
	result, err := c.ExecContext(ctx, query, named)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// selectEach calls each with every row of a query.
func (c *keepingConn) selectEach(ctx context.Context, each func(row []any) error, query string, args []any) (err error) {
	named, err := c.driverValues(args)
	if err != nil {
		return err
	}
	rows, err := c.QueryContext(ctx, query, named) // which binds them
	clear(named)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := make([]driver.Value, len(rows.Columns()))
	row := make([]any, len(values))
	for {
		if err := rows.Next(values); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for i, v := range values {
			row[i] = v
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// driverValues are arguments as database/sql gives them to a driver, until the next statement.
func (c *keepingConn) driverValues(args []any) ([]driver.NamedValue, error) {
	named := slices.Grow(c.given[:0], len(args))[:len(args)]
	c.given = named
	for i, arg := range args {
		switch arg.(type) {
		case nil, int64, string, []byte:
		default:
			var err error
			if arg, err = driver.DefaultParameterConverter.ConvertValue(arg); err != nil {
				clear(named)
				return nil, fmt.Errorf("argument %d: %w", i+1, err)
			}
		}
		named[i] = driver.NamedValue{Ordinal: i + 1, Value: arg}
	}
	return named, nil
}

// keptRows are the rows of a cached statement.
type keptRows struct {
	driver.Rows
	release func(error)
}

// Close implements driver.Rows.
func (r *keptRows) Close() error {
	err := r.Rows.Close()
	if r.release != nil {
		r.release(err)
		r.release = nil
	}
	return err
}

// Close implements driver.Conn.
func (c *keepingConn) Close() error {
	c.kept.Purge()
	return c.sqliteConn.Close()
}
