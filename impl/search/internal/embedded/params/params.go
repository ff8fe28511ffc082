// Package params defines all search parameters in one table: their types, defaults, limits and error texts.
package params

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// MaxHits is the documented maximum number of hits on a page.
const MaxHits = 250

// kind is how a parameter is parsed.
type kind uint8

const (
	text    kind = iota // unchanged
	number              // an unsigned integer of 32 bits
	flag                // true or false (1 and 0 too); anything else is the default
	list                // values separated by commas
	refused             // a feature of Typesense that this engine does not have
)

// Limits for the names in one search. A search is carried out for each of its fields, and an answer contains a highlight tag for each
// match.
const (
	// MaxFields limits the fields that are searched, and the fields of facets. A pattern counts as many as it matches.
	MaxFields = 255
	// MaxGroupFields limits the fields by which documents are grouped.
	MaxGroupFields = 16
	// maxNames limits lists of other names.
	maxNames = 10_000
	// maxTagBytes limits the tags of highlights, and maxQueryBytes texts that are split into words.
	maxTagBytes, maxQueryBytes = 256, 64 << 10
)

// parameter is a line of the table.
type parameter struct {
	kind    kind
	def     int // default of a number; 1 for a flag that is on
	most    int // of a number (0: only its bits), of the values of a list, of the bytes of a text
	status  int // for a number beyond most
	tooMuch string
	// needs is another parameter without which a refused one is invalid in any case. missing is the text of that error.
	needs, missing string
}

// hits is the number of hits on a page.
var hits = parameter{kind: number, def: 10, most: MaxHits, status: http.StatusUnprocessableEntity, tooMuch: "Only upto 250 hits can be fetched per page."}

// ofFields is a list that corresponds to fields, and ofNames a list of other names.
var ofFields, ofNames = parameter{kind: list, most: MaxFields}, parameter{kind: list, most: maxNames}

// table lists the documented parameters of a search. Unknown parameters are ignored, as in Typesense.
var table = map[string]parameter{
	"q": {most: maxQueryBytes}, "text_match_type": {}, "filter_by": {}, "sort_by": {}, "facet_by": {}, "facet_query": {most: maxQueryBytes}, "facet_strategy": {},
	"preset": {}, "stopwords": {}, "drop_tokens_mode": {}, "split_join_tokens": {}, "collection": {}, "vector_query": {},

	"query_by": ofFields, "query_by_weights": ofFields, "prefix": ofFields, "infix": ofFields, "num_typos": ofFields, "highlight_fields": ofFields, "highlight_full_fields": ofFields,
	"facet_return_parent": ofFields, "group_by": {kind: list, most: MaxGroupFields}, "include_fields": ofNames, "exclude_fields": ofNames,
	"pinned_hits": ofNames, "hidden_hits": ofNames, "override_tags": ofNames, "curation_tags": ofNames,
	"highlight_start_tag": {most: maxTagBytes}, "highlight_end_tag": {most: maxTagBytes},

	"page": {kind: number, def: 1}, "offset": {kind: number},
	"per_page": hits, "limit": hits, "limit_hits": {kind: number, def: maxNumber},
	"min_len_1typo": {kind: number, def: 4}, "min_len_2typo": {kind: number, def: 7}, "typo_tokens_threshold": {kind: number, def: 1},
	"drop_tokens_threshold": {kind: number, def: 1}, "max_candidates": {kind: number, def: maxCandidates}, "max_filter_by_candidates": {kind: number, def: 4},
	"max_facet_values": {kind: number, def: 10}, "facet_query_num_typos": {kind: number, def: 2}, "group_limit": {kind: number, def: 3},
	"snippet_threshold": {kind: number, def: 30}, "highlight_affix_num_tokens": {kind: number, def: 4}, "synonym_num_typos": {kind: number},
	"search_cutoff_ms": {kind: number, def: 30_000}, "max_extra_prefix": {kind: number, def: maxNumber}, "max_extra_suffix": {kind: number, def: maxNumber},
	"facet_sample_percent":   {kind: number, def: 100, most: 100, status: http.StatusBadRequest, tooMuch: "Value of `facet_sample_percent` must be less than 100."},
	"facet_sample_threshold": {kind: number},
	"group_max_candidates":   {kind: number}, "cache_ttl": {kind: number, def: 60},

	"exhaustive_search": {kind: flag}, "rerank_hybrid_matches": {kind: flag}, "enable_typos_for_numerical_tokens": {kind: flag, def: 1}, "enable_typos_for_alpha_numerical_tokens": {kind: flag, def: 1},
	"prioritize_exact_match": {kind: flag, def: 1}, "prioritize_token_position": {kind: flag}, "prioritize_num_matching_fields": {kind: flag, def: 1},
	"enable_analytics": {kind: flag, def: 1}, "enable_highlight_v1": {kind: flag, def: 1}, "validate_field_names": {kind: flag, def: 1},
	"enable_synonyms": {kind: flag, def: 1}, "synonym_prefix": {kind: flag},
	"enable_overrides": {kind: flag, def: 1}, "enable_curations": {kind: flag, def: 1}, "filter_curated_hits": {kind: flag}, "group_missing_values": {kind: flag, def: 1}, "use_cache": {kind: flag},

	"voice_query": {kind: refused}, "conversation": {kind: refused, needs: "conversation_model_id", missing: "Conversation is enabled but no conversation model ID is provided."}, "conversation_id": {kind: refused}, "conversation_model_id": {kind: refused}, "nl_query": {kind: refused},
	"personalization_user_id":  {kind: refused},
	"personalization_model_id": {kind: refused}, "personalization_type": {kind: refused},
	"remote_embedding_timeout_ms": {kind: refused},
}

// maxCandidates is the default number of words that stand for a word of the query. The documentation says 4, but the recorded responses of
// 29.0 contain more, and agree with 10. An explicit number is used as given.
const maxCandidates = 10

// maxNumber means no limit.
const maxNumber = 1 << 31

// mayJoin are the parameters other than filter_by in which Typesense accepts "$collection(...)".
var (
	mayJoin = map[string]bool{"include_fields": true, "exclude_fields": true, "sort_by": true, "facet_by": true, "group_by": true}
	joins   = regexp.MustCompile(`(?:^|[,(\[\s])\$[^,()]*\(`)
)

// Params are the parameters of one search.
type Params struct{ values map[string]string }

// Read validates the values. If several are invalid, it returns the error of the first one by name.
func Read(values map[string]string) (Params, error) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p, known := table[name]
		if !known {
			continue
		}
		v := values[name]
		if mayJoin[name] && joins.MatchString(v) {
			return Params{}, schema.Unsupported(name + ": joins")
		}
		switch p.kind {
		case number:
			n, err := strconv.ParseUint(v, 10, 32)
			if err != nil {
				return Params{}, refuse(http.StatusBadRequest, "Parameter `%s` must be an unsigned integer.", name)
			}
			if p.most > 0 && n > uint64(p.most) {
				return Params{}, &schema.Error{Status: p.status, Text: p.tooMuch}
			}
		case list:
			if strings.Count(v, ",") >= p.most {
				return Params{}, TooMany(name, p.most)
			}
		case text:
			if p.most > 0 && len(v) > p.most {
				return Params{}, refuse(http.StatusUnprocessableEntity, "Rejecting search: `%s` of the embedded engine has at most %d bytes.", name, p.most)
			}
		case refused:
			if v != "" && v != "false" && v != "0" {
				if p.needs != "" && values[p.needs] == "" {
					return Params{}, refuse(http.StatusBadRequest, "%s", p.missing)
				}
				return Params{}, schema.Unsupported(name)
			}
		}
	}
	return Params{values}, nil
}

// TooMany returns the refusal of a search that names more than the engine accepts.
func TooMany(name string, most int) error {
	return refuse(http.StatusUnprocessableEntity, "Rejecting search: `%s` of the embedded engine names at most %d.", name, most)
}

func refuse(status int, format string, args ...any) error {
	return &schema.Error{Status: status, Text: fmt.Sprintf(format, args...)}
}

// Has reports whether the parameter was given.
func (p Params) Has(name string) bool { _, ok := p.values[name]; return ok }

// Text returns a parameter as it was given.
func (p Params) Text(name string) string { return p.values[name] }

// Number returns a number, or its default.
func (p Params) Number(name string) int {
	if n, err := strconv.ParseUint(p.values[name], 10, 32); err == nil {
		return int(min(n, maxNumber))
	}
	return table[name].def
}

// Flag returns a flag, or its default.
func (p Params) Flag(name string) bool {
	switch p.values[name] {
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	return table[name].def == 1
}

// Names parses a list of names. It trims white space and skips empty names.
func (p Params) Names(name string) []string {
	var out []string
	for item := range strings.SplitSeq(p.values[name], ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// PerField returns one value of a list for each of n fields. A single value applies to all. It returns nil if there are no values.
func (p Params) PerField(name, what string, n int) ([]string, error) {
	list := p.Names(name)
	switch {
	case len(list) == 0:
		return nil, nil
	case len(list) == 1:
		for len(list) < n {
			list = append(list, list[0])
		}
	case len(list) != n:
		return nil, refuse(http.StatusBadRequest, "Number of %s in `%s` does not match number of `query_by` fields.", what, name)
	}
	return list, nil
}

// PerPage returns the number of hits on a page: per_page, or else limit.
func (p Params) PerPage() int {
	if p.Has("per_page") {
		return p.Number("per_page")
	}
	return p.Number("limit")
}

// Window returns which hits are requested. A given page takes precedence over an offset. page is 0 if the offset is used, because the
// response then contains the offset.
func (p Params) Window() (page, offset, count int) {
	page, count = max(p.Number("page"), 1), p.PerPage()
	offset = (page - 1) * count
	if given, _ := strconv.Atoi(p.Text("page")); given < 1 && p.Number("offset") > 0 {
		page, offset = 0, p.Number("offset")
	}
	if hits := p.Number("limit_hits"); offset+count > hits {
		count = max(0, hits-offset)
	}
	return page, offset, count
}

// Flat converts the members of a JSON object to parameters. Numbers and booleans become texts, and lists are joined by commas. Objects and
// nulls are omitted.
func Flat(object map[string]json.RawMessage) map[string]string {
	out := make(map[string]string, len(object))
	for name, raw := range object {
		var v any
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.UseNumber()
		if d.Decode(&v) != nil {
			continue
		}
		if s, ok := scalar(v); ok {
			out[name] = s
			continue
		}
		if list, ok := v.([]any); ok {
			var items []string
			for _, item := range list {
				if s, ok := scalar(item); ok {
					items = append(items, s)
				}
			}
			out[name] = strings.Join(items, ",")
		}
	}
	return out
}

func scalar(v any) (string, bool) {
	switch t := v.(type) {
	case string:
		return t, true
	case json.Number:
		return t.String(), true
	case bool:
		return strconv.FormatBool(t), true
	}
	return "", false
}

// The include and exclude lists of a scoped key are repeated under these names. The fields of facets and groups are checked against them.
const (
	KeyIncludes = "include_fields\x00"
	KeyExcludes = "exclude_fields\x00"
)

// AlsoFilter is the prefix of the names of additional filters, all of which apply together with filter_by.
const AlsoFilter = "filter_by\x00"

// Filters returns filter_by and the additional filters.
func (p Params) Filters() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.values)) {
		if v := p.values[name]; (name == "filter_by" || strings.HasPrefix(name, AlsoFilter)) && strings.TrimSpace(v) != "" {
			out = append(out, v)
		}
	}
	return out
}
