package store

import (
	"fmt"

	"github.com/fountainai/fountain/internal/store"
)

// bigint is a placeholder for an integer whose type PostgreSQL can't infer.
const bigint = string(store.Bigint)

// anys returns strings as arguments of a statement.
func anys(texts []string) []any {
	args := make([]any, 0, len(texts))
	for _, t := range texts {
		args = append(args, t)
	}
	return args
}

// inByteOrder returns what sorts the column before it as Go sorts strings, whatever the locale of the database. So rows are locked in the order in which other
// transactions insert them.
func inByteOrder(q store.Querier) string {
	if q.Dialect() == store.SQLite {
		return "" // it always sorts so
	}
	return ` COLLATE "C"`
}

// forUpdate returns the end of a SELECT that locks what it reads. It is empty on SQLite, where the transaction is the only writer.
func forUpdate(q store.Querier) string {
	if q.Dialect() != store.PostgreSQL {
		return ""
	}
	return " FOR UPDATE"
}

// forUpdateOf is forUpdate for the rows of one of the tables read.
func forUpdateOf(q store.Querier, table string) string {
	if end := forUpdate(q); end != "" {
		return end + " OF " + table
	}
	return ""
}

// cells reads the columns of a row from left to right. err is set by the first column that has another type than it is read as.
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

// bytes returns nil for NULL.
func (c *cells) bytes() []byte {
	if c.row[c.next] == nil {
		c.next++
		return nil
	}
	return cell[[]byte](c)
}

// blobArg returns bytes as an argument of a statement; NULL when there are none.
func blobArg(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// blobColumn returns a column of bytes for store.Values, where nothing else gives it a type.
func blobColumn(q store.Querier) store.Column {
	if q.Dialect() == store.PostgreSQL {
		return "CAST(? AS BYTEA)"
	}
	return "?"
}
