package domain

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
