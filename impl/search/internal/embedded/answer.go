package embedded

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
)

// Answer is the response to one search.
type Answer struct {
	FacetCounts   []FacetAnswer   `json:"facet_counts"`
	Found         int             `json:"found"`
	FoundDocs     *int            `json:"found_docs,omitempty"`
	Hits          *[]HitAnswer    `json:"hits,omitempty"`
	GroupedHits   *[]GroupAnswer  `json:"grouped_hits,omitempty"`
	Metadata      json.RawMessage `json:"metadata,omitempty"`
	OutOf         hideable        `json:"out_of,omitzero"`
	Page          *int            `json:"page,omitempty"`
	Offset        *int            `json:"offset,omitempty"`
	RequestParams requestParams   `json:"request_params"`
	SearchCutoff  bool            `json:"search_cutoff"`
	SearchTimeMS  hideable        `json:"search_time_ms,omitzero"`

	counts bool // see Asked
}

// hideable is a number that exclude_fields can omit from a response.
type hideable struct {
	n      int64
	hidden bool
}

// IsZero reports whether the number is omitted.
func (h hideable) IsZero() bool { return h.hidden }

// MarshalJSON implements json.Marshaler.
func (h hideable) MarshalJSON() ([]byte, error) { return strconv.AppendInt(nil, h.n, 10), nil }

// hide omits the numbers that exclude_fields names beside fields of documents. This includes the exclude_fields of a scoped key, because
// the number of documents and the time of a search reveal something about documents that a caller may not see.
func hide(p params.Params, outOf, time *hideable) {
	for _, list := range [][]string{p.Names("exclude_fields"), p.Names(params.KeyExcludes)} {
		outOf.hidden = outOf.hidden || slices.Contains(list, "out_of")
		time.hidden = time.hidden || slices.Contains(list, "search_time_ms")
	}
}

type requestParams struct {
	CollectionName string `json:"collection_name"`
	FirstQ         string `json:"first_q"`
	PerPage        int    `json:"per_page"`
	Q              string `json:"q"`
}

// HitAnswer is a document that was found.
type HitAnswer struct {
	Collection     string          `json:"collection,omitempty"` // in a union
	Curated        bool            `json:"curated,omitempty"`
	Document       json.RawMessage `json:"document"`
	GeoDistances   map[string]int  `json:"geo_distance_meters,omitempty"`
	Highlight      map[string]any  `json:"highlight"`
	Highlights     []any           `json:"highlights"`
	SearchIndex    *int            `json:"search_index,omitempty"` // in a union
	TextMatch      *uint64         `json:"text_match,omitempty"`
	TextMatchInfo  *textMatchInfo  `json:"text_match_info,omitempty"`
	VectorDistance *float64        `json:"vector_distance,omitempty"`
	Hybrid         *hybridInfo     `json:"hybrid_search_info,omitempty"`
}

type hybridInfo struct {
	Score float64 `json:"rank_fusion_score"`
}

type textMatchInfo struct {
	BestFieldScore   string `json:"best_field_score"`
	BestFieldWeight  int    `json:"best_field_weight"`
	FieldsMatched    int    `json:"fields_matched"`
	NumTokensDropped int    `json:"num_tokens_dropped"`
	Score            string `json:"score"`
	TokensMatched    int    `json:"tokens_matched"`
	TypoPrefixScore  int    `json:"typo_prefix_score"`
}

// GroupAnswer is one group of documents.
type GroupAnswer struct {
	Found    int         `json:"found"`
	GroupKey []any       `json:"group_key"`
	Hits     []HitAnswer `json:"hits"`
}

// FacetAnswer holds the counted values of a field.
type FacetAnswer struct {
	Counts    []FacetCount       `json:"counts"`
	FieldName string             `json:"field_name"`
	Sampled   bool               `json:"sampled"`
	Stats     map[string]float64 `json:"stats"`
}

// FacetCount is the count of one value.
type FacetCount struct {
	Count       int    `json:"count"`
	Highlighted string `json:"highlighted"`
	// Parent is the object that contains the value (facet_return_parent).
	Parent json.RawMessage `json:"parent,omitempty"`
	Value  string          `json:"value"`
}

// tell sets the text match of a hit.
func (a *HitAnswer) tell(m *index.Match) {
	if m == nil {
		return
	}
	a.TextMatch = &m.Score
	a.TextMatchInfo = &textMatchInfo{
		BestFieldScore: strconv.FormatUint(m.BestField, 10), BestFieldWeight: m.BestWeight, FieldsMatched: m.FieldsMatched,
		NumTokensDropped: m.TokensDropped, Score: strconv.FormatUint(m.Score, 10), TokensMatched: m.TokensMatched, TypoPrefixScore: m.TypoPrefixCost,
	}
}
