package index

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// The oracle answers searches by looking at every document. It shares no code with the index except the parsers.

func oracleSchema(t require.TestingT) *schema.Schema {
	s, err := schema.Parse([]byte(`{"name":"x","fields":[
		{"name":"word","type":"string","facet":true,"optional":true,"sort":true},
		{"name":"tags","type":"string[]","facet":true,"optional":true},
		{"name":"i","type":"int32","facet":true,"optional":true},
		{"name":"big","type":"int64","facet":true,"optional":true},
		{"name":"f","type":"float","facet":true,"optional":true},
		{"name":"b","type":"bool","facet":true,"optional":true},
		{"name":"is","type":"int64[]","facet":true,"optional":true}]}`), 100)
	require.NoError(t, err)
	return s
}

// model holds the documents by number.
type model map[uint64]*schema.Typed

func drawDocument(t *rapid.T, id string) *schema.Typed {
	d := &schema.Typed{ID: id, Values: map[string]schema.Value{}}
	phrase := rapid.StringMatching(`(red|green|blue|dark red|Red Dark)`)
	small := rapid.Int64Range(-3, 3)
	if rapid.Bool().Draw(t, "word") {
		d.Values["word"] = schema.Value{Strings: []string{phrase.Draw(t, "w")}}
	}
	if rapid.Bool().Draw(t, "tags") {
		d.Values["tags"] = schema.Value{Strings: rapid.SliceOfN(phrase, 1, 3).Draw(t, "ts")}
	}
	if rapid.Bool().Draw(t, "i") {
		d.Values["i"] = schema.Value{Ints: []int64{small.Draw(t, "iv")}}
	}
	if rapid.Bool().Draw(t, "big") {
		d.Values["big"] = schema.Value{Ints: []int64{1<<53 + small.Draw(t, "bigv")}}
	}
	if rapid.Bool().Draw(t, "f") {
		d.Values["f"] = schema.Value{Floats: []float64{float64(float32(small.Draw(t, "fv")) / 4)}}
	}
	if rapid.Bool().Draw(t, "b") {
		d.Values["b"] = schema.Value{Ints: []int64{int64(rapid.IntRange(0, 1).Draw(t, "bv"))}}
	}
	if rapid.Bool().Draw(t, "is") {
		d.Values["is"] = schema.Value{Ints: rapid.SliceOfN(small, 1, 3).Draw(t, "isv")}
	}
	return d
}

// drawFilter generates a filter and its predicate.
func drawFilter(t *rapid.T, depth int) (string, func(*schema.Typed) bool) {
	if depth > 0 && rapid.Bool().Draw(t, "deeper") {
		left, l := drawFilter(t, depth-1)
		right, r := drawFilter(t, depth-1)
		if rapid.Bool().Draw(t, "and") {
			return "(" + left + ") && (" + right + ")", func(d *schema.Typed) bool { return l(d) && r(d) }
		}
		return "(" + left + ")||(" + right + ")", func(d *schema.Typed) bool { return l(d) || r(d) }
	}
	return drawClause(t)
}

func drawClause(t *rapid.T) (string, func(*schema.Typed) bool) {
	n := rapid.Int64Range(-4, 4).Draw(t, "n")
	switch rapid.IntRange(0, 5).Draw(t, "clause") {
	case 0, 1:
		field := rapid.SampledFrom([]string{"i", "is", "big"}).Draw(t, "field")
		if field == "big" {
			n += 1 << 53
		}
		return drawWhole(t, field, n)
	case 2:
		x := float64(float32(n) / 4)
		op := rapid.SampledFrom([]string{":", ":>", ":<=", ":!="}).Draw(t, "op")
		return "f" + op + strconv.FormatFloat(x, 'g', -1, 64), func(d *schema.Typed) bool {
			some := slices.ContainsFunc(d.Values["f"].Floats, func(v float64) bool {
				return op == ":>" && v > x || op == ":<=" && v <= x || (op == ":" || op == ":!=") && v == x
			})
			return some != (op == ":!=")
		}
	case 3:
		want := int64(rapid.IntRange(0, 1).Draw(t, "want"))
		return "b:=" + strconv.FormatBool(want == 1), func(d *schema.Typed) bool { return slices.Contains(d.Values["b"].Ints, want) }
	case 4:
		id := fmt.Sprint(rapid.IntRange(0, 40).Draw(t, "id"))
		return "id:[" + id + ",none]", func(d *schema.Typed) bool { return d.ID == id }
	}
	return drawText(t)
}

func drawWhole(t *rapid.T, field string, n int64) (string, func(*schema.Typed) bool) {
	high := n + rapid.Int64Range(0, 3).Draw(t, "width")
	rules := map[string]func(v int64) bool{
		fmt.Sprintf(":%d", n):              func(v int64) bool { return v == n },
		fmt.Sprintf(":>%d", n):             func(v int64) bool { return v > n },
		fmt.Sprintf(":< %d", n):            func(v int64) bool { return v < n },
		fmt.Sprintf(":%d..%d", n, high):    func(v int64) bool { return n <= v && v <= high },
		fmt.Sprintf(":[%d, %d]", n, high):  func(v int64) bool { return v == n || v == high },
		fmt.Sprintf(":!=[%d,%d]", n, high): func(v int64) bool { return v == n || v == high },
	}
	op := rapid.SampledFrom(slices.Sorted(func(yield func(string) bool) {
		for k := range rules {
			if !yield(k) {
				return
			}
		}
	})).Draw(t, "op")
	return field + op, func(d *schema.Typed) bool {
		return slices.ContainsFunc(d.Values[field].Ints, rules[op]) != strings.HasPrefix(op, ":!=")
	}
}

func drawText(t *rapid.T) (string, func(*schema.Typed) bool) {
	field := rapid.SampledFrom([]string{"word", "tags"}).Draw(t, "field")
	value := rapid.SampledFrom([]string{"red", "green", "dark red", "red dark"}).Draw(t, "value")
	op := rapid.SampledFrom([]string{":", ":=", ":!=", ":!"}).Draw(t, "op")
	return field + op + "`" + value + "`", func(d *schema.Typed) bool {
		some := slices.ContainsFunc(d.Values[field].Strings, func(v string) bool {
			v = strings.ToLower(v)
			if op == ":=" || op == ":!=" {
				return v == value
			}
			return true
		})
		if op == ":" || op == ":!" { // all words, wherever they stand in the field
			all := strings.Fields(strings.ToLower(strings.Join(d.Values[field].Strings, " ")))
			some = !slices.ContainsFunc(strings.Fields(value), func(w string) bool { return !slices.Contains(all, w) })
		}
		return some != (op == ":!=" || op == ":!")
	}
}

func drawSort(t *rapid.T, s *schema.Schema) (string, func(a, b *schema.Typed) int) {
	var parts []string
	var compares []func(a, b *schema.Typed) int
	for range rapid.IntRange(0, 3).Draw(t, "keys") {
		name := rapid.SampledFrom([]string{"word", "i", "big", "f", "b"}).Draw(t, "key")
		desc, first := rapid.Bool().Draw(t, "desc"), rapid.Bool().Draw(t, "first")
		part := name
		if first {
			part += "(missing_values: first)"
		}
		if desc {
			part += ":desc"
		} else {
			part += ":asc"
		}
		parts = append(parts, part)
		compares = append(compares, func(a, b *schema.Typed) int {
			x, y := a.Values[name], b.Values[name]
			hasX, hasY := len(x.Strings)+len(x.Ints)+len(x.Floats) > 0, len(y.Strings)+len(y.Ints)+len(y.Floats) > 0
			if !hasX || !hasY {
				c := cmp.Compare(boolInt(hasY), boolInt(hasX))
				if first {
					c = -c
				}
				return c
			}
			var c int
			switch {
			case len(x.Strings) > 0:
				c = cmp.Compare(strings.ToLower(x.Strings[0]), strings.ToLower(y.Strings[0]))
			case len(x.Ints) > 0:
				c = cmp.Compare(x.Ints[0], y.Ints[0])
			default:
				c = cmp.Compare(x.Floats[0], y.Floats[0])
			}
			if desc {
				c = -c
			}
			return c
		})
	}
	return strings.Join(parts, ","), func(a, b *schema.Typed) int {
		for _, c := range compares {
			if v := c(a, b); v != 0 {
				return v
			}
		}
		return 0
	}
}

// mutate applies random changes to the index and the model alike.
func mutate(t *rapid.T, m *Segments, s *schema.Schema, docs model) {
	var batch Batch
	for range rapid.IntRange(1, 60).Draw(t, "changes") {
		seq := rapid.Uint64Range(0, 40).Draw(t, "seq")
		c := Change{Seq: seq, Schema: s, Old: docs[seq]}
		if c.Old == nil || rapid.Bool().Draw(t, "replace") {
			c.New = drawDocument(t, fmt.Sprint(seq))
			docs[seq] = c.New
		} else {
			delete(docs, seq)
		}
		batch = append(batch, c)
	}
	require.NoError(t, m.Apply(batch))
}

func TestSearch_filtersSortsAndFacetsAgreeWithAFullScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m, docs := oracleSchema(t), New(Config{}), model{}
		if rapid.Bool().Draw(t, "files") {
			m = New(Config{Dir: tempDir(t)})
		}
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			mutate(t, m, s, docs)
			m = shake(t, m, func() {}, nil)
		}
		require.Equal(t, len(docs), m.Stats().Documents)
		text, rule := drawFilter(t, 3)
		node, err := filter.Parse(text, s, filter.Options{})
		require.NoError(t, err, text)
		order, compare := drawSort(t, s)
		keys, err := ordering.Parse(order, s)
		require.NoError(t, err, order)
		offset, limit := rapid.IntRange(0, 20).Draw(t, "offset"), rapid.IntRange(0, 30).Draw(t, "limit")
		var facets []Facet
		for _, f := range s.Fields {
			facets = append(facets, Facet{Field: f, Max: 100})
		}
		got, err := m.Search(context.Background(), Plan{Schema: s, Query: Query{All: true}, Filter: node, Sort: keys, Facets: facets, Offset: offset, Limit: limit, FilterCandidates: 4})
		require.NoError(t, err)

		var want []uint64
		for seq, d := range docs {
			if rule(d) {
				want = append(want, seq)
			}
		}
		slices.SortFunc(want, func(a, b uint64) int {
			return cmp.Or(compare(docs[a], docs[b]), cmp.Compare(b, a))
		})
		require.Equal(t, len(want), got.Found, text)
		require.Equal(t, len(docs), got.OutOf)
		page := want[min(offset, len(want)):min(offset+limit, len(want))]
		require.Equal(t, fmt.Sprint(page), fmt.Sprint(seqs(got.Hits)), "%s sorted by %s", text, order)
		for _, f := range got.Facets {
			require.Equal(t, scanFacet(docs, want, f.Field), countsOf(f), "facet %s of %s", f.Field.Name, text)
		}
	})
}

func seqs(hits []Hit) []uint64 {
	out := make([]uint64, len(hits))
	for i, h := range hits {
		out[i] = h.Seq
	}
	return out
}

func countsOf(f FacetResult) map[string]int {
	out := map[string]int{}
	for _, c := range f.Counts {
		out[c.Value] = c.Count
	}
	return out
}

func scanFacet(docs model, found []uint64, f *schema.Field) map[string]int {
	out := map[string]int{}
	for _, seq := range found {
		v := docs[seq].Values[f.Name]
		values := slices.Clone(v.Strings)
		for _, n := range v.Ints {
			if f.Type() == "bool" {
				values = append(values, strconv.FormatBool(n == 1))
			} else {
				values = append(values, strconv.FormatInt(n, 10))
			}
		}
		for _, n := range v.Floats {
			values = append(values, strconv.FormatFloat(n, 'g', 6, 32))
		}
		slices.Sort(values)
		for _, s := range slices.Compact(values) {
			out[s]++
		}
	}
	return out
}

func TestApply_emptiedIndexCostsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m, docs := oracleSchema(t), New(Config{}), model{}
		mutate(t, m, s, docs)
		for seq, d := range docs {
			require.NoError(t, m.Apply(Batch{{Seq: seq, Schema: s, Old: d}}))
		}
		stats := m.Stats()
		require.Zero(t, stats.Documents)
		require.Zero(t, stats.Terms, "a word without documents must go")
		require.Zero(t, stats.Bytes, "the estimate must come back to nothing")
	})
}

func TestApply_refusesContradictions(t *testing.T) {
	s, m := oracleSchema(t), New(Config{})
	require.Error(t, m.Apply(Batch{{Seq: 1, Schema: s, Old: &schema.Typed{ID: "1"}}}), "an unknown document can't be replaced")
	require.NoError(t, m.Apply(Batch{{Seq: 1, Schema: s, New: &schema.Typed{ID: "1"}}}))
	require.Error(t, m.Apply(Batch{{Seq: 1, Schema: s, New: &schema.Typed{ID: "1"}}}), "a known document can't be put anew")
}
