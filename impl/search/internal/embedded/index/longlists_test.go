package index

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/geo"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Lookups of lists of any length check the time, so that it ends them.
func TestContext_endsListsOfAnyLength(t *testing.T) {
	m, s := mapped(t, checkEvery)
	base := plans(t, s, time.Time{})["words"]
	sun, ok := s.Field("word")
	require.True(t, ok)
	at, ok := s.Field("at")
	require.True(t, ok)
	many := func(of ...string) (list [][]string) {
		for range 1000 {
			list = append(list, of)
		}
		return list
	}
	words := make(schema.AnyWords, 1000)
	for i := range words {
		words[i] = schema.Words{Text: "sun", List: []string{"sun"}}
	}
	ids := make(schema.AnyWords, 1000)
	for i := range ids {
		ids[i] = schema.Words{Text: fmt.Sprint(i), Exact: true}
	}
	long := strings.Fields(strings.Repeat("sun ", checkEvery))
	clause := func(c filter.Clause) *filter.Node { return &filter.Node{Op: filter.Leaf, Clause: &c} }
	for name, c := range map[string]struct {
		change func(p *Plan)
		looks  int
	}{
		"excluded words":    {func(p *Plan) { p.Query.Excluded = many("moon") }, 1000},
		"phrases":           {func(p *Plan) { p.Query.Phrases = many("sun") }, 1000},
		"a long phrase":     {func(p *Plan) { p.Query.Phrases = [][]string{long} }, checkEvery / 2},
		"a filter of words": {func(p *Plan) { p.Filter = clause(filter.Clause{Field: sun, Want: words}) }, 1000 / alternativesBetween},
		"a negated filter":  {func(p *Plan) { p.Filter = clause(filter.Clause{Field: sun, Want: words, Negate: true}) }, 1000 / alternativesBetween},
		"a filter of ids":   {func(p *Plan) { p.Filter = clause(filter.Clause{Want: ids}) }, 1000 / alternativesBetween},
		"a polygon of many corners": {func(p *Plan) {
			p.Filter = clause(filter.Clause{Field: at, Want: schema.InAreas{{Corners: make([]geo.Point, checkEvery)}}})
		}, checkEvery / 2},
		"a filter of a value": {func(p *Plan) {
			p.Filter = clause(filter.Clause{Field: sun, Want: schema.AnyWords{{List: long, Exact: true}}})
		}, checkEvery / 2},
	} {
		p := base
		c.change(&p)
		looks := &ends{Context: t.Context(), left: 1 << 30}
		_, err := m.Search(looks, p)
		require.NoError(t, err, name)
		require.Greater(t, 1<<30-looks.left, c.looks, name)
		_, err = m.Search(&ends{Context: t.Context(), left: c.looks / 2}, p)
		require.ErrorIs(t, err, errEnds, name)
	}
}

// A word longer than any with typos is not split at each of its letters.
func TestSearch_longWordsAreNotSplit(t *testing.T) {
	m, s := mapped(t, 10)
	p := plans(t, s, time.Time{})["words"]
	p.Query.Words = []string{strings.Repeat("sun", 10_000)}
	looks := &ends{Context: t.Context(), left: 1000}
	res, err := m.Search(looks, p)
	require.NoError(t, err)
	require.Zero(t, res.Found)
	p.Query.Words = []string{"sunmoon"}
	_, err = m.Search(t.Context(), p)
	require.NoError(t, err)
}

// Memory is allocated for what exists, and not for what a parameter says.
func TestSearch_noParameterMakesRoom(t *testing.T) {
	m, s := mapped(t, 10)
	p := plans(t, s, time.Time{})["words"]
	p.MaxCandidates, p.FilterCandidates, p.Limit, p.Offset = 1<<31, 1<<31, 1<<40, 1<<40
	sun, _ := s.Field("word")
	p.Filter = &filter.Node{Op: filter.Leaf, Clause: &filter.Clause{Field: sun, Want: schema.AnyWords{{List: []string{"s"}, Prefix: true}}}}
	res, err := m.Search(t.Context(), p)
	require.NoError(t, err)
	require.NotZero(t, res.Found)
}
