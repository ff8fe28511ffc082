package store

import "strings"

// Column is the placeholder of a Values column in the first row, with its type: PostgreSQL treats an untyped parameter as text.
type Column string

// Types of columns.
const (
	Text   Column = "?"
	Bigint Column = "CAST(? AS BIGINT)"
	Blob   Column = "?"
)

// Values returns a VALUES list of n rows of placeholders; n is at least 1.
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

// Marks returns n placeholders, for IN; n is at least 1.
func Marks(n int) string { return "?" + strings.Repeat(", ?", n-1) }
