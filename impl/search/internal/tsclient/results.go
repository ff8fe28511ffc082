package tsclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/typesense/typesense-go/v3/typesense/api"
)

// Result is the answer to one search. Its texts are parts of the engine's answer as they stand there, quotes and escapes included.
type Result struct {
	Found, OutOf, Page, TookMs int64
	Hits                       []ResultHit
	Facets                     []ResultFacet
	// Embedded says that the embedded engine answered.
	Embedded bool
	// Refused says why the search was not carried out; nothing else is set then.
	Refused *Error

	wrapped bool // it has the results of others
}

// ResultHit is one document found. Score is a number, or empty. Search is the place of the search that found it, in a union.
type ResultHit struct {
	Document, Score []byte
	Highlights      []ResultHighlight
	Search          int64
}

// ResultHighlight is a marked part of a field.
type ResultHighlight struct{ Field, Snippet []byte }

// ResultFacet are the counted values of a field.
type ResultFacet struct {
	Field  []byte
	Counts []ResultCount
}

// ResultCount is how many documents have a value.
type ResultCount struct {
	Value []byte
	Count int64
}

// MultiSearch carries out searches, each of the collection that it names. The parameters travel in the body, so that no log of URLs holds them.
// What became of each is in its Result.
func (c *Client) MultiSearch(ctx context.Context, searches ...map[string]any) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.times.Search) // of both attempts, where the second has the key before
	defer cancel()
	body, header, err := c.multiSearch(ctx, api.MultiSearchParams{}, map[string]any{"searches": searches})
	if err != nil {
		return nil, err
	}
	found, err := results(body, embedded(header))
	if err == nil && len(found) != len(searches) {
		err = errBadAnswer
	}
	if err != nil {
		return nil, fmt.Errorf("read search result: %w", err)
	}
	if _, told := ctx.Value(keyValue{}).(string); !told && keyRefused(found) { // inside an answer, as some versions of the engine do
		if before := c.keys.Previous(); before != "" {
			return c.MultiSearch(withKey(ctx, before), searches...)
		}
	}
	return found, nil
}

// keyRefused reports whether the engine has not taken the key for one of the searches.
func keyRefused(found []Result) bool {
	return slices.ContainsFunc(found, func(r Result) bool { return r.Refused != nil && r.Refused.Status == http.StatusUnauthorized })
}

func (c *Client) multiSearch(ctx context.Context, params api.MultiSearchParams, ask map[string]any) ([]byte, http.Header, error) {
	text, err := json.Marshal(ask)
	if err != nil {
		return nil, nil, fmt.Errorf("write search: %w", err)
	}
	return c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) {
		return c.raw.MultiSearchWithBody(ctx, &params, "application/json", bytes.NewReader(text))
	})
}

// Union carries out searches for one list of hits. The first refusal is the error.
func (c *Client) Union(ctx context.Context, page, perPage int, searches ...map[string]any) (*Result, error) {
	body, header, err := c.multiSearch(ctx, api.MultiSearchParams{Page: &page, PerPage: &perPage}, map[string]any{"union": true, "remove_duplicates": false, "searches": searches})
	if err != nil {
		return nil, err
	}
	found, err := united(body, embedded(header), len(searches))
	if err != nil {
		return nil, fmt.Errorf("read search result: %w", err)
	}
	return found, nil
}

// united reads the answer to a union of a number of searches, which has results where it is wrapped as that of a multi_search: real servers have done
// so with a single one.
func united(body []byte, embedded bool, searches int) (*Result, error) {
	s := &scan{text: body}
	r, err := s.result()
	if s.space(); err == nil && s.at != len(body) {
		err = errBadAnswer
	}
	if err != nil {
		return nil, err
	}
	if r.wrapped {
		all, err := results(body, embedded)
		if err != nil || len(all) != 1 {
			return nil, errBadAnswer
		}
		r = all[0]
	}
	if r.Embedded = embedded; r.Refused != nil {
		r.Refused.Embedded = embedded
		return nil, r.Refused
	}
	for _, h := range r.Hits {
		if h.Search < 0 || h.Search >= int64(searches) {
			return nil, errBadAnswer
		}
	}
	return &r, nil
}

// results reads the answer to a multi_search.
func results(body []byte, embedded bool) (all []Result, err error) {
	s := &scan{text: body}
	err = s.members(func(name []byte) error {
		if string(name) != "results" {
			_, err := s.raw()
			return err
		}
		return s.each(func() error {
			r, err := s.result()
			if r.Embedded = embedded; r.Refused != nil {
				r.Refused.Embedded = embedded
			}
			all = append(all, r)
			return err
		})
	})
	if s.space(); err == nil && s.at != len(body) {
		err = errBadAnswer
	}
	return all, err
}

func (s *scan) result() (r Result, err error) {
	refused := Error{}
	numbers := map[string]*int64{"found": &r.Found, "out_of": &r.OutOf, "page": &r.Page, "search_time_ms": &r.TookMs}
	err = s.members(func(name []byte) (err error) {
		switch string(name) {
		case "hits":
			return s.each(func() error {
				h, err := s.hit()
				r.Hits = append(r.Hits, h)
				return err
			})
		case "facet_counts":
			return s.each(func() error {
				f, err := s.facet()
				r.Facets = append(r.Facets, f)
				return err
			})
		case "code":
			status, err := s.number()
			refused.Status = int(status)
			return err
		case "error":
			return s.words(&refused.Message)
		case "results":
			r.wrapped = true
		}
		if into := numbers[string(name)]; into != nil {
			*into, err = s.number()
			return err
		}
		_, err = s.raw()
		return err
	})
	if refused.Status != 0 || refused.Message != "" {
		r = Result{Refused: &refused}
	}
	return r, err
}

// words reads a string as a value.
func (s *scan) words(into *string) error {
	raw, err := s.raw()
	if err != nil || json.Unmarshal(raw, into) != nil {
		return errBadAnswer
	}
	return nil
}

func (s *scan) hit() (h ResultHit, err error) {
	err = s.members(func(name []byte) (err error) {
		switch string(name) {
		case "document":
			h.Document, err = s.raw()
		case "text_match":
			h.Score, err = s.raw()
		case "search_index":
			h.Search, err = s.number()
		case "highlights":
			err = s.each(func() error { return s.highlight(&h) })
		default:
			_, err = s.raw()
		}
		return err
	})
	if err == nil && (len(h.Document) == 0 || h.Document[0] != '{' || len(bytes.Trim(h.Score, "-0123456789")) > 0) {
		err = errBadAnswer
	}
	return h, err
}

// highlight reads the marked parts of one field: one, or for an array several.
func (s *scan) highlight(h *ResultHit) error {
	var field []byte
	var snippets [][]byte
	err := s.members(func(name []byte) (err error) {
		switch string(name) {
		case "field":
			field, err = s.raw()
		case "snippet":
			var one []byte
			one, err = s.raw()
			snippets = append(snippets, one)
		case "snippets":
			err = s.each(func() error {
				one, err := s.raw()
				snippets = append(snippets, one)
				return err
			})
		default:
			_, err = s.raw()
		}
		return err
	})
	for _, snippet := range snippets {
		if len(snippet) > len(`""`) {
			h.Highlights = append(h.Highlights, ResultHighlight{field, snippet})
		}
	}
	return err
}

func (s *scan) facet() (f ResultFacet, err error) {
	err = s.members(func(name []byte) (err error) {
		switch string(name) {
		case "field_name":
			f.Field, err = s.raw()
		case "counts":
			err = s.each(func() error {
				c, err := s.count()
				f.Counts = append(f.Counts, c)
				return err
			})
		default:
			_, err = s.raw()
		}
		return err
	})
	return f, err
}

func (s *scan) count() (c ResultCount, err error) {
	err = s.members(func(name []byte) (err error) {
		switch string(name) {
		case "value":
			c.Value, err = s.raw()
		case "count":
			c.Count, err = s.number()
		default:
			_, err = s.raw()
		}
		return err
	})
	return c, err
}
