package embedded

import (
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Limits are the documented limits of the engine. A zero field takes its default.
type Limits struct {
	// Collections, DocumentsPerCollection, Documents (in all collections) and Fields (of one schema) are counts.
	Collections, DocumentsPerCollection, Documents, Fields int
	// DocumentBytes limits one document, ImportBytes the body of one import, and BodyBytes any other body.
	DocumentBytes, ImportBytes, BodyBytes int64
	// MemoryBytes limits the estimated memory of all indexes.
	MemoryBytes int64
	// SearchTime limits one search.
	SearchTime time.Duration
}

// DefaultLimits returns limits for first steps and small sites.
func DefaultLimits() Limits {
	return Limits{
		Collections: 1000, DocumentsPerCollection: 200_000, Documents: 1_000_000, Fields: 10_000,
		DocumentBytes: 1 << 20, ImportBytes: 64 << 20, BodyBytes: 4 << 20, MemoryBytes: 512 << 20, SearchTime: 10 * time.Second,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	fill := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	fill64 := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	fill(&l.Collections, d.Collections)
	fill(&l.DocumentsPerCollection, d.DocumentsPerCollection)
	fill(&l.Documents, d.Documents)
	fill(&l.Fields, d.Fields)
	fill64(&l.DocumentBytes, d.DocumentBytes)
	fill64(&l.ImportBytes, d.ImportBytes)
	fill64(&l.BodyBytes, d.BodyBytes)
	fill64(&l.MemoryBytes, d.MemoryBytes)
	if l.SearchTime == 0 {
		l.SearchTime = d.SearchTime
	}
	return l
}

// errMemory has Typesense's documented text, which clients may recognise.
var errMemory = &schema.Error{Status: 422, Text: "Rejecting write: running out of resource type: OUT_OF_MEMORY"}

func tooMany(what string, n int) *schema.Error {
	return &schema.Error{Status: 422, Text: fmt.Sprintf("Rejecting write: the embedded engine takes at most %d %s.", n, what)}
}

func tooLarge(what string, n int64) *schema.Error {
	return &schema.Error{Status: 422, Text: fmt.Sprintf("Rejecting write: %s of the embedded engine is at most %d bytes.", what, n)}
}
