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
	Count       int64 // elements, the omitted ones too
	Omitted     int64
}

// Next is the number that the next element gets if nobody comes before.
func (t TypeSummary) Next() int64 { return t.Count + 1 }

// Origin is the import that a scope was made of.
type Origin struct {
	SHA256 string // of the file's lines but the last, in hex
	At     time.Time
	By     string // the subject that imported it
}

// What keeps an import from a scope, or others from the scope of an import.
var (
	ErrScopeTaken = errors.New("scope has had an element")
	ErrImporting  = errors.New("scope is being imported")
	ErrImportLost = errors.New("import was given up")
)
