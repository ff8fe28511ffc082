package index

import (
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

func TestPostings_behaveLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, model := &postings{}, map[uint32][]place{}
		steps := rapid.IntRange(1, 3000).Draw(t, "steps")
		seed := rapid.Uint32().Draw(t, "seed")
		for range steps {
			seed = seed*1664525 + 1013904223
			doc := seed >> 8 % 2500
			if old, ok := model[doc]; ok {
				if n := p.remove(doc); n != len(encodePlaces(nil, old)) {
					t.Fatalf("removal of %d told %d bytes", doc, n)
				}
				delete(model, doc)
				continue
			}
			places := []place{{seed % 7, seed%2 == 0}, {7 + seed%90000, true}}
			p.insert(doc, encodePlaces(nil, places))
			model[doc] = places
		}
		if p.n != len(model) || p.remove(1<<31) != -1 {
			t.Fatalf("%d documents, want %d", p.n, len(model))
		}
		set := roaring.New()
		p.addTo(set)
		c := cursor{p: p}
		for doc := range uint32(2600) {
			want, in := model[doc]
			if set.Contains(doc) != in || c.seek(doc) != in {
				t.Fatalf("document %d: want %v", doc, in)
			}
			if in && !slices.Equal(want, decodePlaces(nil, c.positions())) {
				t.Fatalf("places of %d", doc)
			}
		}
	})
}

func TestPlaces_brokenBytesEnd(t *testing.T) {
	require.Empty(t, decodePlaces(nil, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}))
}

func TestVocabulary_walkAgreesWithBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, words := newVocabulary(), map[string]bool{}
		for _, w := range rapid.SliceOfN(rapid.StringMatching(`[abcde]{1,8}`), 1, 800).Draw(t, "words") {
			if _, made := v.get(w); made == words[w] {
				t.Fatalf("made %v of %q", made, w)
			}
			words[w] = true
		}
		for w := range words {
			if rapid.IntRange(0, 9).Draw(t, "drop") == 0 {
				v.drop(w)
				delete(words, w)
			}
		}
		query, most, prefix := rapid.StringMatching(`[abcdef]{1,8}`).Draw(t, "query"), rapid.IntRange(0, 2).Draw(t, "typos"), rapid.Bool().Draw(t, "prefix")
		got := map[string]int{}
		v.similar(query, most, prefix, func(w string, c text.Cost) { got[w] = c.Typos })
		want := map[string]int{}
		for w := range words {
			// One word alone can't be skipped: this is the brute force.
			if c, ok, _ := text.NewMatcher(query, most, prefix).Match(w); ok {
				want[w] = c.Typos
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%q: got %v, want %v", query, got, want)
		}
		for w, c := range want {
			if got[w] != c {
				t.Fatalf("%q: %q costs %d, want %d", query, w, got[w], c)
			}
		}
	})
}

func TestVocabulary_prefixesInOrder(t *testing.T) {
	v := newVocabulary()
	for _, w := range strings.Fields("the them then there other they a zoo") {
		v.get(w)
	}
	var got []string
	v.similar("the", 0, true, func(w string, _ text.Cost) { got = append(got, w) })
	require.Equal(t, []string{"the", "them", "then", "there", "they"}, got)
}
