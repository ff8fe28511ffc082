package index

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// mapped returns an index of n documents with a word, a kind, a number and a place. Half of them are at 1, 1 and half at 50, 50.
func mapped(t *testing.T, n int) (*Segments, *schema.Schema) {
	s, err := schema.Parse([]byte(`{"name":"x","fields":[{"name":"word","type":"string"},{"name":"kind","type":"string","facet":true},{"name":"n","type":"int32","facet":true},{"name":"at","type":"geopoint"}]}`), 10)
	require.NoError(t, err)
	m := New(Config{})
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	var batch Batch
	for i := range n {
		place := []float64{1, 1}
		if i%2 == 1 {
			place = []float64{50, 50}
		}
		batch = append(batch, Change{Seq: uint64(i), Schema: s, New: &schema.Typed{ID: strconv.Itoa(i), Values: map[string]schema.Value{
			"word": {Strings: []string{"sun"}}, "kind": {Strings: []string{"k"}}, "n": {Ints: []int64{int64(i)}}, "at": {Floats: place},
		}}})
	}
	require.NoError(t, m.Apply(batch))
	return m, s
}

// plans returns searches of every kind, each with facets.
func plans(t *testing.T, s *schema.Schema, cutoff time.Time) map[string]Plan {
	field := func(name string) *schema.Field {
		f, ok := s.Field(name)
		require.True(t, ok)
		return f
	}
	parsed := func(text string) *filter.Node {
		n, err := filter.Parse(text, s, filter.Options{})
		require.NoError(t, err)
		return n
	}
	byNumber, err := ordering.Parse("n:desc", s)
	require.NoError(t, err)
	base := Plan{Schema: s, Query: Query{All: true}, Limit: 10, Cutoff: cutoff, FilterCandidates: 4, MaxCandidates: 4, Facets: []Facet{{Field: field("kind"), Max: 10}, {Field: field("n"), Max: 10}},
		Fields: []QueryField{{Field: field("word"), Weight: 15}}, Values: []*schema.Field{field("at")}}
	of := func(change func(p *Plan)) Plan {
		p := base
		change(&p)
		return p
	}
	return map[string]Plan{
		"all": base, "facets of all": of(func(p *Plan) { p.FacetsOfAll = true }), "facets alone": of(func(p *Plan) { p.Limit = 0 }),
		"order": of(func(p *Plan) { p.Sort = byNumber }), "words": of(func(p *Plan) { p.Query = Query{Words: []string{"sun"}} }),
		"infix": of(func(p *Plan) { p.Query = Query{Words: []string{"moon"}, Inside: []string{"sun"}} }),
		"place": of(func(p *Plan) { p.Filter = parsed("at:(1, 1, 5 km)") }), "place and number": of(func(p *Plan) { p.Filter = parsed("at:(1, 1, 5 km) && n:>=0") }),
		"either place":   of(func(p *Plan) { p.Filter = parsed("at:(1, 1, 5 km) || at:(1, 1, 6 km)") }),
		"word and place": of(func(p *Plan) { p.Query, p.Filter = Query{Words: []string{"sun"}}, parsed("at:(1, 1, 5 km)") }),
		"infix, place": of(func(p *Plan) {
			p.Query, p.Filter = Query{Words: []string{"moon"}, Inside: []string{"sun"}}, parsed("at:(1, 1, 5 km)")
		}),
	}
}

// Wherever the time runs out, what was found is the answer, and all of it matches the filter.
func TestCutoff_neverFailsASearch(t *testing.T) {
	for _, n := range []int{3, checkEvery + 5, 5 * checkEvery} {
		m, s := mapped(t, n)
		for name, p := range plans(t, s, time.Now().Add(-time.Second)) {
			res, err := m.Search(t.Context(), p)
			require.NoError(t, err, name)
			require.Len(t, res.Facets, 2, name)
			require.NotZero(t, res.Found, name)
			if p.Limit > 0 {
				require.NotEmpty(t, res.Hits, "%s: an answer is not empty for want of time alone", name)
			}
			for _, h := range res.Hits {
				if p.Filter != nil {
					require.InDelta(t, 1, h.Values[0].Floats[0], 0.01, name)
				}
			}
			if n > 2*checkEvery {
				require.True(t, res.Cut, name)
			}
		}
	}
}

// A filter by place ends with the time, before it has seen all documents.
func TestCutoff_endsAFilterByPlace(t *testing.T) {
	m, s := mapped(t, 8*checkEvery)
	res, err := m.Search(t.Context(), plans(t, s, time.Now().Add(-time.Second))["place"])
	require.NoError(t, err)
	require.True(t, res.Cut)
	require.Equal(t, checkEvery/2, res.Found, "of the first block half are there")
}

// ends is a context that ends after a number of checks.
type ends struct {
	context.Context
	left int
}

var errEnds = errors.New("over")

func (e *ends) Err() error {
	if e.left--; e.left < 0 {
		return errEnds
	}
	return nil
}

func TestContext_endsAFilterByPlace(t *testing.T) {
	m, s := mapped(t, 8*checkEvery)
	for name, p := range plans(t, s, time.Time{}) {
		p.Limit, p.Facets = 0, nil
		if p.Filter == nil {
			continue
		}
		looks := &ends{Context: t.Context(), left: 1 << 30}
		_, err := m.Search(looks, p)
		require.NoError(t, err, name)
		require.Greater(t, 1<<30-looks.left, 7, "%s: each block looks", name)
		_, err = m.Search(&ends{Context: t.Context(), left: 1<<30 - looks.left - 3}, p)
		require.ErrorIs(t, err, errEnds, name)
	}
}
