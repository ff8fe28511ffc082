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

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/geo"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Filters and sort orders by place are evaluated by the index. The oracle looks at each document.
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
			if n := doc["n"].(json.Number).String(); (node.Clause.Want.Meets(node.Clause.Field, node.Clause.Field.In(doc)) != node.Clause.Negate) || n == "1" {
				want = append(want, id)
			}
		}
		order := "at(1, 1):asc"
		keys, err := ordering.Parse(order, s)
		require.NoError(t, err)
		distance := func(id string) float64 { return keys[0].Geo.Weigh(geo.Points(keys[0].Geo.Field.In(live[id]).Floats)) }
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

// star returns a polygon that does not cross itself, in either direction, in whole degrees. Its corners are in order as seen from its
// centre.
func star(t *rapid.T) [][2]float64 {
	middle := [2]float64{float64(rapid.IntRange(-3, 3).Draw(t, "lat")), float64(rapid.IntRange(-3, 3).Draw(t, "lng"))}
	angles := append([]int{0, 120, 240}, rapid.SliceOfN(rapid.IntRange(1, 359), 0, 5).Draw(t, "angles")...)
	slices.Sort(angles)
	var out [][2]float64
	for _, a := range slices.Compact(angles) {
		far := float64(rapid.IntRange(1, 5).Draw(t, "far"))
		out = append(out, [2]float64{middle[0] + far*math.Sin(float64(a)*math.Pi/180), middle[1] + far*math.Cos(float64(a)*math.Pi/180)})
	}
	if rapid.Bool().Draw(t, "other way") {
		slices.Reverse(out)
	}
	return out
}

// around adds up the angles under which a point sees a polygon's edges: a full turn from inside, none from outside.
func around(p [2]float64, polygon [][2]float64) bool {
	sum := 0.0
	for i, a := range polygon {
		b := polygon[(i+1)%len(polygon)]
		angle := math.Atan2(b[0]-p[0], b[1]-p[1]) - math.Atan2(a[0]-p[0], a[1]-p[1])
		sum += math.Remainder(angle, 2*math.Pi)
	}
	return math.Abs(sum) > math.Pi
}

// TestPolygons_holdAPointThatSeesThemAllAround compares filters by place on polygons in documents with the angles under which the places
// see the edges.
func TestPolygons_holdAPointThatSeesThemAllAround(t *testing.T) {
	e, made := flushing(t), 0
	rapid.Check(t, func(t *rapid.T) {
		made++
		s, err := schema.Parse(fmt.Appendf(nil, `{"name":"p%d","fields":[{"name":"area","type":"geopolygon","optional":true},{"name":"n","type":"int32"}]}`, made), 10)
		require.NoError(t, err)
		c, err := e.Create(s)
		require.NoError(t, err)
		defer func() {
			_, err := e.Drop(c.Name())
			require.NoError(t, err)
		}()
		live := map[string][][2]float64{}
		for range rapid.IntRange(1, 5).Draw(t, "batches") {
			var writes []Write
			for range rapid.IntRange(0, 8).Draw(t, "writes") {
				id := fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "id"))
				doc := map[string]any{"id": id, "n": 1}
				live[id] = nil
				if rapid.IntRange(0, 4).Draw(t, "has") > 0 {
					live[id] = star(t)
					doc["area"] = asWritten(t, live[id])
				}
				line, err := json.Marshal(doc)
				require.NoError(t, err)
				writes = append(writes, Write{Line: line, Action: Upsert})
			}
			written, err := c.Apply(writes)
			require.NoError(t, err)
			for _, w := range written {
				require.NoError(t, w.Err)
			}
		}
		points := [][2]float64{}
		for range 2 {
			points = append(points, [2]float64{float64(rapid.IntRange(-6, 5).Draw(t, "lat")) + 0.3719, float64(rapid.IntRange(-6, 5).Draw(t, "lng")) + 0.2113})
		}
		list, negate := rapid.Bool().Draw(t, "list"), rapid.Bool().Draw(t, "negate")
		text := fmt.Sprintf("(%v, %v)", points[0][0], points[0][1])
		if list {
			text = fmt.Sprintf("[%s, (%v,%v)]", text, points[1][0], points[1][1])
		}
		if negate {
			text = "!=" + text
		}
		want := []string{}
		for id, polygon := range live {
			in := polygon != nil && (around(points[0], polygon) || list && around(points[1], polygon))
			if in != negate {
				want = append(want, id)
			}
		}
		answer, err := e.Search(context.Background(), c.Name(), map[string]string{"q": "*", "filter_by": "area:" + text + " && n:1", "per_page": "100"})
		require.NoError(t, err)
		got := []string{}
		for _, h := range *answer.Hits {
			got = append(got, idOf(t, h))
		}
		require.ElementsMatch(t, want, got, text)
	})
}

// asWritten returns a polygon as documents store it: a text of its corners, possibly with the first one repeated at the end, or a list of
// numbers.
func asWritten(t *rapid.T, polygon [][2]float64) any {
	if rapid.Bool().Draw(t, "closed") {
		polygon = append(slices.Clone(polygon), polygon[0])
	}
	var numbers []float64
	for _, c := range polygon {
		numbers = append(numbers, c[0], c[1])
	}
	if rapid.Bool().Draw(t, "as numbers") {
		return numbers
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
}

// Places and polygons inside objects are found like others.
func TestPlaces_insideObjects(t *testing.T) {
	e := flushing(t)
	s, err := schema.Parse([]byte(`{"name":"c","enable_nested_fields":true,"fields":[{"name":"shop","type":"object"},{"name":"shop.at","type":"geopoint"},{"name":"shop.area","type":"geopolygon"},
		{"name":"doors","type":"object[]","optional":true},{"name":"doors.at","type":"geopoint[]","optional":true}]}`), 10)
	require.NoError(t, err)
	c, err := e.Create(s)
	require.NoError(t, err)
	written, err := c.Apply([]Write{
		{Line: []byte(`{"id":"paris","shop":{"at":[48.85,2.35],"area":"48,2, 49,2, 49,3, 48,3"},"doors":[{"at":[48.86,2.36]},{"at":[10,10]}]}`)},
		{Line: []byte(`{"id":"oslo","shop":{"at":[59.91,10.75],"area":"59,10, 60,10, 60,11, 59,11"}}`)},
	})
	require.NoError(t, err)
	for _, w := range written {
		require.NoError(t, w.Err)
	}
	for filter, want := range map[string]string{
		"shop.at:(48.85, 2.35, 1 km)": "paris", "shop.area:(59.5, 10.5)": "oslo", "doors.at:(10, 10, 1 km)": "paris", "doors.at:(59, 10, 100 km)": "",
	} {
		answer, err := e.Search(t.Context(), "c", map[string]string{"q": "*", "filter_by": filter})
		require.NoError(t, err, filter)
		var ids []string
		for _, h := range *answer.Hits {
			var doc struct{ ID string }
			require.NoError(t, json.Unmarshal(h.Document, &doc))
			ids = append(ids, doc.ID)
		}
		require.Equal(t, want, strings.Join(ids, " "), filter)
	}
	answer, err := e.Search(t.Context(), "c", map[string]string{"q": "*", "sort_by": "shop.at(48, 2):asc"})
	require.NoError(t, err)
	require.Greater(t, (*answer.Hits)[0].GeoDistances["shop.at"], 90_000)
	require.Contains(t, string((*answer.Hits)[0].Document), "paris")
}
