package store

import "strings"

// Column is the type of a column of Values, as its placeholder in the first row: PostgreSQL takes a parameter that nothing types for text.
type Column string

// The types of columns.
const (
	Text   Column = "?"
	Bigint Column = "CAST(? AS BIGINT)"
	Blob   Column = "?"
)

// Values is the VALUES list of n rows with placeholders; n is 1 at least.
func Values(n int, columns ...Column) string {
	var b strings.Builder
	b.WriteString("VALUES (" + string(columns[0]))
	for _, c := range columns[1:] {
		b.WriteString(", " + string(c))
	}
	b.WriteByte(')')
	row := ", (" + Marks(len(columns)) + ")"
	for range n - 1 {
		b.WriteString(row)
	}
	return b.String()
}

// Marks is n placeholders, for IN; n is 1 at least.
func Marks(n int) string { return "?" + strings.Repeat(", ?", n-1) }
