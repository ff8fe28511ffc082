package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// SearchesAtOnce bounds the searches of one call, as Typesense does.
const SearchesAtOnce = 50

// Found is what became of a search: its result, or why there is none.
type Found struct {
	tsclient.Result
	Err error
}

// Answers are what became of searches, in their order. Their texts are parts of the engine's answers.
type Answers struct {
	Each []Found
	from []*tsclient.Answer
}

// Free lets other answers have the room of these, of which nothing is used any more.
func (a *Answers) Free() {
	for _, part := range a.from {
		part.Free()
	}
	a.Each, a.from = nil, nil
}

// Search carries out searches, which name their collections and parameters as Typesense does. The first refusal is the error. Problems: not_found (a
// collection), validation_failed (the engine does not know a field, or can't read the filter), unsupported_query, engine_unavailable.
func (e *Engine) Search(ctx context.Context, asks ...map[string]any) ([]tsclient.Result, error) {
	all, err := e.SearchEach(ctx, asks...)
	if err != nil {
		return nil, err
	}
	found := make([]tsclient.Result, len(all.Each))
	for i, f := range all.Each {
		if f.Err != nil {
			return nil, f.Err
		}
		found[i] = f.Result
	}
	return found, nil
}

// SearchEach carries out any number of searches, and tells the outcome of each. The error is of an engine that can't be used or does not keep up.
func (e *Engine) SearchEach(ctx context.Context, asks ...map[string]any) (*Answers, error) {
	all := &Answers{Each: make([]Found, 0, len(asks))}
	for some := range slices.Chunk(asks, SearchesAtOnce) {
		var answer *tsclient.Answer
		err := e.again(ctx, func() (err error) {
			answer, err = e.client.MultiSearch(ctx, some...)
			if err == nil {
				err = keyRefused(answer.Results)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		all.from = append(all.from, answer)
		for i := range answer.Results {
			f := Found{Result: answer.Results[i]}
			if f.Refused != nil {
				f.Err = mapped(f.Refused)
			}
			if isBehind(f.Err) || errors.Is(f.Err, problem.BadUpstream) {
				return nil, f.Err
			}
			all.Each = append(all.Each, f)
		}
	}
	return all, nil
}

// keyRefused is the refusal of the engine's key inside an answer, if there is one.
func keyRefused(results []tsclient.Result) error {
	for i := range results {
		if r := results[i].Refused; r != nil && refusesKey(r) {
			return r
		}
	}
	return nil
}

// Union carries out at most SearchesAtOnce searches for one list of hits, a page of it. Problems: those of Search.
func (e *Engine) Union(ctx context.Context, page, perPage int, asks ...map[string]any) (found *tsclient.Result, err error) {
	err = e.again(ctx, func() (err error) {
		found, err = e.client.Union(ctx, page, perPage, asks...)
		return err
	})
	return found, err
}

// CountSearch is the search that counts what a filter lets through, whatever an override pins.
func CountSearch(collection, filter string) map[string]any {
	return map[string]any{"collection": collection, "q": "*", "filter_by": filter, "per_page": 1, "include_fields": "id", "enable_overrides": false, "enable_curations": false}
}
