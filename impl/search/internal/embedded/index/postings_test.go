package index

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

func encodePlaces(places []place) (data []byte) {
	prev := uint32(0)
	for _, p := range places {
		data = appendPlace(data, p, prev)
		prev = p.pos
	}
	return data
}

func TestPostings_behaveLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, model := &dictionary{}, []map[uint32][]place{}
		seed := rapid.Uint32().Draw(t, "seed")
		for _, word := range []string{"a", "b", "c"} {
			d.addTerm(word)
			in := map[uint32][]place{}
			for doc := range uint32(rapid.IntRange(0, 3000).Draw(t, "documents")) {
				if seed = seed*1664525 + 1013904223; seed>>16%3 == 0 {
					continue
				}
				in[doc] = []place{{seed % 7, seed%2 == 0}, {7 + seed%90000, true}}
				d.addPosting(doc, encodePlaces(in[doc]))
			}
			model = append(model, in)
		}
		for term, in := range model {
			p := d.postings(uint32(term))
			set := union(5000, []postings{p})
			require.Equal(t, len(in), p.n())
			c := newCursor(p)
			for doc := range uint32(3100) {
				want, known := in[doc]
				if set.Contains(doc) != known || c.seek(doc) != known {
					t.Fatalf("document %d: want %v", doc, known)
				}
				if known && !slices.Equal(want, decodePlaces(nil, c.places())) {
					t.Fatalf("places of %d", doc)
				}
			}
		}
	})
}

func TestPlaces_brokenBytesEnd(t *testing.T) {
	require.Empty(t, decodePlaces(nil, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}))
}

func dictionaryOf(words []string) *dictionary {
	d := &dictionary{}
	words = slices.Sorted(slices.Values(words))
	for _, w := range slices.Compact(words) {
		d.addTerm(w)
	}
	return d
}

func TestDictionary_walkAgreesWithBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[abcde]{1,8}`), 1, 800).Draw(t, "words")
		d := dictionaryOf(words)
		query, most, prefix := rapid.StringMatching(`[abcdef]{1,8}`).Draw(t, "query"), rapid.IntRange(0, 2).Draw(t, "typos"), rapid.Bool().Draw(t, "prefix")
		got := map[string]int{}
		d.similar(text.NewMatcher(query, most, prefix), func(term uint32, c text.Cost) { got[d.terms.at(term)] = c.Typos })
		want := map[string]int{}
		for _, w := range words {
			// A single word can't be skipped: this is brute force.
			if c, ok, _ := text.NewMatcher(query, most, prefix).Match(w); ok {
				want[w] = c.Typos
			}
		}
		require.Equal(t, want, got, query)
	})
}

func TestDictionary_prefixesInOrder(t *testing.T) {
	d := dictionaryOf(strings.Fields("the them then there other they a zoo"))
	var got []string
	d.withPrefix("the", func(term uint32) { got = append(got, d.terms.at(term)) })
	require.Equal(t, []string{"the", "them", "then", "there", "they"}, got)
}
