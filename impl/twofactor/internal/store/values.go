package store

import (
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
