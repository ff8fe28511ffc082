// Package index finds documents: it is told what the store holds and answers searches. Index is the agreement; Segments is
// the one implementation (docs/decisions/0038-segments.md).
package index

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Index is what the engine needs of an index. All methods may be called at the same time; Apply is called by one
// goroutine at a time.
type Index interface {
	// Apply makes the changes visible to every later Search, all of them at once.
	Apply(batch Batch) error
	// Search finds documents. It returns ctx.Err() when the context ends first.
	Search(ctx context.Context, plan Plan) (Result, error)
	// Stats tells how much the index holds.
	Stats() Stats
}

// Batch is a list of changes in order.
type Batch []Change

// Change puts (New), replaces (Old and New) or removes (Old) one document.
type Change struct {
	// Seq numbers the document in the order of insertion and never changes.
	Seq uint64
	// Schema knows the fields of Old and New.
	Schema *schema.Schema
	// Old says that the index holds the document; what was in it is not looked at.
	Old, New *schema.Typed
	// Commit is the number of the store's commit that the change is part of; 0 for none.
	Commit uint64
}

// Stats describes an index.
type Stats struct {
	Documents, Terms int
	// Dead counts the documents that were removed and still cost memory.
	Dead int
	// Bytes estimates the memory. Mapped pages are the system's and do not count.
	Bytes int64
}

// MarkInside is the mark of a word of Query.Inside.
const MarkInside = -1

// MatchType says how the scores of several fields make one.
type MatchType uint8

// The values of text_match_type.
const (
	MaxScore MatchType = iota
	MaxWeight
	SumScore
)

// SplitJoin says when words are tried split or joined.
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
	// Also are other words to search for in place of Words (synonyms): a document that has all of one of the lists is found too.
	Also [][]string
	// Inside are words of the vocabulary that hold the query's only word somewhere inside (infix). Their documents are found after all others and
	// are as good as each other.
	Inside []string
	// Phrases must occur, Excluded must not; both are lists of neighbouring words.
	Phrases, Excluded [][]string
}

// QueryField is one of the fields that are searched.
type QueryField struct {
	Field *schema.Field
	// Weight ranks the field: 15 for the most important.
	Weight   int
	NumTypos int
	Prefix   bool
}

// Facet asks for the counts of a field's values.
type Facet struct {
	Field *schema.Field
	// Max is the number of values to return.
	Max int
	// Alpha orders by value instead of count; Desc turns that order. Of values that are equally frequent the one that a newer document has
	// comes first.
	Alpha, Desc bool
}

// Plan is a search.
type Plan struct {
	Schema *schema.Schema
	Query  Query
	Fields []QueryField
	Filter *filter.Node
	Sort   []ordering.Key
	Facets []Facet
	// FacetsOfAll counts the facets over all documents and not over those found.
	FacetsOfAll bool
	// Values are fields of which each hit shall tell its values: such as the index Holds, and those of places, of each the latitude and then the longitude.
	Values []*schema.Field
	// Among, unless it is nil, are the numbers of the only documents that are found.
	Among []uint64
	// Near, unless it is nil, measures vectors: each hit tells its Distance.
	Near *Near
	// Cutoff is the time at which what is found is enough, however much that is; the zero time is none.
	Cutoff time.Time
	// Offset and Limit cut the sorted hits.
	Offset, Limit int

	MinLen1Typo, MinLen2Typo         int
	TypoThreshold, DropThreshold     int
	DropLeft                         bool
	MaxCandidates, FilterCandidates  int
	Exhaustive, NoTyposInNumbers     bool
	SplitJoin                        SplitJoin
	MatchType                        MatchType
	NoExactPriority, PositionMatters bool
	// NoFieldPriority is that documents do not come first for having words in more fields.
	NoFieldPriority bool
}

// Hit is one document found.
type Hit struct {
	Seq uint64
	// Match is nil when no words were searched.
	Match *Match
	// Values are those of the plan's Values. Nobody changes them.
	Values []schema.Value
	// Measured says that the document has a vector, of which Distance is what the plan's Near measures.
	Measured bool
	Distance float64
}

// Match is how well the words fit.
type Match struct {
	Score          uint64
	BestField      uint64
	BestWeight     int
	FieldsMatched  int
	TokensMatched  int
	TokensDropped  int
	TypoPrefixCost int
}

// FacetCount is one value of a facet. Last is the newest of the found documents that have it.
type FacetCount struct {
	Value string
	Count int
	Last  uint64
}

// FacetResult is the answer to a Facet.
type FacetResult struct {
	Field  *schema.Field
	Counts []FacetCount
	// Distinct counts the different values.
	Distinct int
	// Numeric says that Min to Avg are filled.
	Numeric            bool
	Min, Max, Sum, Avg float64
}

// Result is the answer to a Plan.
type Result struct {
	// Cut says that Cutoff came first: there may be more documents, and better ones.
	Cut          bool
	Found, OutOf int
	Hits         []Hit
	Facets       []FacetResult
	// Marks holds the words of the vocabulary that matched, with the number of letters to mark (0: all of the word; MarkInside: all of it where
	// the query's word is in it as it is written, punctuation too).
	Marks map[string]int
}
