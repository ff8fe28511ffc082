package store

import (
	"fmt"

	"github.com/fountainai/fountain/internal/store"
)

// bigint is an integer argument whose type PostgreSQL could not tell by itself.
const bigint = string(store.Bigint)

// anys makes arguments of strings.
func anys(texts []string) []any {
	args := make([]any, 0, len(texts))
	for _, t := range texts {
		args = append(args, t)
	}
	return args
}

// inByteOrder has the column before it sorted as Go sorts strings, whatever the database's locale: rows are locked in the order in which others are inserted.
func inByteOrder(q store.Querier) string {
	if q.Dialect() == store.SQLite {
		return "" // it always does
	}
	return ` COLLATE "C"`
}

// forUpdate is the end of a SELECT that locks what it reads; on SQLite the transaction is the only writer.
func forUpdate(q store.Querier) string {
	if q.Dialect() != store.PostgreSQL {
		return ""
	}
	return " FOR UPDATE"
}

// forUpdateOf is forUpdate for the rows of one of the tables that are read.
func forUpdateOf(q store.Querier, table string) string {
	if end := forUpdate(q); end != "" {
		return end + " OF " + table
	}
	return ""
}

// cells read a row of a statement from left to right. The first cell that is of another kind fails them all.
type cells struct {
	row  []any
	next int
	err  error
}

func cell[T any](c *cells) (v T) {
	v, ok := c.row[c.next].(T)
	if !ok && c.err == nil {
		c.err = fmt.Errorf("column %d is a %T", c.next+1, c.row[c.next])
	}
	c.next++
	return v
}

func (c *cells) text() string  { return cell[string](c) }
func (c *cells) number() int64 { return cell[int64](c) }

// bytes are nil where the column has none.
func (c *cells) bytes() []byte {
	if c.row[c.next] == nil {
		c.next++
		return nil
	}
	return cell[[]byte](c)
}

// blobArg is an argument of bytes; none of them are NULL.
func blobArg(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// blobColumn is a column of bytes in store.Values, where nothing else types it.
func blobColumn(q store.Querier) store.Column {
	if q.Dialect() == store.PostgreSQL {
		return "CAST(? AS BYTEA)"
	}
	return "?"
}
