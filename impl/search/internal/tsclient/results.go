package tsclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/typesense/typesense-go/v3/typesense/api"

	"github.com/fountainai/fountain/impl/search/internal/rawjson"
)

// Result is the result of one search. Its texts are slices of the engine's response, including quotes and escapes.
type Result struct {
	Found, OutOf, Page, TookMs int64
	Hits                       []ResultHit
	Facets                     []ResultFacet
	// Embedded reports whether the embedded engine answered.
	Embedded bool
	// Refused is why the search was not carried out. If it is set, nothing else is.
	Refused *Error

	wrapped bool // the response has a list of results
}

// ResultHit is a document that was found. Score is a number, or empty. In a union, Search is the index of the search that found it.
type ResultHit struct {
	Document, Score []byte
	Highlights      []ResultHighlight
	Search          int64
}

// ResultHighlight is a highlighted part of a field.
type ResultHighlight struct{ Field, Snippet []byte }

// ResultFacet holds the counted values of a field.
type ResultFacet struct {
	Field  []byte
	Counts []ResultCount
}

// ResultCount is the number of documents with a value.
type ResultCount struct {
	Value []byte
	Count int64
}

// Answer holds the outcomes of searches, in their order. Their texts are slices of the engine's response.
type Answer struct {
	Results []Result

	// The buffers below are reused by other answers.
	room  bytes.Buffer // the engine's answer
	hits  []ResultHit
	marks []ResultHighlight
}

// freed holds answers for reuse.
var freed = sync.Pool{New: func() any { return &Answer{} }}

// mostRoom and mostParts limit which answers are kept for reuse, by their size in bytes and their number of hits or marks.
const (
	mostRoom  = 1 << 20
	mostParts = 4096
)

// Free releases the answer for reuse. Nothing of it may be used afterwards. Answers that are not freed are garbage collected.
func (a *Answer) Free() {
	if a.room.Cap() > mostRoom || cap(a.hits) > mostParts || cap(a.marks) > mostParts {
		return
	}
	clear(a.Results)
	clear(a.hits)
	clear(a.marks)
	a.room.Reset()
	a.Results, a.hits, a.marks = a.Results[:0], a.hits[:0], a.marks[:0]
	freed.Put(a)
}

// MultiSearch carries out searches, each in the collection that it names. The parameters are sent in the body, so that they appear in no
// log of URLs. The outcome of each search is in its Result.
func (c *Client) MultiSearch(ctx context.Context, searches ...map[string]any) (*Answer, error) {
	ctx, cancel := within(ctx, c.times.Search) // for both attempts, if the second one uses the previous key
	defer cancel()
	text, err := searchesText(searches)
	if err != nil {
		return nil, err
	}
	answer, err := c.searched(ctx, text, len(searches))
	if err == nil && keyRefused(answer.Results) { // inside a response, as some versions of the engine do
		if before := c.keys.Previous(); before != "" {
			answer.Free()
			return c.searched(withKey(ctx, before), text, len(searches))
		}
	}
	return answer, err
}

// within is context.WithTimeout, but returns ctx itself if it ends earlier.
func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= limit {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// searched sends n searches and reads their outcomes.
func (c *Client) searched(ctx context.Context, text []byte, n int) (*Answer, error) {
	answer, ok := freed.Get().(*Answer)
	if !ok {
		answer = &Answer{}
	}
	body, header, err := c.ask(ctx, always, &answer.room, func(ctx context.Context) (*http.Response, error) {
		return c.raw.MultiSearchWithBody(ctx, &api.MultiSearchParams{}, "application/json", bytes.NewReader(text))
	})
	if err == nil {
		err = answer.read(body, embedded(header))
		if err == nil && len(answer.Results) != n {
			err = errBadAnswer
		}
		if err != nil {
			err = fmt.Errorf("read search result: %w", err)
		}
	}
	if err != nil {
		answer.Free()
		return nil, err
	}
	return answer, nil
}

// searchesText writes the body of a multi_search. encoding/json would sort the names first.
func searchesText(searches []map[string]any) ([]byte, error) {
	out := append(make([]byte, 0, 512), `{"searches":[`...)
	for i, params := range searches {
		if i > 0 {
			out = append(out, ',')
		}
		before := len(out)
		for name, value := range params {
			out = append(rawjson.AppendString(append(out, ','), name), ':')
			switch v := value.(type) {
			case string:
				out = rawjson.AppendString(out, v)
			case int32:
				out = strconv.AppendInt(out, int64(v), 10)
			case bool:
				out = strconv.AppendBool(out, v)
			default:
				text, err := json.Marshal(v)
				if err != nil {
					return nil, fmt.Errorf("write search: %w", err)
				}
				out = append(out, text...)
			}
		}
		if before == len(out) {
			out = append(out, ' ')
		}
		out[before] = '{'
		out = append(out, '}')
	}
	return append(out, `]}`...), nil
}

// keyRefused reports whether the engine refused the key for one of the searches.
func keyRefused(found []Result) bool {
	return slices.ContainsFunc(found, func(r Result) bool { return r.Refused != nil && r.Refused.Status == http.StatusUnauthorized })
}

// Union carries out searches and merges their hits. The first refusal is the error.
func (c *Client) Union(ctx context.Context, page, perPage int, searches ...map[string]any) (*Result, error) {
	text, err := json.Marshal(map[string]any{"union": true, "remove_duplicates": false, "searches": searches})
	if err != nil {
		return nil, fmt.Errorf("write search: %w", err)
	}
	params := api.MultiSearchParams{Page: &page, PerPage: &perPage}
	body, header, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) {
		return c.raw.MultiSearchWithBody(ctx, &params, "application/json", bytes.NewReader(text))
	})
	if err != nil {
		return nil, err
	}
	found, err := united(body, embedded(header), len(searches))
	if err != nil {
		return nil, fmt.Errorf("read search result: %w", err)
	}
	return found, nil
}

// united reads the response to a union. If the response is wrapped as that of a multi_search, it takes the single result: real servers have
// wrapped a union of one search.
func united(body []byte, embedded bool, searches int) (*Result, error) {
	s := &scan{Text: rawjson.New(body)}
	r, err := s.result()
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, badAnswer(err)
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

// scan reads a response to searches. The hits and marks of all results are stored consecutively.
type scan struct {
	rawjson.Text
	hits  []ResultHit
	marks []ResultHighlight
}

// badAnswer returns errBadAnswer for a malformed response, and other errors unchanged.
func badAnswer(err error) error {
	if errors.Is(err, rawjson.ErrMalformed) {
		return errBadAnswer
	}
	return err
}

// results reads the response to a multi_search.
func results(body []byte, embedded bool) ([]Result, error) {
	var a Answer
	err := a.read(body, embedded)
	return a.Results, err
}

// read reads the response to a multi_search.
func (a *Answer) read(body []byte, embedded bool) error {
	s := &scan{Text: rawjson.New(body), hits: a.hits, marks: a.marks}
	err := s.Members(func(name []byte) error {
		if string(name) != "results" {
			return s.Skip()
		}
		return s.Each(func() error {
			r, err := s.result()
			if r.Embedded = embedded; r.Refused != nil {
				r.Refused.Embedded = embedded
			}
			a.Results = append(a.Results, r)
			return err
		})
	})
	if err == nil {
		err = s.End()
	}
	a.hits, a.marks = s.hits, s.marks
	return badAnswer(err)
}

func (s *scan) result() (r Result, err error) {
	refused := Error{}
	err = s.Members(func(name []byte) (err error) {
		switch string(name) {
		case "hits":
			first := len(s.hits)
			err = s.Each(s.hit)
			r.Hits = s.hits[first:len(s.hits):len(s.hits)]
		case "facet_counts":
			err = s.Each(func() error { return s.facet(&r) })
		case "found":
			r.Found, err = s.Number()
		case "out_of":
			r.OutOf, err = s.Number()
		case "page":
			r.Page, err = s.Number()
		case "search_time_ms":
			r.TookMs, err = s.Number()
		case "code":
			var status int64
			status, err = s.Number()
			refused.Status = int(status)
		case "error":
			err = s.words(&refused.Message)
		default:
			r.wrapped = r.wrapped || string(name) == "results"
			err = s.Skip()
		}
		return err
	})
	if refused.Status != 0 || refused.Message != "" {
		r = Result{Refused: &refused}
	}
	return r, err
}

// words decodes a string.
func (s *scan) words(into *string) error {
	raw, err := s.Raw()
	if err != nil || json.Unmarshal(raw, into) != nil {
		return errBadAnswer
	}
	return nil
}

func (s *scan) hit() error {
	var h ResultHit
	first := len(s.marks)
	err := s.Members(func(name []byte) (err error) {
		switch string(name) {
		case "document":
			h.Document, err = s.Raw()
		case "text_match":
			h.Score, err = s.Raw()
		case "search_index":
			h.Search, err = s.Number()
		case "highlights":
			err = s.Each(s.highlight)
		default:
			err = s.Skip()
		}
		return err
	})
	if err == nil && (len(h.Document) == 0 || h.Document[0] != '{' || !digits(h.Score)) {
		err = errBadAnswer
	}
	if first < len(s.marks) {
		h.Highlights = s.marks[first:len(s.marks):len(s.marks)]
	}
	s.hits = append(s.hits, h)
	return err
}

// digits reports whether a text consists of digits and minus signs.
func digits(text []byte) bool {
	for _, c := range text {
		if c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// highlight reads the highlighted parts of one field: one, or several for an array.
func (s *scan) highlight() error {
	first, field := len(s.marks), []byte(nil)
	snippet := func() error {
		one, err := s.Raw()
		if len(one) > len(`""`) {
			s.marks = append(s.marks, ResultHighlight{Snippet: one})
		}
		return err
	}
	err := s.Members(func(name []byte) (err error) {
		switch string(name) {
		case "field":
			field, err = s.Raw()
		case "snippet":
			err = snippet()
		case "snippets":
			err = s.Each(snippet)
		default:
			err = s.Skip()
		}
		return err
	})
	for i := range s.marks[first:] {
		s.marks[first+i].Field = field
	}
	return err
}

func (s *scan) facet(r *Result) error {
	var f ResultFacet
	err := s.Members(func(name []byte) (err error) {
		switch string(name) {
		case "field_name":
			f.Field, err = s.Raw()
		case "counts":
			f.Counts = make([]ResultCount, 0, usualValues)
			err = s.Each(func() error { return s.count(&f) })
		default:
			err = s.Skip()
		}
		return err
	})
	r.Facets = append(r.Facets, f)
	return err
}

// usualValues is the number of values that most facets don't exceed.
const usualValues = 10

func (s *scan) count(f *ResultFacet) error {
	var c ResultCount
	err := s.Members(func(name []byte) (err error) {
		switch string(name) {
		case "value":
			c.Value, err = s.Raw()
		case "count":
			c.Count, err = s.Number()
		default:
			err = s.Skip()
		}
		return err
	})
	f.Counts = append(f.Counts, c)
	return err
}
