package rules

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Override is a curation rule: for matching searches it pins or hides documents, or changes the search.
type Override struct {
	EffectiveFrom       *int64          `json:"effective_from_ts,omitempty"`
	EffectiveTo         *int64          `json:"effective_to_ts,omitempty"`
	Excludes            []Excluded      `json:"excludes"`
	FilterBy            string          `json:"filter_by,omitempty"`
	FilterCuratedHits   bool            `json:"filter_curated_hits"`
	ID                  string          `json:"id"`
	Includes            []Included      `json:"includes"`
	Metadata            json.RawMessage `json:"metadata,omitempty"`
	RemoveMatchedTokens bool            `json:"remove_matched_tokens"`
	ReplaceQuery        string          `json:"replace_query,omitempty"`
	Rule                Rule            `json:"rule"`
	SortBy              string          `json:"sort_by,omitempty"`
	StopProcessing      bool            `json:"stop_processing"`
}

// Rule defines which searches match. All given conditions must hold.
type Rule struct {
	FilterBy string   `json:"filter_by,omitempty"`
	Match    string   `json:"match,omitempty"`
	Query    string   `json:"query,omitempty"`
	Tags     []string `json:"tags,omitempty"`
}

// Included is a document pinned to a position, counted from 1.
type Included struct {
	ID       string `json:"id"`
	Position int    `json:"position"`
}

// Excluded is a hidden document.
type Excluded struct {
	ID string `json:"id"`
}

const needsAction = "Must contain one of: `includes`, `excludes`, `metadata`, `filter_by`, `sort_by`, `remove_matched_tokens`, `replace_query`."

// ParseOverride parses the body of PUT .../overrides/{id}.
func ParseOverride(id string, body []byte) (Override, error) {
	raw, err := object(body)
	if err != nil {
		return Override{}, err
	}
	o := Override{ID: id, Includes: []Included{}, Excludes: []Excluded{}, StopProcessing: true}
	rule, ok := raw["rule"]
	if !ok || json.Unmarshal(rule, &map[string]json.RawMessage{}) != nil {
		return o, refuse("Missing `rule` definition.")
	}
	if json.Unmarshal(rule, &o.Rule) != nil {
		return o, refuse("Bad request.")
	}
	switch {
	case o.Rule.Query == "" && o.Rule.Match == "" && len(o.Rule.Tags) == 0 && o.Rule.FilterBy == "":
		return o, refuse("The `rule` definition must contain either a `tags` or a `query` and `match`.")
	case (o.Rule.Query == "") != (o.Rule.Match == ""):
		return o, refuse("The `rule` definition must contain a `query` and `match`.")
	}
	if !slices.ContainsFunc([]string{"includes", "excludes", "metadata", "filter_by", "sort_by", "remove_matched_tokens", "replace_query"},
		func(name string) bool { _, ok := raw[name]; return ok }) {
		return o, refuse(needsAction)
	}
	if err := o.documents(raw); err != nil {
		return o, err
	}
	_, o.RemoveMatchedTokens = raw["filter_by"] // the default
	return o, o.rest(raw)
}

func (o *Override) documents(raw map[string]json.RawMessage) error {
	for _, name := range []string{"includes", "excludes"} {
		v, ok := raw[name]
		if !ok {
			continue
		}
		var list []map[string]json.RawMessage
		if v[0] != '[' || json.Unmarshal(v, &list) != nil {
			return refuse("The `" + name + "` value must be an array.")
		}
		for _, item := range list {
			var id string
			_, hasPosition := item["position"]
			switch {
			case name == "excludes" && item["id"] == nil:
				return refuse("Exclusion definition must define an `id`.")
			case name == "includes" && (item["id"] == nil || !hasPosition):
				return refuse("Inclusion definition must define both `id` and `position` keys.")
			case !rawText(item["id"], &id):
				return refuse("The `id` of an override must be a string.")
			case name == "excludes":
				o.Excludes = append(o.Excludes, Excluded{id})
				continue
			}
			in := Included{ID: id}
			if json.Unmarshal(item["position"], &in.Position) != nil || in.Position < 0 {
				return refuse("Inclusion `position` must be an integer.")
			}
			o.Includes = append(o.Includes, in)
		}
	}
	return nil
}

func (o *Override) rest(raw map[string]json.RawMessage) error {
	for name, into := range map[string]any{
		"effective_from_ts": &o.EffectiveFrom, "effective_to_ts": &o.EffectiveTo, "filter_by": &o.FilterBy, "filter_curated_hits": &o.FilterCuratedHits,
		"remove_matched_tokens": &o.RemoveMatchedTokens, "replace_query": &o.ReplaceQuery, "sort_by": &o.SortBy, "stop_processing": &o.StopProcessing,
	} {
		if v, ok := raw[name]; ok && json.Unmarshal(v, into) != nil {
			return refuse("Bad request.")
		}
	}
	if v, ok := raw["metadata"]; ok {
		if json.Unmarshal(v, &map[string]json.RawMessage{}) != nil {
			return refuse("The `metadata` must be a JSON object.")
		}
		o.Metadata = v
	}
	return nil
}

// Search is the part of a search that curation uses and changes.
type Search struct {
	// Query is the q parameter, Words are its normalised words, and All reports that it requests all documents ("*").
	Query string
	Words []string
	All   bool
	// Filter and Sort are filter_by and sort_by. Tags is override_tags.
	Filter, Sort string
	Tags         []string
	// Now is in Unix seconds.
	Now int64

	// The fields below are set by Curate.
	Pins     []Included
	Hidden   []string
	Metadata json.RawMessage
	// Changed reports that Words are no longer those of the query.
	Changed bool
	// Added are filters that apply in addition to the search's own.
	Added []string
	// FilterPins reports that the filter applies to pinned documents too.
	FilterPins bool
}

// Values looks up values of facet fields and checks filters, both of which depend on a collection.
type Values interface {
	// HasValue reports whether some document has these words as a whole value of the field, and returns the value as it is written.
	HasValue(field string, words []string) (string, bool)
	// GoodFilter reports whether a filter is valid.
	GoodFilter(filter string) bool
}

// Curate applies the overrides in the order of their names, until one stops the processing.
func Curate(list []Override, s *Search, v Values, a *text.Analyzer) {
	for _, o := range list {
		if o.apply(s, v, a) && o.StopProcessing {
			return
		}
	}
}

// apply changes the search if the override matches, and reports whether it does.
func (o *Override) apply(s *Search, v Values, a *text.Analyzer) bool {
	if o.EffectiveFrom != nil && s.Now < *o.EffectiveFrom || o.EffectiveTo != nil && s.Now > *o.EffectiveTo || !o.tagged(s.Tags) {
		return false
	}
	if o.Rule.FilterBy != "" && o.Rule.FilterBy != s.Filter {
		return false
	}
	m, ok := o.match(s, v, a)
	if !ok {
		return false
	}
	filter := m.fill(o.FilterBy)
	if filter != "" && !v.GoodFilter(filter) {
		return false
	}
	if filter != "" {
		s.Added = append(s.Added, filter)
	}
	if o.SortBy != "" {
		s.Sort = m.fill(o.SortBy)
	}
	switch {
	case o.ReplaceQuery != "":
		s.Query = m.fill(o.ReplaceQuery)
		s.Words, s.All, s.Changed = a.Words(s.Query), strings.TrimSpace(s.Query) == "*", true
	case o.RemoveMatchedTokens && m.length > 0:
		s.Words = slices.Concat(s.Words[:m.at], s.Words[m.at+m.length:])
		s.Query = strings.Join(s.Words, " ")
		s.All, s.Changed = len(s.Words) == 0, true
		if s.All {
			s.Query = "*"
		}
	}
	s.Pins = append(s.Pins, o.Includes...)
	for _, e := range o.Excludes {
		s.Hidden = append(s.Hidden, e.ID)
	}
	if o.Metadata != nil {
		s.Metadata = o.Metadata
	}
	s.FilterPins = s.FilterPins || o.FilterCuratedHits
	return true
}

// tagged reports, as documented, whether an override applies to tags: one with tags applies if the search names one of them (or "*" for
// all), and one without tags applies if the search names none or "*".
func (o *Override) tagged(tags []string) bool {
	if len(o.Rule.Tags) == 0 {
		return len(tags) == 0 || slices.Contains(tags, "*")
	}
	return slices.ContainsFunc(tags, func(t string) bool { return t == "*" || slices.Contains(o.Rule.Tags, t) })
}

// met is where a query matched a rule, and the values of the rule's {placeholders}.
type met struct {
	at, length int
	values     map[string]string
}

func (m met) fill(text string) string {
	for name, v := range m.values {
		text = strings.ReplaceAll(text, "{"+name+"}", v)
	}
	return text
}

func (o *Override) match(s *Search, v Values, a *text.Analyzer) (met, bool) {
	if o.Rule.Query == "" {
		return met{}, true
	}
	if strings.TrimSpace(o.Rule.Query) == "*" {
		return met{}, s.All && o.Rule.Match == "exact"
	}
	parts := ruleParts(o.Rule.Query, a)
	if s.All || len(parts) == 0 {
		return met{}, false
	}
	last := 0
	if o.Rule.Match == "contains" {
		last = len(s.Words) - 1
	} else if o.Rule.Match != "exact" {
		return met{}, false
	}
	for at := 0; at <= last; at++ {
		m := met{at: at, values: map[string]string{}}
		n, ok := meet(parts, s.Words[at:], v, m.values)
		if ok && (o.Rule.Match == "contains" || n == len(s.Words)) {
			m.length = n
			return m, true
		}
	}
	return met{}, false
}

// part is a word of a rule's query, or the {name} of a field.
type part struct {
	word  string
	field string
}

func ruleParts(query string, a *text.Analyzer) (out []part) {
	for item := range strings.FieldsSeq(query) {
		if name, ok := strings.CutPrefix(item, "{"); ok && strings.HasSuffix(name, "}") {
			out = append(out, part{field: strings.TrimSuffix(name, "}")})
			continue
		}
		for _, w := range a.Words(item) {
			out = append(out, part{word: w})
		}
	}
	return out
}

// maxValueWords limits the words that a placeholder may stand for.
const maxValueWords = 8

// meet compares the first words with the parts. A placeholder matches the longest value of its field.
func meet(parts []part, words []string, v Values, values map[string]string) (n int, ok bool) {
	if len(parts) == 0 {
		return 0, true
	}
	if len(words) == 0 {
		return 0, false
	}
	if parts[0].field == "" {
		if words[0] != parts[0].word {
			return 0, false
		}
		n, ok = meet(parts[1:], words[1:], v, values)
		return n + 1, ok
	}
	for k := min(len(words), maxValueWords); k > 0; k-- {
		value, has := v.HasValue(parts[0].field, words[:k])
		if !has {
			continue
		}
		if n, ok = meet(parts[1:], words[k:], v, values); ok {
			values[parts[0].field] = value
			return n + k, true
		}
	}
	return 0, false
}

// ParsePins parses pinned_hits: IDs with positions, "3:1,5:2". An ID without a position goes to the end.
func ParsePins(list string) ([]Included, error) {
	var out []Included
	for item := range strings.SplitSeq(list, ",") {
		if item == "" {
			continue
		}
		at := strings.LastIndexByte(item, ':')
		if at < 0 {
			out = append(out, Included{ID: strings.TrimSpace(item), Position: last})
			continue
		}
		var n int
		var err error
		if n, err = strconv.Atoi(item[at+1:]); err != nil || n < 0 {
			return nil, &schema.Error{Status: http.StatusBadRequest, Text: "Pinned hits are not in expected format."}
		}
		if n == 0 {
			return nil, &schema.Error{Status: http.StatusBadRequest, Text: "Pinned hits must start from position 1."}
		}
		out = append(out, Included{ID: item[:at], Position: n})
	}
	return out, nil
}

// last is the position after all others.
const last = 1 << 30
