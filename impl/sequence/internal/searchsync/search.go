package searchsync

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/problem"
)

// maxFilter is the longest filter the search service takes, in bytes.
const maxFilter = 4096

// retryPause is how long a caller is asked to wait while the search service is unavailable.
const retryPause = 2 * time.Second

// Query is a search in one scope. Empty fields do not restrict it.
type Query struct {
	Scope         string
	Words         string // "*" finds everything
	ElementType   string
	Status        domain.Status
	From, To      int64    // numbers; 0: no bound
	Filters       []Filter // all must hold
	Facets        []string // properties to count
	Page, PerPage int32    // from 1
}

// Filter matches elements whose property has one of the values.
type Filter struct {
	Property string
	Values   []string
}

// Result is one page of what was found.
type Result struct {
	Found  int64
	Hits   []Hit
	Facets []Facet // as asked for
}

// Hit is a found element in its present state.
type Hit struct {
	Element domain.Element
	Snippet string // may be empty
}

// Facet counts the values of a property over all found elements.
type Facet struct {
	Property string
	Counts   []Count
}

// Count is how many found elements have a value.
type Count struct {
	Value string
	Count int64
}

// Search finds elements. Problems: engine_unavailable when the search service can't be reached or fails, validation_failed when a name or a value of a
// filter is not allowed or the filters are too long together, unsupported_query when the engine can't process the query.
func (s *Syncer) Search(ctx context.Context, q Query) (Result, error) {
	found, err := s.find(ctx, q)
	if err != nil {
		return Result{}, err
	}
	result := Result{Found: found.Found, Facets: facets(q, found.Facets)}
	result.Hits, err = s.hits(ctx, q, found.Hits)
	return result, err
}

// find queries the search service. The engine refuses a query with properties that no element has; find then repeats the query without them.
func (s *Syncer) find(ctx context.Context, q Query) (search.DocumentSearchResult, error) {
	var none search.DocumentSearchResult
	query, err := q.document()
	if err != nil {
		return none, err
	}
	found, err := s.remote.search(ctx, query)
	var r *refusal
	if !errors.As(err, &r) || !refusesFields(r.status) {
		return found, unavailable(err)
	}
	q, possible, err := s.withKnownFields(ctx, q)
	if err != nil || !possible {
		return none, unavailable(err)
	}
	if query, err = q.document(); err != nil {
		return none, err
	}
	found, err = s.remote.search(ctx, query)
	if errors.As(err, &r) && refusesFields(r.status) {
		return none, problem.New(problem.UnsupportedQuery, "The search engine does not support this search.").Wrap(err)
	}
	return found, unavailable(err)
}

func refusesFields(status int) bool {
	return status == http.StatusUnprocessableEntity || status == http.StatusNotFound || status == http.StatusBadRequest
}

// withKnownFields removes the facets for which the collection has no field. possible is false when nothing can be found: a
// filter asks for a property that no element has, or the collection does not exist yet.
func (s *Syncer) withKnownFields(ctx context.Context, q Query) (known Query, possible bool, err error) {
	collection, err := s.remote.collection(ctx)
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusNotFound {
		s.Rebuild()
		return q, false, nil
	}
	if err != nil {
		return q, false, err
	}
	fields := make(map[string]bool, len(collection.Fields))
	for _, f := range collection.Fields {
		fields[f.Name] = true
	}
	for _, f := range q.Filters {
		if !fields[attribute+f.Property] {
			return q, false, nil
		}
	}
	q.Facets = slices.DeleteFunc(slices.Clone(q.Facets), func(property string) bool { return !fields[attribute+property] })
	return q, true, nil
}

// unavailable returns the problem for a failed call of the search service. It returns problems and nil unchanged.
func unavailable(err error) error {
	var p *problem.Error
	if err == nil || errors.As(err, &p) {
		return err
	}
	return problem.New(problem.EngineUnavailable, "Searching is not possible at the moment.").WithRetryAfter(retryPause).Wrap(err)
}

// document translates the query into a request of the search service.
func (q Query) document() (search.DocumentSearch, error) {
	filter, err := q.filter()
	if err != nil {
		return search.DocumentSearch{}, err
	}
	ascending, descending := search.SortKeyOrderAsc, search.SortKeyOrderDesc
	out := search.DocumentSearch{
		Q: q.Words, QueryBy: []string{textField}, FilterBy: &filter, Page: &q.Page, PerPage: &q.PerPage,
		SortBy: &[]search.SortKey{{Field: "_text_match", Order: &descending}, {Field: "number", Order: &ascending}},
	}
	if len(q.Facets) > 0 {
		var by []string
		for _, property := range q.Facets {
			if !propertyName.MatchString(property) {
				return out, badName("/facets")
			}
			by = append(by, attribute+property)
		}
		out.FacetBy = &by
	}
	return out, nil
}

// place matches what Typesense's tokenizer takes for the beginning of a geographic point or polygon, even between backticks. All kinds of Unicode white space may be in between.
var place = regexp.MustCompile(`:[\s\v\x{85}\p{Z}]*[(\[]`)

// valueFault returns why a value can't be quoted by backticks, or "" when it can.
func valueFault(v string) string {
	switch {
	case v == "" || strings.ContainsAny(v, "`\x00"):
		return "has a value with a backtick, or an empty one"
	case place.MatchString(v):
		return "contains a colon before a bracket, which Typesense reads as a location"
	case strings.HasSuffix(strings.TrimSpace(v), `\`):
		return "ends with a backslash, which Typesense reads together with the closing backtick"
	}
	return ""
}

// filter joins the conditions of the query. Every value is quoted by backticks, and one that contains what has a meaning there is refused (valueFault). The first condition restricts the search to the scope.
func (q Query) filter() (string, error) {
	conditions := []string{scopeField + ":=`" + exactKey(q.Scope) + "`"}
	if q.ElementType != "" {
		conditions = append(conditions, typeField+":=`"+exactKey(q.Scope, q.ElementType)+"`")
	}
	if q.Status != "" {
		conditions = append(conditions, "status:=`"+string(q.Status)+"`")
	}
	if q.From > 0 {
		conditions = append(conditions, "number:>="+strconv.FormatInt(q.From, 10))
	}
	if q.To > 0 {
		conditions = append(conditions, "number:<="+strconv.FormatInt(q.To, 10))
	}
	for _, f := range q.Filters {
		if !propertyName.MatchString(f.Property) {
			return "", badName("/filters")
		}
		conditions = append(conditions, attribute+f.Property+":=[`"+strings.Join(f.Values, "`,`")+"`]")
		for _, v := range f.Values {
			if fault := valueFault(v); fault != "" {
				return "", problem.New(problem.ValidationFailed, "The value of a filter is not supported.").WithField("body", "/filters", "pattern", fault)
			}
		}
	}
	filter := strings.Join(conditions, " && ")
	if len(filter) > maxFilter {
		return "", problem.New(problem.ValidationFailed, "The filters are too long together.").
			WithField("body", "/filters", "maxLength", "is too long as a whole")
	}
	return filter, nil
}

func badName(where string) error {
	return problem.New(problem.ValidationFailed, "A property's name is not allowed.").
		WithField("body", where, "pattern", "has a name that no property can have")
}

// hits reads the found elements from the database, in the order found. It leaves out hits that do not exist here, are of another
// scope, or no longer have the status or a number that was asked for: the index may lag behind the database.
func (s *Syncer) hits(ctx context.Context, q Query, in []search.DocumentHit) ([]Hit, error) {
	var refs []domain.Ref
	var snippets []string
	for _, h := range in {
		var doc struct{ ID string }
		if err := json.Unmarshal(h.Document, &doc); err != nil {
			continue
		}
		ref, err := ParseKey(doc.ID)
		if err != nil || ref.Scope != q.Scope {
			continue
		}
		refs, snippets = append(refs, ref), append(snippets, snippet(h))
	}
	elements, err := s.Store.Current(ctx, refs)
	if err != nil {
		return nil, err
	}
	byRef := make(map[domain.Ref]domain.Element, len(elements))
	for _, e := range elements {
		byRef[e.Ref] = e
	}
	hits := make([]Hit, 0, len(refs))
	for i, r := range refs {
		e, exists := byRef[r]
		if !exists || q.Status != "" && e.Status != q.Status || !q.within(e.Number) {
			continue
		}
		hits = append(hits, Hit{Element: e, Snippet: snippets[i]})
	}
	return hits, nil
}

// within reports whether a number is in the range that was asked for.
func (q Query) within(number int64) bool {
	return number >= q.From && (q.To == 0 || number <= q.To)
}

func snippet(h search.DocumentHit) string {
	if h.Highlights == nil {
		return ""
	}
	for _, highlight := range *h.Highlights {
		if highlight.Field == textField {
			return highlight.Snippet
		}
	}
	return ""
}

// facets returns all facets that were asked for, in that order. A facet of a property that no found element has is empty.
func facets(q Query, in []search.FieldFacet) []Facet {
	out := make([]Facet, len(q.Facets))
	for i, property := range q.Facets {
		out[i] = Facet{Property: property}
		for _, f := range in {
			if f.Field != attribute+property {
				continue
			}
			for _, c := range f.Counts {
				out[i].Counts = append(out[i].Counts, Count{Value: c.Value, Count: c.Count})
			}
		}
	}
	return out
}
