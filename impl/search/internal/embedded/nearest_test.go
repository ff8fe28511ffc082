package embedded

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// kept is a document of the oracle.
type kept struct {
	seq  int // of insertion
	V    []float64
	S    string
	Kind int
}

// shaken returns a collection of vectors and words after batches of updates, deletions and new documents, with merges and flushes in
// between, and its content.
func shaken(t *rapid.T, e *Engine, name string) (*Collection, map[string]kept) {
	distance := rapid.SampledFrom([]string{"cosine", "ip"}).Draw(t, "distance")
	s, err := schema.Parse(fmt.Appendf(nil, `{"name":%q,"fields":[{"name":"v","type":"float[]","num_dim":3,"vec_dist":%q,"optional":true},
		{"name":"s","type":"string","infix":true,"optional":true},{"name":"kind","type":"int32","facet":true}]}`, name, distance), 10)
	require.NoError(t, err)
	c, err := e.Create(s)
	require.NoError(t, err)
	number := rapid.SampledFrom([]float64{-1, 0, 0.25, 0.1, 3})
	word := rapid.SampledFrom([]string{"lantern", "lant", "antern", "xlantx", "ant", "übelante", "no"})
	docs, next := map[string]kept{}, 0
	for range rapid.IntRange(1, 6).Draw(t, "batches") {
		var writes []Write
		for range rapid.IntRange(0, 12).Draw(t, "writes") {
			id := fmt.Sprint(rapid.IntRange(0, 20).Draw(t, "id"))
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				writes = append(writes, Write{Remove: true, ID: id})
				delete(docs, id)
				continue
			}
			doc := map[string]any{"id": id, "kind": rapid.IntRange(0, 1).Draw(t, "kind")}
			k, there := docs[id]
			if k = (kept{seq: k.seq, Kind: doc["kind"].(int)}); !there {
				k.seq = next
				next++
			}
			if rapid.IntRange(0, 3).Draw(t, "has") > 0 {
				k.V = []float64{number.Draw(t, "x"), number.Draw(t, "y"), number.Draw(t, "z")}
				doc["v"] = k.V
			}
			if rapid.Bool().Draw(t, "words") {
				k.S = strings.Join(rapid.SliceOfN(word, 1, 3).Draw(t, "s"), " ")
				doc["s"] = k.S
			}
			docs[id] = k
			line, err := json.Marshal(doc)
			require.NoError(t, err)
			writes = append(writes, Write{Line: line, Action: Upsert})
		}
		_, err := c.Apply(writes)
		require.NoError(t, err)
		if rapid.Bool().Draw(t, "rest") {
			c.idx().Rest()
		}
	}
	if rapid.Bool().Draw(t, "reopen") {
		require.NoError(t, c.idx().Close())
		require.NoError(t, c.openIndex())
	}
	return c, docs
}

// flushing returns an engine that constantly flushes its indexes to files.
func flushing(t *testing.T) *Engine {
	e, err := Open(Config{Dir: t.TempDir(), FlushChanges: 7})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	require.NoError(t, e.WaitReady(context.Background()))
	return e
}

// far returns the documented distance: that of the angle, or of the inner product.
func far(a, b []float64, inner bool) float64 {
	var dot, aa, bb float64
	for i := range a {
		x, y := float64(float32(a[i])), b[i]
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	switch {
	case inner:
		return 1 - dot
	case aa == 0 || bb == 0:
		return 1
	}
	return max(0, 1-dot/math.Sqrt(aa*bb))
}

// TestVectors_areThoseOfTheDocuments compares vector searches with the documents themselves, over segments with merges, updates and
// deletions.
func TestVectors_areThoseOfTheDocuments(t *testing.T) {
	e, made := flushing(t), 0
	rapid.Check(t, func(t *rapid.T) {
		made++
		c, docs := shaken(t, e, fmt.Sprint("c", made))
		defer func() {
			_, err := e.Drop(c.Name())
			require.NoError(t, err)
		}()
		f, _ := c.schema.Load().Field("v")
		to, k, kind := []float64{0.5, -0.25, 1}, rapid.IntRange(1, 30).Draw(t, "k"), rapid.IntRange(0, 1).Draw(t, "wanted kind")
		var want []string
		distances := map[string]float64{}
		for id, d := range docs {
			if d.V != nil && d.Kind == kind {
				want = append(want, id)
				distances[id] = far(d.V, to, f.Distance == "ip")
			}
		}
		slices.SortFunc(want, func(a, b string) int {
			return cmp.Or(cmp.Compare(distances[a], distances[b]), cmp.Compare(docs[b].seq, docs[a].seq)) // the newest of equals first
		})
		want = want[:min(len(want), k)]
		res, err := e.Search(context.Background(), c.Name(), map[string]string{
			"q": "*", "vector_query": fmt.Sprintf("v:([0.5,-0.25,1], k: %d)", k), "filter_by": fmt.Sprint("kind:=", kind), "per_page": "100"})
		require.NoError(t, err)
		var got []string
		for _, h := range *res.Hits {
			var doc struct{ ID string }
			require.NoError(t, json.Unmarshal(h.Document, &doc))
			got = append(got, doc.ID)
			require.InDelta(t, distances[doc.ID], *h.VectorDistance, 1e-12)
		}
		require.Equal(t, want, got)
	})
}

// TestVectors_groupsAndFacetsAreThoseOfTheNearest compares the groups and counts of a vector search with the documents themselves. They
// cover only the k nearest, in the order of their distances, also if words contribute to the rank.
func TestVectors_groupsAndFacetsAreThoseOfTheNearest(t *testing.T) {
	e, made := flushing(t), 0
	rapid.Check(t, func(t *rapid.T) {
		made++
		c, docs := shaken(t, e, fmt.Sprint("c", made))
		defer func() {
			_, err := e.Drop(c.Name())
			require.NoError(t, err)
		}()
		search := map[string]string{"q": "*", "vector_query": fmt.Sprintf("v:([0.5,-0.25,1], k: %d)", rapid.IntRange(1, 30).Draw(t, "k")), "per_page": "100", "facet_by": "kind"}
		if rapid.Bool().Draw(t, "words") {
			search["q"], search["query_by"] = "lantern", "s"
		}
		if rapid.Bool().Draw(t, "sorted") {
			search["sort_by"] = "kind:desc"
		}
		flat, err := e.Search(context.Background(), c.Name(), search)
		require.NoError(t, err)
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		search["group_by"], search["group_limit"] = "kind", fmt.Sprint(limit)
		grouped, err := e.Search(context.Background(), c.Name(), search)
		require.NoError(t, err)

		var order []int
		members := map[int][]string{}
		for _, h := range *flat.Hits {
			id := idOf(t, h)
			kind := docs[id].Kind
			if members[kind] == nil {
				order = append(order, kind)
			}
			members[kind] = append(members[kind], id)
		}
		require.Equal(t, flat.Found, *grouped.FoundDocs)
		require.Equal(t, len(order), grouped.Found)
		require.Len(t, *grouped.GroupedHits, len(order))
		for i, g := range *grouped.GroupedHits {
			kind := order[i]
			require.Equal(t, []any{int64(kind)}, g.GroupKey)
			require.Equal(t, len(members[kind]), g.Found)
			var got []string
			for _, h := range g.Hits {
				got = append(got, idOf(t, h))
				require.True(t, h.VectorDistance != nil || h.Hybrid != nil && search["q"] != "*", "how near it is, or how words and vector rank it together")
			}
			require.Equal(t, members[kind][:min(limit, len(members[kind]))], got)
		}
		counts := func(a *Answer) map[string]int {
			out := map[string]int{}
			for _, n := range a.FacetCounts[0].Counts {
				out[n.Value] = n.Count
			}
			return out
		}
		inAll, inGroups := map[string]int{}, map[string]int{}
		for kind, ids := range members {
			inAll[fmt.Sprint(kind)], inGroups[fmt.Sprint(kind)] = len(ids), 1
		}
		require.Equal(t, inAll, counts(flat), "facets are of what was found")
		require.Equal(t, inGroups, counts(grouped), "with groups they count groups")
	})
}

func idOf(t *rapid.T, h HitAnswer) string {
	var doc struct{ ID string }
	require.NoError(t, json.Unmarshal(h.Document, &doc))
	return doc.ID
}

// A pinned document is at its position in a vector search too, and is counted once.
func TestVectors_pinsHoldBesideThem(t *testing.T) {
	e := flushing(t)
	s, err := schema.Parse([]byte(`{"name":"c","fields":[{"name":"v","type":"float[]","num_dim":2}]}`), 10)
	require.NoError(t, err)
	c, err := e.Create(s)
	require.NoError(t, err)
	for id, v := range []string{"[1,0]", "[1,0.1]", "[0,1]"} {
		_, err = c.Apply([]Write{{Line: fmt.Appendf(nil, `{"id":"%d","v":%s}`, id, v)}})
		require.NoError(t, err)
	}
	for pins, want := range map[string]struct {
		ids   string
		found int
	}{"": {"0 1", 2}, "2:1": {"2 0 1", 3}, "1:1": {"1 0", 2}, "2:2": {"0 2 1", 3}} {
		answer, err := e.Search(t.Context(), "c", map[string]string{"q": "*", "vector_query": "v:([1,0], k: 2)", "pinned_hits": pins})
		require.NoError(t, err)
		var ids []string
		for _, h := range *answer.Hits {
			var doc struct{ ID string }
			require.NoError(t, json.Unmarshal(h.Document, &doc))
			ids = append(ids, doc.ID)
		}
		require.Equal(t, want.ids, strings.Join(ids, " "), pins)
		require.Equal(t, want.found, answer.Found, pins)
	}
}

// TestInfix_wordsAreThoseOfTheDocuments compares the words that contain a text with those of the documents that match the filter.
func TestInfix_wordsAreThoseOfTheDocuments(t *testing.T) {
	e, made := flushing(t), 0
	rapid.Check(t, func(t *rapid.T) {
		made++
		c, docs := shaken(t, e, fmt.Sprint("c", made))
		defer func() {
			_, err := e.Drop(c.Name())
			require.NoError(t, err)
		}()
		before, after, kind := rapid.IntRange(0, 4).Draw(t, "before"), rapid.IntRange(0, 4).Draw(t, "after"), rapid.IntRange(0, 1).Draw(t, "wanted kind")
		want := map[string]int{}
		for _, d := range docs {
			if d.Kind != kind {
				continue
			}
			for _, w := range once(strings.Fields(strings.ReplaceAll(d.S, "ü", "u"))) {
				if at := strings.Index(w, "ant"); at >= 0 && utf8.RuneCountInString(w[:at]) <= before && utf8.RuneCountInString(w[at+3:]) <= after {
					want[w]++
				}
			}
		}
		r, err := e.prepare(context.Background(), c.Name(), map[string]string{
			"q": "ant", "query_by": "s", "infix": "always", "max_extra_prefix": fmt.Sprint(before), "max_extra_suffix": fmt.Sprint(after), "filter_by": fmt.Sprint("kind:=", kind)})
		require.NoError(t, err)
		f, _ := c.schema.Load().Field("s")
		got, err := r.wordsHolding("ant", []*schema.Field{f})
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// A document without a distance, because its numbers exceed 32 bits, is not found. A query with such numbers, or without numbers, is
// refused.
func TestVectors_numbersBeyondTheirBits(t *testing.T) {
	e := flushing(t)
	for _, distance := range []string{"cosine", "ip"} {
		s, err := schema.Parse(fmt.Appendf(nil, `{"name":%q,"fields":[{"name":"v","type":"float[]","num_dim":2,"vec_dist":%[1]q},{"name":"s","type":"string"}]}`, distance), 10)
		require.NoError(t, err)
		c, err := e.Create(s)
		require.NoError(t, err)
		_, err = c.Apply([]Write{{Line: []byte(`{"id":"large","s":"x","v":[1e300,1]}`)}, {Line: []byte(`{"id":"negative","s":"x","v":[-1e300,1]}`)}, {Line: []byte(`{"id":"plain","s":"x","v":[1,1]}`)}})
		require.NoError(t, err)
		for _, query := range []string{"v:([1,0])", "v:([3e38,3e38])", "v:([], id: large)"} {
			res, err := e.Search(context.Background(), distance, map[string]string{"q": "*", "vector_query": query})
			require.NoError(t, err, query)
			_, err = json.Marshal(res)
			require.NoError(t, err, query)
		}
		for _, query := range []string{"v:([NaN,0])", "v:([Inf,0])", "v:([1e39,0])", "v:([1,0], alpha: NaN)", "v:([1,0], distance_threshold: NaN)", "v:([1,0], alpha: 2)"} {
			_, err := e.Search(context.Background(), distance, map[string]string{"q": "x", "query_by": "s", "vector_query": query})
			var refused *schema.Error
			require.ErrorAs(t, err, &refused, query)
		}
	}
}
