package engine

import (
	"context"
	"errors"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// SearchesAtOnce limits the searches of one call, as Typesense does.
const SearchesAtOnce = 50

// Found is the outcome of a search: its result, or the error.
type Found struct {
	tsclient.Result
	Err error
}

// Answers are the outcomes of searches, in their order. Their texts are slices of the engine's responses.
type Answers struct {
	Each []Found
	from []*tsclient.Answer
}

// Free releases the buffers for reuse. Nothing of the answers may be used afterwards.
func (a *Answers) Free() {
	for _, part := range a.from {
		part.Free()
	}
	a.Each, a.from = nil, nil
}

// Search carries out searches, with Typesense's names of parameters. If any is refused, the first refusal is the error. Problems: not_found
// (a collection), validation_failed (the engine does not know a field, or can't parse the filter), unsupported_query, engine_unavailable.
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

// SearchEach carries out any number of searches, and returns the outcome of each. The error is for an engine that can't be used or does not
// keep up.
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

// keyRefused returns the refusal of the engine's key from inside a response, if there is one.
func keyRefused(results []tsclient.Result) error {
	for i := range results {
		if r := results[i].Refused; r != nil && refusesKey(r) {
			return r
		}
	}
	return nil
}

// Union carries out at most SearchesAtOnce searches and returns one page of the merged hits. Problems: those of Search.
func (e *Engine) Union(ctx context.Context, page, perPage int, asks ...map[string]any) (found *tsclient.Result, err error) {
	err = e.again(ctx, func() (err error) {
		found, err = e.client.Union(ctx, page, perPage, asks...)
		return err
	})
	return found, err
}

// CountSearch returns a search that counts the documents that match a filter, without hits pinned by overrides.
func CountSearch(collection, filter string) map[string]any {
	return map[string]any{"collection": collection, "q": "*", "filter_by": filter, "per_page": 1, "include_fields": "id", "enable_overrides": false, "enable_curations": false}
}
