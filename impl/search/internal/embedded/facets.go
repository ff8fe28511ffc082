package embedded

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/projection"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// facetAsk holds the parsed facet_by and facet_query.
type facetAsk struct {
	list []facetOf
	most int
	// top restricts statistics and ranges to the most frequent values that are shown.
	top bool
}

// facetOf is one facet.
type facetOf struct {
	field       *schema.Field
	alpha, desc bool
	ranges      []facetRange
	// query holds the words of facet_query if it is for this field.
	query []string
	typos int
	asked bool
	// by is another field, by whose values the facet's values are sorted.
	by *schema.Field
}

// facetRange is a labelled interval that includes low and excludes high.
type facetRange struct {
	label     string
	low, high float64
}

// maxFacetValues limits the number of values of one facet.
const maxFacetValues = 1 << 24

// read parses facet_by and facet_query.
func (a *facetAsk) read(p params.Params, s *schema.Schema) error {
	a.most = p.Number("max_facet_values")
	seen := keyShows(p)
	items, err := facetItems(p.Text("facet_by"))
	if err != nil {
		return err
	}
	for _, item := range items {
		name, options, hasOptions := strings.Cut(item, "(")
		fields, err := facetFields(strings.TrimSpace(name), s, seen)
		if err != nil {
			if !p.Flag("validate_field_names") { // as documented, an unknown field is ignored
				continue
			}
			return err
		}
		for _, field := range fields {
			f := facetOf{field: field}
			if hasOptions {
				if err := f.options(s, strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(options), ")"))); err != nil {
					return err
				}
			}
			a.list = append(a.list, f)
		}
		if len(a.list) > params.MaxFields {
			return params.TooMany("facet_by", params.MaxFields)
		}
	}
	return a.query(p)
}

// facetItems splits at commas outside parentheses and brackets.
func facetItems(list string) (out []string, err error) {
	depth, start := 0, 0
	for i, c := range list + "," {
		switch {
		case c == '(' || c == '[':
			depth++
		case c == ')' || c == ']':
			depth--
		case c == ',' && depth == 0:
			if item := strings.TrimSpace(list[start:i]); item != "" {
				out = append(out, item)
			}
			start = i + 1
		}
	}
	if depth != 0 {
		return nil, badRequest("Invalid facet format.")
	}
	return out, nil
}

// keyShows returns which fields a scoped key lets its holder see.
func keyShows(p params.Params) projection.Projection {
	return projection.New(p.Text(params.KeyIncludes), p.Text(params.KeyExcludes))
}

func facetFields(name string, s *schema.Schema, seen projection.Projection) ([]*schema.Field, error) {
	if prefix, ok := strings.CutSuffix(name, "*"); ok {
		var out []*schema.Field
		for _, f := range s.Fields {
			if !f.Pattern() && f.Facet && f.Counted() && strings.HasPrefix(f.Name, prefix) && seen.Shows(f.Name) {
				out = append(out, f)
			}
		}
		return out, nil
	}
	f, ok := s.Field(name)
	if !ok || !f.Facet || !seen.Shows(name) {
		return nil, &schema.Error{Status: http.StatusNotFound, Text: "Could not find a facet field named `" + name + "` in the schema."}
	}
	return []*schema.Field{f}, nil
}

// options parses "sort_by: _alpha:asc" or ranges, "low:[0, 10], high:[10, ]".
func (f *facetOf) options(s *schema.Schema, options string) error {
	if rest, ok := strings.CutPrefix(options, "sort_by:"); ok {
		return f.order(s, rest)
	}
	if !f.field.Sort || !f.field.Numeric() {
		return badRequest("Range facets require sort enabled for the field.")
	}
	items, err := facetItems(options)
	if err != nil {
		return err
	}
	for _, item := range items {
		label, bounds, ok := strings.Cut(item, ":")
		bounds = strings.TrimSpace(bounds)
		label = strings.TrimSpace(label)
		low, high, two := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(bounds, "["), "]"), ",")
		if !ok || label == "" || !two || !strings.HasPrefix(bounds, "[") || !strings.HasSuffix(bounds, "]") {
			return badRequest("Facet range value is not valid.")
		}
		r := facetRange{label: label}
		if r.low, err = bound(low, -inf); err == nil {
			r.high, err = bound(high, inf)
		}
		if err != nil {
			return badRequest("Facet range value is not valid.")
		}
		if f.ranges = append(f.ranges, r); len(f.ranges) > maxRanges {
			return params.TooMany("facet_by: ranges", maxRanges)
		}
	}
	return nil
}

// maxRanges limits the ranges of one facet, because each value is compared with each range.
const maxRanges = 1000

const inf = 1e300

// bound parses an end of a range. An empty end is open.
func bound(s string, open float64) (float64, error) {
	if s = strings.TrimSpace(s); s == "" {
		return open, nil
	}
	return strconv.ParseFloat(s, 64)
}

// order parses "_alpha:asc" or "field:desc".
func (f *facetOf) order(s *schema.Schema, text string) error {
	by, direction, ok := strings.Cut(strings.TrimSpace(text), ":")
	by, direction = strings.TrimSpace(by), strings.ToLower(strings.TrimSpace(direction))
	if !ok || direction != "asc" && direction != "desc" {
		return badRequest("Invalid sort format.")
	}
	f.desc = direction == "desc"
	if by == "_alpha" {
		if f.alpha = f.field.Text(); !f.alpha {
			return badRequest("Facet field should be string type to apply alpha sort.")
		}
		return nil
	}
	if f.by, ok = s.Field(by); !ok || !f.by.Sort {
		return &schema.Error{Status: http.StatusNotFound, Text: "Could not find a field named `" + by + "` in the schema for sorting."}
	}
	return nil
}

// orderFacets sorts the values of facets by another field of the documents that have them. If several documents have a value, the last one
// is used.
func (r *run) orderFacets(results []index.FacetResult) error {
	if !slices.ContainsFunc(r.facets.list, func(f facetOf) bool { return f.by != nil }) {
		return nil
	}
	plan := r.counting()
	plan.Facets, plan.Limit = nil, r.everything()
	var fields []*schema.Field
	for _, f := range r.facets.list {
		for _, one := range []*schema.Field{f.field, f.by} {
			if f.by != nil && !slices.Contains(fields, one) {
				fields = append(fields, one)
			}
		}
	}
	_, rows, values, err := r.tabled(plan, fields, index.Holds)
	if err != nil {
		return err
	}
	for n, f := range r.facets.list {
		if f.by == nil {
			continue
		}
		of := map[string]part{}
		own, other := values.at(f.field), values.at(f.by)
		for i := range rows {
			for _, v := range f.field.Texts(nil, values.rows[i][own]) {
				if _, known := of[v]; !known {
					of[v] = fieldPart(ordering.Key{Field: f.by, Desc: f.desc}, values.rows[i][other])
				}
			}
		}
		slices.SortStableFunc(results[n].Counts, func(a, b index.FacetCount) int { return of[a.Value].compare(of[b.Value]) })
		results[n].Counts = results[n].Counts[:min(len(results[n].Counts), r.facets.most)]
	}
	return nil
}

// query parses facet_query, "field: words".
func (a *facetAsk) query(p params.Params) error {
	q := p.Text("facet_query")
	if q == "" {
		return nil
	}
	if len(a.list) == 0 {
		return badRequest("The `facet_query` parameter is supplied without a `facet_by` parameter.")
	}
	name, words, ok := strings.Cut(q, ":")
	name = strings.TrimSpace(name)
	if !ok {
		return badRequest("Facet query must be in the `facet_field: value` format.")
	}
	found := false
	for i := range a.list {
		if f := &a.list[i]; f.field.Name == name {
			f.query, f.typos, f.asked, found = f.field.Analyzer().Words(words), min(p.Number("facet_query_num_typos"), 2), strings.TrimSpace(words) != "", true
			f.query = f.query[:min(len(f.query), index.MaxWords)]
		}
	}
	if !found {
		return badRequest("Facet query refers to a facet field `%s` that is not part of `facet_by` parameter.", name)
	}
	return nil
}

// strategy applies facet_strategy. top_values counts only the most frequent values, which version 29.0 chooses automatically for a search
// for all documents without a filter; exhaustive counts all.
func (a *facetAsk) strategy(p params.Params, unfiltered bool) {
	switch p.Text("facet_strategy") {
	case "top_values":
		a.top = true
	case "exhaustive":
	default:
		a.top = unfiltered
	}
}

// asks returns the facets that the index counts: all values, most frequent first, even if only some of them are shown.
func (a *facetAsk) asks() []index.Facet {
	out := make([]index.Facet, len(a.list))
	for i, f := range a.list {
		out[i] = index.Facet{Field: f.field, Max: maxFacetValues}
		if a.top { // the alphabetically first values, not the most frequent
			out[i].Alpha, out[i].Desc = f.alpha, f.desc
		}
		if !f.asked && len(f.ranges) == 0 && f.by == nil {
			out[i].Max = a.most
		}
	}
	return out
}

// answers converts the counts to the response.
func (a *facetAsk) answers(results []index.FacetResult) ([]FacetAnswer, error) {
	out := make([]FacetAnswer, 0, len(results))
	for i, r := range results {
		f := a.list[i]
		shown := FacetAnswer{Counts: []FacetCount{}, FieldName: r.Field.Name, Stats: map[string]float64{}}
		if a.top && !f.asked && f.by == nil {
			r.Counts = r.Counts[:min(len(r.Counts), a.most)]
			restrict(&r)
		}
		total := r.Distinct
		switch {
		case len(f.ranges) > 0:
			shown.Counts = f.inRanges(r.Counts)
			total = len(shown.Counts)
		case f.asked:
			shown.Counts = f.fitting(r.Counts)
			total = len(shown.Counts)
		default:
			for _, c := range r.Counts {
				shown.Counts = append(shown.Counts, FacetCount{Count: c.Count, Highlighted: c.Value, Value: c.Value})
			}
		}
		shown.Counts = shown.Counts[:min(len(shown.Counts), a.most)]
		if f.alpha { // the most frequent values, in alphabetical order
			slices.SortFunc(shown.Counts, func(a, b FacetCount) int {
				if f.desc {
					a, b = b, a
				}
				return cmp.Compare(a.Value, b.Value)
			})
		}
		shown.Stats["total_values"] = float64(total)
		if r.Numeric {
			shown.Stats["min"], shown.Stats["max"], shown.Stats["sum"], shown.Stats["avg"] = r.Min, r.Max, r.Sum, r.Avg
		}
		out = append(out, shown)
	}
	return out, nil
}

// restrict recomputes the statistics for the remaining values. Minimum and maximum stay those of all values.
func restrict(r *index.FacetResult) {
	r.Distinct = len(r.Counts)
	if !r.Numeric {
		return
	}
	n := 0
	r.Sum = 0
	for _, c := range r.Counts {
		v, err := r.Field.Number(c.Value)
		if err != nil {
			continue
		}
		n += c.Count
		r.Sum += v * float64(c.Count)
	}
	if n > 0 {
		r.Avg = r.Sum / float64(n)
	}
}

// inRanges sums the counts of the values in each range. Empty ranges are omitted.
func (f *facetOf) inRanges(counts []index.FacetCount) []FacetCount {
	out := []FacetCount{}
	values := make([]float64, len(counts))
	for i, c := range counts {
		var err error
		if values[i], err = strconv.ParseFloat(c.Value, 64); err != nil {
			values[i] = math.NaN() // in no range
		}
	}
	for _, r := range f.ranges {
		n := 0
		for i, v := range values {
			if v >= r.low && v < r.high {
				n += counts[i].Count
			}
		}
		if n > 0 {
			out = append(out, FacetCount{Count: n, Value: r.label})
		}
	}
	slices.SortStableFunc(out, func(a, b FacetCount) int { return cmp.Compare(b.Count, a.Count) })
	return out
}

// fitting returns the values that contain every word of the query, the last one as a prefix. Typos are allowed if nothing matches without.
func (f *facetOf) fitting(counts []index.FacetCount) []FacetCount {
	if len(f.query) == 0 { // only punctuation
		return []FacetCount{}
	}
	for typos := 0; typos <= f.typos; typos++ {
		out := []FacetCount{}
		fits := f.fits(typos)
		for _, c := range counts {
			if shown, ok := f.marked(c.Value, fits); ok {
				out = append(out, FacetCount{Count: c.Count, Highlighted: shown, Value: c.Value})
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return []FacetCount{}
}

// fits returns, for each word of the query, a function that reports whether a word of a value matches it. Words too long for typos are
// compared exactly.
func (f *facetOf) fits(typos int) []func(string) bool {
	out := make([]func(string) bool, len(f.query))
	for i, asked := range f.query {
		last := i == len(f.query)-1
		if allowed := allowed(asked, typos); allowed > 0 {
			m := text.NewMatcher(asked, allowed, last)
			out[i] = func(word string) bool { _, ok, _ := m.Match(word); return ok }
			continue
		}
		out[i] = func(word string) bool { return word == asked || last && strings.HasPrefix(word, asked) }
	}
	return out
}

// marked highlights the words of a value that match the query.
func (f *facetOf) marked(value string, fits []func(string) bool) (string, bool) {
	tokens := f.field.Analyzer().Tokens(value)
	type span struct{ start, end int }
	var spans []span
	for i, asked := range f.query {
		last := i == len(f.query)-1
		at := slices.IndexFunc(tokens, func(t text.Token) bool { return fits[i](t.Text) })
		if at < 0 {
			return "", false
		}
		t := tokens[at]
		end := t.End
		if last && strings.HasPrefix(t.Text, asked) && t.Text != asked {
			end = t.Start + f.field.Analyzer().Letters(value[t.Start:t.End], len([]rune(asked)))
		}
		spans = append(spans, span{t.Start, end})
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	var b strings.Builder
	at := 0
	for _, s := range slices.Compact(spans) {
		if s.start < at {
			continue
		}
		b.WriteString(value[at:s.start] + "<mark>" + value[s.start:s.end] + "</mark>")
		at = s.end
	}
	return b.String() + value[at:], true
}

// allowed returns how many typos a word may have, by the documented defaults of min_len_1typo and min_len_2typo.
func allowed(word string, typos int) int {
	switch n := utf8.RuneCountInString(word); {
	case n < 4, n > index.MostLetters:
		return 0
	case n < 7:
		return min(typos, 1)
	}
	return typos
}
