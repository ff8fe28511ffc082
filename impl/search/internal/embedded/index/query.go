package index

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Limits of the work of one search.
const (
	// MaxWords is the number of words of a query that are used.
	MaxWords = 32
	// maxAttempts limits the combinations of typos that are tried, maxSteps the steps of the search for them.
	maxAttempts = 100
	maxSteps    = 20_000
	// checkEvery is the number of documents between two checks of the context.
	checkEvery = 1024
)

// search is the state of one Search.
type search struct {
	ctx   context.Context
	plan  *Plan
	areas []*area
	order comparison
	top   *worst
	texts bool // the search has words
	// ascending reports that the worst text match comes first. Upper bounds of scores are then of no use.
	ascending bool
	// matchOnly reports that the order is by text match, best first, and then newest first.
	matchOnly bool
	found     int
	words     []*word
	// left holds the words that were dropped. Documents need not contain them, but gain from those that they contain.
	left  []*word
	marks map[string]int
	// steps is the number of blocks that were processed. cut reports that there was no time for more.
	steps int
	cut   bool
}

// scored is a document with its score.
type scored struct {
	area    int32
	doc     uint32
	seq     uint64
	dropped uint8
	score   fieldScores
}

func newSearch(ctx context.Context, plan *Plan, v *view) *search {
	s := &search{ctx: ctx, plan: plan, marks: make(map[string]int)}
	for i, p := range v.parts {
		a := &area{s: s, at: i, part: p, words: make([]*dictionary, len(plan.Fields)), found: roaring.New(), clauses: make(map[*filter.Clause]*roaring.Bitmap)}
		for k, qf := range plan.Fields {
			if f := p.seg.fields[qf.Field.Name]; f != nil {
				a.words[k] = f.words
			}
		}
		if plan.Among != nil {
			a.among = p.seg.numbered(plan.Among)
		}
		s.areas = append(s.areas, a)
	}
	s.order = s.comparison()
	s.top = &worst{order: s.order, want: plan.Offset + plan.Limit}
	return s
}

func (s *search) result(outOf int) (Result, error) {
	if err := s.ctx.Err(); err != nil {
		return Result{}, err
	}
	for _, a := range s.areas {
		if err := a.phrased(s.plan.Query); err != nil {
			return Result{}, err
		}
	}
	if err := s.run(); err != nil && !errors.Is(err, errCut) {
		return Result{}, err
	}
	hits, err := s.page()
	if err != nil {
		return Result{}, err
	}
	res := Result{Found: s.found, OutOf: outOf, Marks: s.marks, Hits: hits}
	for _, a := range s.areas {
		if s.plan.FacetsOfAll {
			a.found.AddRange(0, uint64(a.part.seg.n))
			if a.part.dead != nil {
				a.found.AndNot(a.part.dead)
			}
		}
	}
	res.Facets, err = s.facets()
	res.Cut = s.cut
	return res, err
}

// MaxFacetValues limits the total number of values of all facets of one search, because all are in memory until the answer is built.
const MaxFacetValues = 1 << 21

var errFacetValues = &schema.Error{Status: http.StatusUnprocessableEntity, Text: fmt.Sprintf("Rejecting search: the facets of one search of the embedded engine have at most %d values together.", MaxFacetValues)}

// facets counts all facets until the time runs out. A facet that was not completed has no counts, because some of them would be wrong.
func (s *search) facets() ([]FacetResult, error) {
	var all []FacetResult
	over, room := false, MaxFacetValues
	for _, f := range s.plan.Facets {
		r, err := FacetResult{Field: f.Field, Counts: []FacetCount{}}, error(nil)
		if !over {
			r, err = s.facet(f)
		}
		if errors.Is(err, errCut) {
			over, r, err = true, FacetResult{Field: f.Field, Counts: []FacetCount{}}, nil
		}
		if err != nil {
			return nil, err
		}
		if room -= len(r.Counts); room < 0 {
			return nil, errFacetValues
		}
		all = append(all, r)
	}
	return all, nil
}

// all finds every allowed document.
func (s *search) all() error {
	for _, a := range s.areas {
		a.found.AddRange(0, uint64(a.part.seg.n))
		cut := a.allow(a.found)
		if cut != nil && !errors.Is(cut, errCut) {
			return cut
		}
		s.found += int(a.found.GetCardinality())
		if s.top.want > 0 {
			if err := a.each(func(doc uint32) { s.top.offer(scored{area: int32(a.at), doc: doc, seq: a.part.seg.seqs[doc]}) }); err != nil {
				return err
			}
		}
		if cut != nil {
			return cut
		}
	}
	return nil
}

func (s *search) run() error {
	q := s.plan.Query
	switch {
	case q.None:
		return nil
	case q.All:
		return s.all()
	}
	s.texts = true
	loose := s.loose(q.Words)
	var literal []*word
	for _, ph := range q.Phrases {
		for _, w := range ph {
			literal = append(literal, &word{text: w, literal: true})
		}
	}
	if err := s.attempt(append(slices.Clone(literal), loose...), 0); err != nil {
		return err
	}
	for _, words := range q.Also {
		if err := s.attempt(append(slices.Clone(literal), s.loose(words)...), 0); err != nil {
			return err
		}
	}
	if err := s.inside(q.Inside); err != nil {
		return err
	}
	if err := s.rejoined(loose, literal); err != nil {
		return err
	}
	return s.dropping(append([][]*word{loose}, s.looseAll(q.Also)...), literal)
}

// inside finds the documents with one of the words. They have no score, and come after all that have one, newest first.
func (s *search) inside(words []string) error {
	for _, w := range words {
		found := false
		for _, a := range s.areas {
			set, err := a.withPhrase([]string{w})
			if err != nil {
				return err
			}
			cut := a.allow(set)
			if cut != nil && !errors.Is(cut, errCut) {
				return cut
			}
			found = found || !set.IsEmpty()
			if err = a.addInside(set); err != nil {
				return err
			}
			if cut != nil {
				return cut
			}
		}
		if _, known := s.marks[w]; found && !known {
			s.marks[w] = MarkInside
		}
	}
	return nil
}
