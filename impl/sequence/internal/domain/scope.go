package domain

import (
	"errors"
	"time"
)

// ScopeSummary is a scope in a list.
type ScopeSummary struct {
	Scope string
	Types int64 // element types
	Count int64 // elements of all types
}

// TypeSummary counts one type of a scope.
type TypeSummary struct {
	ElementType string
	Count       int64 // elements, omitted ones included
	Omitted     int64
}

// Next returns the number that the next element of the type gets.
func (t TypeSummary) Next() int64 { return t.Count + 1 }

// Origin is the import that created a scope.
type Origin struct {
	SHA256 string // of all lines of the file but the last, in hex
	At     time.Time
	By     string // the subject who imported it
}

// Errors of imports, and of changes to a scope that is being imported.
var (
	ErrScopeTaken = errors.New("scope has had an element")
	ErrImporting  = errors.New("scope is being imported")
	ErrImportLost = errors.New("import was aborted")
)
