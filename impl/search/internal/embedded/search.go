package embedded

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// maxSearches is Typesense's bound for the searches of one multi_search.
const maxSearches = 50

// searchAnswer is the answer to one search.
type searchAnswer struct {
	FacetCounts   []facetAnswer `json:"facet_counts"`
	Found         int           `json:"found"`
	Hits          []hitAnswer   `json:"hits"`
	OutOf         int           `json:"out_of"`
	Page          *int          `json:"page,omitempty"`
	Offset        *int          `json:"offset,omitempty"`
	RequestParams requestParams `json:"request_params"`
	SearchCutoff  bool          `json:"search_cutoff"`
	SearchTimeMS  int64         `json:"search_time_ms"`
}

type requestParams struct {
	CollectionName string `json:"collection_name"`
	FirstQ         string `json:"first_q"`
	PerPage        int    `json:"per_page"`
	Q              string `json:"q"`
}

type hitAnswer struct {
	Document      json.RawMessage `json:"document"`
	Highlight     map[string]any  `json:"highlight"`
	Highlights    []any           `json:"highlights"`
	TextMatch     *uint64         `json:"text_match,omitempty"`
	TextMatchInfo *textMatchInfo  `json:"text_match_info,omitempty"`
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

type facetAnswer struct {
	Counts    []facetCount       `json:"counts"`
	FieldName string             `json:"field_name"`
	Sampled   bool               `json:"sampled"`
	Stats     map[string]float64 `json:"stats"`
}

type facetCount struct {
	Count       int    `json:"count"`
	Highlighted string `json:"highlighted"`
	Value       string `json:"value"`
}

func (e *Engine) searchDocuments(w http.ResponseWriter, r *request) {
	if queryTooLong(r.param("q")) {
		e.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: "Query string exceeds max allowed length of 4000. Use the /multi_search end-point for larger payloads."})
		return
	}
	leave, err := e.gate.Enter(r.Context())
	if err != nil {
		e.fail(w, errBusy)
		return
	}
	defer leave()
	answer, err := e.search(r.Context(), r.parts[1], r.params)
	if err != nil {
		e.fail(w, err)
		return
	}
	reply(w, http.StatusOK, answer)
}

// multiSearch carries out several searches; an error of one is told in its place and the whole is 200.
func (e *Engine) multiSearch(w http.ResponseWriter, r *request) {
	body, err := e.body(w, r, e.limits.BodyBytes)
	if err != nil {
		e.fail(w, err)
		return
	}
	var ask struct {
		Searches []map[string]any `json:"searches"`
		Union    bool             `json:"union"`
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if err := d.Decode(&ask); err != nil || ask.Searches == nil {
		text := "Missing `searches` array."
		if !json.Valid(body) {
			text = "Bad JSON."
		}
		e.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: text})
		return
	}
	limit := maxSearches
	if n, err := strconv.Atoi(r.param("limit_multi_searches")); err == nil && n >= 0 {
		limit = min(n, maxSearches)
	}
	switch {
	case ask.Union:
		e.fail(w, schema.Unsupported("union"))
		return
	case len(ask.Searches) > limit:
		e.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: "Number of multi searches exceeds `limit_multi_searches` parameter."})
		return
	}
	leave, err := e.gate.Enter(r.Context())
	if err != nil {
		e.fail(w, errBusy)
		return
	}
	defer leave()
	results := make([]any, len(ask.Searches))
	for i, own := range ask.Searches {
		params := merged(r.params, own)
		answer, err := e.search(r.Context(), last(params["collection"]), params)
		if err != nil {
			refused := e.refusal(err)
			results[i] = map[string]any{"code": refused.Status, "error": refused.Text}
			continue
		}
		results[i] = answer
	}
	reply(w, http.StatusOK, map[string]any{"results": results})
}

func last(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

// merged puts a search's own parameters over the common ones of the URL.
func merged(common url.Values, own map[string]any) url.Values {
	out := make(url.Values, len(common)+len(own))
	for k, v := range common {
		out[k] = v
	}
	for k, v := range own {
		switch t := v.(type) {
		case string:
			out[k] = []string{t}
		case json.Number:
			out[k] = []string{t.String()}
		case bool:
			out[k] = []string{strconv.FormatBool(t)}
		case []any:
			var list []string
			for _, x := range t {
				if s, ok := x.(string); ok {
					list = append(list, s)
				}
			}
			out[k] = []string{strings.Join(list, ",")}
		}
	}
	return out
}

// search carries out one search.
func (e *Engine) search(ctx context.Context, name string, values url.Values) (*searchAnswer, error) {
	began := time.Now()
	c, err := e.collection(name)
	if err != nil {
		return nil, err
	}
	p := &searchParams{values: values}
	s := c.schema.Load()
	plan, err := planOf(p, s)
	if err != nil {
		return nil, err
	}
	page, perPage, offset := p.paging()
	plan.Offset, plan.Limit = offset, perPage
	marker := markerOf(p, s, plan)
	if p.err != nil {
		return nil, p.err
	}
	ctx, cancel := context.WithTimeout(ctx, e.limits.SearchTime)
	defer cancel()
	res, err := c.find(ctx, *plan)
	if err != nil {
		return nil, err
	}
	out := &searchAnswer{Found: res.Found, OutOf: res.OutOf, FacetCounts: facetAnswers(res.Facets)}
	out.RequestParams = requestParams{CollectionName: s.Name, FirstQ: p.text("q"), PerPage: p.number("per_page", p.number("limit", 10)), Q: p.text("q")}
	if page > 0 {
		out.Page = &page
	} else {
		out.Offset = &offset
	}
	if out.Hits, err = c.hits(res, marker, newProjection(p.text("include_fields"), p.text("exclude_fields"))); err != nil {
		return nil, err
	}
	out.SearchTimeMS = time.Since(began).Milliseconds()
	return out, nil
}

// planOf checks the parameters and makes the plan.
func planOf(p *searchParams, s *schema.Schema) (*index.Plan, error) {
	p.refuseUnsupported()
	plan := &index.Plan{Schema: s}
	p.typing(plan)
	q := p.text("q")
	plan.Fields = queryFields(p, s, strings.TrimSpace(q) == "*")
	if p.err != nil {
		return nil, p.err
	}
	analyzer := s.Analyzer()
	if len(plan.Fields) > 0 {
		analyzer = plan.Fields[0].Field.Analyzer()
	}
	plan.Query = parseQuery(q, analyzer)
	var err error
	if plan.Filter, err = filter.Parse(p.text("filter_by"), s, filter.Options{AllowUnknown: !p.bool("validate_field_names", true)}); err != nil {
		return nil, err
	}
	if plan.Sort, err = ordering.Parse(p.text("sort_by"), s); err != nil {
		return nil, err
	}
	plan.Facets, err = facetsOf(p, s)
	return plan, err
}

// queryFields reads query_by with what goes with it.
func queryFields(p *searchParams, s *schema.Schema, star bool) []index.QueryField {
	var fields []*schema.Field
	for _, name := range names(p.text("query_by")) {
		fields = append(fields, p.fieldsNamed(name, s)...)
	}
	if p.err != nil {
		return nil
	}
	if len(fields) == 0 {
		if !star {
			p.fail(http.StatusBadRequest, "No search fields specified for the query.")
		}
		return nil
	}
	typos := p.perField("num_typos", "values", len(fields))
	prefixes := p.perField("prefix", "prefix values", len(fields))
	weights := p.weights(len(fields))
	out := make([]index.QueryField, len(fields))
	for i, f := range fields {
		out[i] = index.QueryField{Field: f, Weight: weights[i], NumTypos: 2, Prefix: true}
		if typos != nil {
			n, err := strconv.Atoi(typos[i])
			if err != nil || n < 0 {
				p.fail(http.StatusBadRequest, "Number of values in `num_typos` does not match number of `query_by` fields.")
			}
			out[i].NumTypos = min(n, 2)
		}
		if prefixes != nil {
			out[i].Prefix = prefixes[i] != "false"
		}
	}
	return out
}

// fieldsNamed finds the string fields that an item of query_by means.
func (p *searchParams) fieldsNamed(name string, s *schema.Schema) []*schema.Field {
	if name == "id" {
		p.fail(http.StatusBadRequest, "Cannot use `id` as a query by field.")
		return nil
	}
	if prefix, ok := strings.CutSuffix(name, "*"); ok {
		var out []*schema.Field
		for _, f := range s.Fields {
			if !f.Pattern() && f.Text() && f.Index && strings.HasPrefix(f.Name, prefix) {
				out = append(out, f)
			}
		}
		if len(out) == 0 {
			p.fail(http.StatusNotFound, "Could not find a field named `%s` in the schema.", name)
		}
		return out
	}
	f, ok := s.Field(name)
	switch {
	case !ok && !p.bool("validate_field_names", true):
		return nil
	case !ok:
		p.fail(http.StatusNotFound, "Could not find a field named `%s` in the schema.", name)
	case !f.Index:
		p.fail(http.StatusBadRequest, "Field `%s` is marked as a non-indexed field in the schema.", name)
	case !f.Text():
		p.fail(http.StatusBadRequest, "Field `%s` should be a string or a string array.", name)
	}
	return []*schema.Field{f}
}

// weights ranks the fields: the most important has the top weight. Without (readable) query_by_weights the order of the
// fields ranks them.
func (p *searchParams) weights(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = max(1, index.TopWeight-i)
	}
	list := names(p.text("query_by_weights"))
	if len(list) == 0 {
		return out
	}
	if len(list) != n {
		p.fail(http.StatusBadRequest, "Number of weights in `query_by_weights` does not match number of `query_by` fields.")
		return out
	}
	given := make([]int, n)
	for i, v := range list {
		w, err := strconv.Atoi(v)
		if err != nil || w < 0 {
			return out
		}
		given[i] = w
	}
	ranks := slices.Clone(given)
	slices.Sort(ranks)
	ranks = slices.Compact(ranks)
	for i, w := range given {
		at, _ := slices.BinarySearch(ranks, w)
		out[i] = max(1, index.TopWeight-(len(ranks)-1-at))
	}
	return out
}

// facetsOf reads facet_by.
func facetsOf(p *searchParams, s *schema.Schema) ([]index.Facet, error) {
	most := p.number("max_facet_values", 10)
	var out []index.Facet
	for _, item := range names(p.text("facet_by")) {
		name, options, hasOptions := strings.Cut(item, "(")
		name = strings.TrimSpace(name)
		f := index.Facet{Max: most}
		if hasOptions {
			if err := facetOptions(&f, options); err != nil {
				return nil, err
			}
		}
		fields, err := facetFields(name, s)
		if err != nil {
			return nil, err
		}
		for _, field := range fields {
			if f.Alpha && !field.Text() {
				return nil, &schema.Error{Status: http.StatusBadRequest, Text: "Facet field should be string type to apply alpha sort."}
			}
			f.Field = field
			out = append(out, f)
		}
	}
	return out, p.err
}

func facetFields(name string, s *schema.Schema) ([]*schema.Field, error) {
	if prefix, ok := strings.CutSuffix(name, "*"); ok {
		var out []*schema.Field
		for _, f := range s.Fields {
			if !f.Pattern() && f.Facet && strings.HasPrefix(f.Name, prefix) {
				out = append(out, f)
			}
		}
		return out, nil
	}
	f, ok := s.Field(name)
	if !ok || !f.Facet {
		return nil, &schema.Error{Status: http.StatusNotFound, Text: "Could not find a facet field named `" + name + "` in the schema."}
	}
	return []*schema.Field{f}, nil
}

// facetOptions reads "sort_by: _alpha:asc". Ranges and sorting by another field are refused by name.
func facetOptions(f *index.Facet, options string) error {
	options = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(options), ")"))
	rest, ok := strings.CutPrefix(options, "sort_by:")
	if !ok {
		return schema.Unsupported("facet_by: ranges")
	}
	by, direction, ok := strings.Cut(strings.TrimSpace(rest), ":")
	direction = strings.ToLower(strings.TrimSpace(direction))
	switch {
	case !ok || direction != "asc" && direction != "desc":
		return &schema.Error{Status: http.StatusBadRequest, Text: "Invalid sort format."}
	case strings.TrimSpace(by) != "_alpha":
		return schema.Unsupported("facet_by: sort_by a field")
	}
	f.Alpha, f.Desc = true, direction == "desc"
	return nil
}

func facetAnswers(facets []index.FacetResult) []facetAnswer {
	out := make([]facetAnswer, 0, len(facets))
	for _, f := range facets {
		a := facetAnswer{Counts: make([]facetCount, 0, len(f.Counts)), FieldName: f.Field.Name, Stats: map[string]float64{"total_values": float64(f.Distinct)}}
		for _, c := range f.Counts {
			a.Counts = append(a.Counts, facetCount{Count: c.Count, Highlighted: c.Value, Value: c.Value})
		}
		if f.Numeric {
			a.Stats["min"], a.Stats["max"], a.Stats["sum"], a.Stats["avg"] = f.Min, f.Max, f.Sum, f.Avg
		}
		out = append(out, a)
	}
	return out
}

// hits reads the documents of a page and shows them. A document that has gone since the search is left out.
func (c *collection) hits(res index.Result, m *marker, p projection) ([]hitAnswer, error) {
	seqs := make([]uint64, len(res.Hits))
	for i, h := range res.Hits {
		seqs[i] = h.Seq
	}
	docs, err := c.bySeq(seqs)
	if err != nil {
		return nil, err
	}
	out := make([]hitAnswer, 0, len(docs))
	for i, doc := range docs {
		if doc == nil {
			continue
		}
		a := hitAnswer{Highlight: map[string]any{}, Highlights: []any{}}
		if err := m.mark(&a, doc, res.Marks, p); err != nil {
			return nil, err
		}
		if a.Document, err = p.apply(doc); err != nil {
			return nil, err
		}
		if h := res.Hits[i].Match; h != nil {
			a.TextMatch = &h.Score
			a.TextMatchInfo = &textMatchInfo{
				BestFieldScore: strconv.FormatUint(h.BestField, 10), BestFieldWeight: h.BestWeight, FieldsMatched: h.FieldsMatched,
				NumTokensDropped: h.TokensDropped, Score: strconv.FormatUint(h.Score, 10), TokensMatched: h.TokensMatched, TypoPrefixScore: h.TypoPrefixCost,
			}
		}
		out = append(out, a)
	}
	return out, nil
}
