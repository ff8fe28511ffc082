// Package index finds documents: it is updated with the contents of the store and answers searches. Index is the interface, and Segments
// its only implementation (docs/decisions/0038-segments.md).
package index

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Index is the engine's interface to an index. All methods are safe for concurrent use, except that Apply must be called by one goroutine
// at a time.
type Index interface {
	// Apply makes the changes visible to every later Search, all at once.
	Apply(batch Batch) error
	// Search finds documents. It returns ctx.Err() if the context ends first.
	Search(ctx context.Context, plan Plan) (Result, error)
	// Stats returns how much the index contains.
	Stats() Stats
}

// Batch is a list of changes in order.
type Batch []Change

// Change adds (New), replaces (Old and New) or removes (Old) one document.
type Change struct {
	// Seq is the document's number in the order of insertion. It never changes.
	Seq uint64
	// Schema defines the fields of Old and New.
	Schema *schema.Schema
	// Old is set if the index contains the document. Its contents are not used.
	Old, New *schema.Typed
	// Commit is the number of the store's commit that contains the change; 0 for none.
	Commit uint64
}

// Stats describes the size of an index.
type Stats struct {
	Documents, Terms int
	// Dead is the number of documents that were removed but still occupy memory.
	Dead int
	// Bytes is the estimated memory. Mapped pages belong to the system and are not included.
	Bytes int64
}

// MarkInside marks a word of Query.Inside in Result.Marks.
const MarkInside = -1

// MatchType is how the scores of several fields are combined.
type MatchType uint8

// The values of text_match_type.
const (
	MaxScore MatchType = iota
	MaxWeight
	SumScore
)

// SplitJoin is when words are tried split or joined.
type SplitJoin uint8

// The values of split_join_tokens.
const (
	Fallback SplitJoin = iota
	Off
	Always
)

// Query is the parsed q parameter.
type Query struct {
	// All matches every document (before exclusions), None matches none.
	All, None bool
	Words     []string
	// Also holds alternatives to Words (synonyms). A document that contains all words of one of the lists is found too.
	Also [][]string
	// Inside holds words of the vocabulary that contain the query's only word (infix). Their documents rank after all others, and equally.
	Inside []string
	// Phrases must occur and Excluded must not. Both are lists of adjacent words.
	Phrases, Excluded [][]string
}

// QueryField is a field that is searched.
type QueryField struct {
	Field *schema.Field
	// Weight is the weight of the field: 15 for the most important.
	Weight   int
	NumTypos int
	Prefix   bool
}

// Facet requests the counts of a field's values.
type Facet struct {
	Field *schema.Field
	// Max is the number of values to return.
	Max int
	// Alpha sorts by value instead of count, and Desc reverses that. Among values with equal counts, the one in a newer document comes
	// first.
	Alpha, Desc bool
}

// Plan defines a search.
type Plan struct {
	Schema *schema.Schema
	Query  Query
	Fields []QueryField
	Filter *filter.Node
	Sort   []ordering.Key
	Facets []Facet
	// FacetsOfAll counts facets over all documents instead of those found.
	FacetsOfAll bool
	// Values are fields whose values each hit returns. They must be fields that Holds accepts, or fields of places, whose values are
	// latitude and longitude.
	Values []*schema.Field
	// Among, unless nil, restricts the search to the documents with these sequence numbers.
	Among []uint64
	// Near, unless nil, makes each hit return its vector's Distance.
	Near *Near
	// Cutoff is when the search ends with what has been found so far. The zero time is none.
	Cutoff time.Time
	// Offset and Limit select a page of the sorted hits.
	Offset, Limit int

	MinLen1Typo, MinLen2Typo         int
	TypoThreshold, DropThreshold     int
	DropLeft                         bool
	MaxCandidates, FilterCandidates  int
	Exhaustive, NoTyposInNumbers     bool
	SplitJoin                        SplitJoin
	MatchType                        MatchType
	NoExactPriority, PositionMatters bool
	// NoFieldPriority ignores in how many fields a document has words.
	NoFieldPriority bool
}

// Hit is a document that was found.
type Hit struct {
	Seq uint64
	// Match is nil if no words were searched.
	Match *Match
	// Values are the values of the plan's Values. They must not be modified.
	Values []schema.Value
	// Measured reports that the document has a vector. Distance is then the result of the plan's Near.
	Measured bool
	Distance float64
}

// Match describes how well the words match.
type Match struct {
	Score          uint64
	BestField      uint64
	BestWeight     int
	FieldsMatched  int
	TokensMatched  int
	TokensDropped  int
	TypoPrefixCost int
}

// FacetCount is one value of a facet. Last is the newest of the found documents with the value.
type FacetCount struct {
	Value string
	Count int
	Last  uint64
}

// FacetResult is the result of a Facet.
type FacetResult struct {
	Field  *schema.Field
	Counts []FacetCount
	// Distinct is the number of different values.
	Distinct int
	// Numeric reports that Min to Avg are set.
	Numeric            bool
	Min, Max, Sum, Avg float64
}

// Result is the result of a Plan.
type Result struct {
	// Cut reports that Cutoff has passed: there may be more documents, and better ones.
	Cut          bool
	Found, OutOf int
	Hits         []Hit
	Facets       []FacetResult
	// Marks holds the words of the vocabulary that matched, and how many letters of each to highlight. 0 means the whole word. MarkInside
	// means the whole word if it contains the query's word as written, including punctuation.
	Marks map[string]int
}
