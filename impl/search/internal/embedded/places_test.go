package embedded

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Filters and orders by places are answered by the index; a look at each document is the oracle.
func TestPlaces_filtersAndOrdersAgreeWithALookAtEachDocument(t *testing.T) {
	e, _ := opened(t)
	made := 0
	degrees := func(most int) *rapid.Generator[int] { return rapid.IntRange(-most, most) }
	rapid.Check(t, func(t *rapid.T) {
		made++
		s, err := schema.Parse(fmt.Appendf(nil, `{"name":"p%d","fields":[{"name":"at","type":"geopoint","optional":true},{"name":"many","type":"geopoint[]","optional":true},{"name":"n","type":"int32"}]}`, made), 10)
		require.NoError(t, err)
		c, err := e.Create(s)
		require.NoError(t, err)
		defer func() {
			_, err := e.Drop(c.Name())
			require.NoError(t, err)
		}()
		live := map[string]schema.Document{}
		place := func() [2]int { return [2]int{degrees(3).Draw(t, "lat"), degrees(3).Draw(t, "lng")} }
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			var writes []Write
			for range rapid.IntRange(0, 10).Draw(t, "writes") {
				id := fmt.Sprint(rapid.IntRange(0, 15).Draw(t, "id"))
				if rapid.IntRange(0, 4).Draw(t, "remove") == 0 {
					writes = append(writes, Write{Remove: true, ID: id})
					delete(live, id)
					continue
				}
				doc := map[string]any{"id": id, "n": rapid.IntRange(0, 3).Draw(t, "n")}
				if rapid.Bool().Draw(t, "at") {
					doc["at"] = place()
				}
				if rapid.Bool().Draw(t, "many") {
					doc["many"] = [][2]int{place(), place()}[:rapid.IntRange(0, 2).Draw(t, "count")]
				}
				body, err := json.Marshal(doc)
				require.NoError(t, err)
				writes = append(writes, Write{Line: body, Action: Upsert})
				live[id], err = schema.ParseDocument(body)
				require.NoError(t, err)
			}
			_, err := c.Apply(writes)
			require.NoError(t, err)
		}
		areas := []string{
			fmt.Sprintf("(%d, %d, %d km)", degrees(3).Draw(t, "lat"), degrees(3).Draw(t, "lng"), rapid.IntRange(0, 400).Draw(t, "radius")),
			fmt.Sprintf("(%d, %d, %d, %d, %d, %d)", degrees(4).Draw(t, "a"), degrees(4).Draw(t, "b"), degrees(4).Draw(t, "c"), degrees(4).Draw(t, "d"), degrees(4).Draw(t, "e"), degrees(4).Draw(t, "f")),
		}
		name := rapid.SampledFrom([]string{"at", "many"}).Draw(t, "field")
		text := name + rapid.SampledFrom([]string{":", ":!="}).Draw(t, "op") + rapid.SampledFrom(append(areas, "["+areas[0]+", "+areas[1]+"]")).Draw(t, "area")
		node, err := filter.Parse(text, s, filter.Options{})
		if err != nil { // negation is not for places
			return
		}
		require.False(t, node.Checks(), "the index answers it")
		var want []string
		for id, doc := range live {
			if n := doc["n"].(json.Number).String(); node.Check.Holds(doc) || n == "1" {
				want = append(want, id)
			}
		}
		order := "at(1, 1):asc"
		keys, err := ordering.Parse(order, s)
		require.NoError(t, err)
		distance := func(id string) float64 { return keys[0].Geo.Weigh(filter.Points(live[id], keys[0].Geo.Field)) }
		answer, err := e.Search(context.Background(), c.Name(), map[string]string{"q": "*", "filter_by": text + " || n:1", "sort_by": order, "per_page": "100"})
		require.NoError(t, err)
		got := []string{}
		for _, h := range *answer.Hits {
			doc, err := schema.ParseDocument(h.Document)
			require.NoError(t, err)
			got = append(got, doc["id"].(string))
		}
		require.ElementsMatch(t, want, got, text)
		require.True(t, slices.IsSortedFunc(got, func(a, b string) int { return cmp.Compare(distance(a), distance(b)) }), "%v", got)
	})
}
