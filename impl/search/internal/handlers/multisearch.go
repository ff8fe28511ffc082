package handlers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/problem"
)

// asked is a search in a collection that the caller may read.
type asked struct {
	held
	name   string // of the collection, as the caller wrote it
	params map[string]any
}

// ask finds the collection of a search and converts the search to Typesense's parameters. The search is restricted to the documents that
// the caller may see in that collection. Problems: not_found, forbidden, validation_failed.
func (core *Core) ask(ctx context.Context, p *auth.Principal, s *searchapi.CollectionSearch) (asked, error) {
	c, err := core.hold(ctx, p, s.Collection, owner.Read)
	if err != nil {
		return asked{}, err
	}
	params, err := core.params(ctx, p, &s.Search, c)
	return asked{held: c, name: s.Collection, params: params}, err
}

// searchEach carries out searches. The caller frees the answers. If the caller reaches only a part of a collection, outOf counts the
// documents of that part, because the engine's number covers all tenants.
func (core *Core) searchEach(ctx context.Context, searches []asked) (*engine.Answers, error) {
	asks := make([]map[string]any, len(searches))
	parts := map[string]int{} // indexes of the counts, by collection
	for i, s := range searches {
		asks[i] = s.params
	}
	for _, s := range searches {
		if _, counted := parts[s.Engine()]; !s.whole && !counted {
			parts[s.Engine()] = len(asks)
			asks = append(asks, engine.CountSearch(s.Engine(), s.filter()))
		}
	}
	answers, err := core.Engine.SearchEach(ctx, asks...)
	if err != nil {
		return nil, err
	}
	found := answers.Each
	for i, s := range searches {
		if s.whole || found[i].Err != nil {
			continue
		}
		count := found[parts[s.Engine()]]
		found[i].OutOf, found[i].Err = count.Found, count.Err
	}
	answers.Each = found[:len(searches)]
	return answers, nil
}

// MultiSearch implements searchapi.StrictServerInterface.
func (h *Handlers) MultiSearch(ctx context.Context, r searchapi.MultiSearchRequestObject) (searchapi.MultiSearchResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	refused := make([]error, len(r.Body.Searches))
	var searches []asked
	for i := range r.Body.Searches {
		s, err := core.ask(ctx, p, &r.Body.Searches[i])
		if err == nil {
			searches = append(searches, s)
		} else if refused[i] = err; !isRefusal(err) {
			return nil, err
		}
	}
	if err := fitsPages(r.Body.Searches); err != nil { // includes the values of presets
		return nil, err
	}
	answers, err := core.searchEach(ctx, searches)
	if err != nil {
		return nil, err
	}
	defer answers.Free()
	return renderAll(refused, searches, answers.Each)
}

// fitsPages limits the total number of hits of all searches. Problem: validation_failed.
func fitsPages(searches []searchapi.CollectionSearch) error {
	sum := 0
	for i := range searches {
		if sum += number(searches[i].Search.PerPage, defaultPerPage); sum > pagesAtOnce {
			return problem.New(problem.ValidationFailed, "The pages of all searches together have too many hits.").
				WithField("body", fmt.Sprintf("/searches/%d/search/perPage", i), "maximum", fmt.Sprintf("must keep the sum at or below %d", pagesAtOnce))
		}
	}
	return nil
}

const (
	defaultPerPage = 10
	// pagesAtOnce is the maximum sum of perPage in one multi-search, as in the contract.
	pagesAtOnce = 1000
	// answerBytes limits the size of an answer. It is below the 32 MiB that the contract allows.
	answerBytes = 30 << 20
	// smallAnswer is the size up to which an outcome is never refused as too large.
	smallAnswer = 4 << 10
)

// errAnswerBytes refuses a search whose hits are too large for one answer.
func errAnswerBytes() error {
	return problem.New(problem.ValidationFailed, "The documents found are too large for one response. Request fewer per page.")
}

// fitting refuses an answer that is too large. Problem: validation_failed.
func fitting(body []byte, err error) (written, error) {
	if err == nil && len(body) > answerBytes {
		return nil, errAnswerBytes()
	}
	return body, err
}

// isRefusal reports whether an error concerns a single search, and not the whole service.
func isRefusal(err error) bool { return problem.From(err).Status() < http.StatusInternalServerError }

// renderAll writes SearchOutcomes. searches and found belong to those requests that have no refusal, in the same order.
func renderAll(refused []error, searches []asked, found []engine.Found) (written, error) {
	size := 64 * len(refused)
	for i := range found {
		size += room(&found[i].Result)
	}
	size = min(size, answerBytes)
	list, failed, err := make([]byte, 0, size), 0, error(nil)
	for i, next := 0, 0; i < len(refused); i++ {
		why := refused[i]
		if why == nil {
			next++
			why = found[next-1].Err
		}
		list = comma(list, i)
		before := len(list)
		if why == nil {
			list = append(list, `{"status":"ok","result":`...)
			if list, err = render(list, &found[next-1].Result, searches[next-1].held); err != nil {
				return nil, err
			}
			list = append(list, '}')
			if len(list) > answerBytes && len(list)-before > smallAnswer {
				list, why = list[:before], errAnswerBytes()
			}
		}
		if why != nil {
			failed++
			if list, err = refusal(list, why); err != nil {
				return nil, err
			}
		}
	}
	out := append(make([]byte, 0, len(list)+64), `{"succeeded":`...)
	out = strconv.AppendInt(out, int64(len(refused)-failed), 10)
	out = strconv.AppendInt(append(out, `,"failed":`...), int64(failed), 10)
	return append(append(append(out, `,"results":[`...), list...), `]}`...), nil
}

// refusal writes the outcome of a search that was refused.
func refusal(out []byte, err error) ([]byte, error) {
	p := problem.From(err)
	code, message := string(p.Code), p.Detail
	for _, f := range p.Fields {
		message += " " + f.Pointer + " " + f.Message + "."
	}
	text, err := json.Marshal(searchapi.SearchOutcome{Status: searchapi.SearchOutcomeStatusError, Code: &code, Message: &message})
	return append(out, text...), err
}

// UnionSearch implements searchapi.StrictServerInterface.
func (h *Handlers) UnionSearch(ctx context.Context, r searchapi.UnionSearchRequestObject) (searchapi.UnionSearchResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	searches := make([]asked, len(r.Body.Searches))
	asks := make([]map[string]any, len(searches))
	for i := range r.Body.Searches {
		if searches[i], err = core.ask(ctx, p, &r.Body.Searches[i]); err == nil {
			err = fitsUnion(&r.Body.Searches[i].Search)
		}
		if err != nil {
			return nil, below(err, fmt.Sprintf("/searches/%d/search", i))
		}
		asks[i] = searches[i].params
	}
	found, err := core.Engine.Union(ctx, number(r.Body.Page, 1), number(r.Body.PerPage, defaultPerPage), asks...)
	if err != nil {
		return nil, err
	}
	if found.Page, err = int64(number(r.Body.Page, 1)), core.countUnion(ctx, searches, found); err != nil {
		return nil, err
	}
	return fitting(renderUnion(found, searches))
}

func number(wanted *int32, otherwise int) int {
	if wanted == nil {
		return otherwise
	}
	return int(*wanted)
}

// fitsUnion refuses parameters that a union takes only for the whole, or not at all. Problem: validation_failed.
func fitsUnion(b *searchapi.DocumentSearch) error {
	for name, given := range map[string]bool{"page": b.Page != nil, "perPage": b.PerPage != nil, "facetBy": b.FacetBy != nil, "maxFacetValues": b.MaxFacetValues != nil} {
		if given {
			return problem.New(problem.ValidationFailed, "A search of a union cannot have its own page or facets.").
				WithField("body", "/"+name, "not", "must be absent in a union")
		}
	}
	return nil
}

// below prefixes the pointers of a problem with the place of the part of the body that it is about.
func below(err error, place string) error {
	p := problem.From(err)
	fields := slices.Clone(p.Fields)
	for i := range fields {
		if fields[i].In == "body" {
			fields[i].Pointer = place + fields[i].Pointer
		}
	}
	moved := *p
	moved.Fields = fields
	return &moved
}

// countUnion replaces outOf if the caller reaches only a part of one of the collections.
func (core *Core) countUnion(ctx context.Context, searches []asked, found *tsclient.Result) error {
	if !slices.ContainsFunc(searches, func(s asked) bool { return !s.whole }) {
		return nil
	}
	var counts []map[string]any
	seen := map[string]bool{}
	for _, s := range searches {
		if !seen[s.Engine()] {
			seen[s.Engine()] = true
			counts = append(counts, engine.CountSearch(s.Engine(), s.filter()))
		}
	}
	counted, err := core.Engine.Search(ctx, counts...)
	if err != nil {
		return err
	}
	found.OutOf = 0
	for _, c := range counted {
		found.OutOf += c.Found
	}
	return nil
}

// renderUnion writes SearchUnion.
func renderUnion(r *tsclient.Result, searches []asked) (written, error) {
	out := head(make([]byte, 0, room(r)), r)
	for i := range r.Hits {
		s := searches[r.Hits[i].Search]
		out = strconv.AppendInt(append(comma(out, i), `{"search":`...), r.Hits[i].Search, 10)
		out = append(out, `,"collection":"`...)
		out = append(append(out, s.name...), `",`...) // a name has nothing to be quoted
		var err error
		if out, err = hit(out, &r.Hits[i], s.held); err != nil {
			return nil, err
		}
	}
	return append(out, `]}`...), nil
}
