package filter

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

func books(t testing.TB) *schema.Schema {
	s, err := schema.Parse([]byte(`{"name":"books","fields":[{"name":"title","type":"string"},{"name":"genres","type":"string[]"},
		{"name":"year","type":"int32"},{"name":"serial","type":"int64"},{"name":"price","type":"float"},{"name":"stock","type":"bool"},
		{"name":"hidden","type":"string","index":false,"optional":true},{"name":"at","type":"geopoint","optional":true},
		{"name":"o","type":"object[]","optional":true},{"name":"o.s","type":"string[]","optional":true},{"name":"o.n","type":"int32[]","optional":true}],
		"enable_nested_fields":true}`), 100)
	require.NoError(t, err)
	return s
}

// show writes a tree in a form that can be compared.
func show(n *Node) string {
	if n == nil {
		return "all"
	}
	switch n.Op {
	case And:
		return "(" + show(n.Left) + " and " + show(n.Right) + ")"
	case Or:
		return "(" + show(n.Left) + " or " + show(n.Right) + ")"
	case Nothing:
		return "nothing"
	case Document:
		return "document"
	}
	c := n.Clause
	var parts []string
	words, _ := c.Want.(schema.AnyWords)
	for _, w := range words {
		p := w.Text
		if w.Exact {
			p = "=" + p
		}
		if w.Prefix {
			p += "*"
		}
		parts = append(parts, p)
	}
	if words == nil {
		parts = append(parts, "n")
	}
	name := "id"
	if c.Field != nil {
		name = c.Field.Name
	}
	if c.Negate {
		name = "not " + name
	}
	return name + "[" + strings.Join(parts, "|") + "]"
}

func TestParse_readsTheGrammar(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "all",
		"  ":                                   "all",
		"title:a":                              "title[a]",
		"title : a b":                          "title[a b]",
		"title:=The Light*":                    "title[=The Light*]",
		"title:!=a":                            "not title[=a]",
		"title:![a,b]":                         "not title[a|b]",
		"genres:=[`Science, Fiction`, Poetry]": "genres[=Science, Fiction|=Poetry]",
		"title:=`Tom && Jerry || (both)` && year:1": "(title[=Tom && Jerry || (both)] and year[n])",
		"title:=C++ (new) edition":                  "title[=C++ (new) edition]",
		"year:1 || year:2 && year:3":                "((year[n] or year[n]) and year[n])",
		"year:1 || (year:2 && year:3)":              "(year[n] or (year[n] and year[n]))",
		"year:>1&&year:<=3":                         "(year[n] and year[n])",
		"id:[a, b]":                                 "id[=a|=b]",
		"title:a and year:>1":                       "title[a and year:>1]",
		"title:literal` * `":                        "title[literal *]",
	} {
		n, err := Parse(in, books(t), Options{})
		require.NoError(t, err, in)
		require.Equal(t, want, show(n), in)
	}
}

func TestParse_numbersAreExactIntervals(t *testing.T) {
	for in, want := range map[string]schema.Wholes{
		"serial:9007199254740993":                   {{Low: 9007199254740993, High: 9007199254740993}},
		"serial:>9007199254740993":                  {{Low: 9007199254740994, High: 1<<63 - 1}},
		"serial:<-9007199254740993":                 {{Low: -1 << 63, High: -9007199254740994}},
		"serial:[1..3, 7, >=9]":                     {{Low: 1, High: 3}, {Low: 7, High: 7}, {Low: 9, High: 1<<63 - 1}},
		"serial:>9223372036854775807":               {{Low: 1, High: 0}},
		"serial:9007199254740993..9007199254740995": {{Low: 9007199254740993, High: 9007199254740995}},
		"serial:+42":                                {{Low: 42, High: 42}},
	} {
		n, err := Parse(in, books(t), Options{})
		require.NoError(t, err, in)
		require.Equal(t, want, n.Clause.Want, in)
	}
}

func TestParse_refusesByTheDocumentedText(t *testing.T) {
	many := strings.Repeat("year:1 || ", 100) + "year:1"
	deep := strings.Repeat("(", 80) + "year:1" + strings.Repeat(")", 80)
	for in, want := range map[string]string{
		"nope:1":                     "Could not find a filter field named `nope` in the schema.",
		"!title:a":                   "Could not find a filter field named `!title` in the schema.",
		"hidden:a":                   "Cannot filter on non-indexed field `hidden`.",
		"title:":                     "Error with filter field `title`: Filter value cannot be empty.",
		"title:=*":                   "Error with filter field `title`: Filter value cannot be empty.",
		"year:":                      "Error with filter field `year`: Numerical field has an invalid comparator.",
		"year:abc":                   "Error with filter field `year`: Numerical field has an invalid comparator.",
		"year:!1":                    "Error with filter field `year`: Numerical field has an invalid comparator.",
		"year:[1":                    "Error with filter field `year`: Numerical field has an invalid comparator.",
		"year:[1 2]":                 "Error with filter field `year`: Numerical field has an invalid comparator.",
		"year:1]":                    "Error with filter field `year`: Numerical field has an invalid comparator.",
		"year:>":                     "Error with filter field `year`: Not an int32.",
		"price:>x":                   "Error with filter field `price`: Not a float.",
		"year:2147483648":            "Error with filter field `year`: The value exceeds the range of an int32.",
		"serial:9223372036854775808": "Error with filter field `serial`: The value exceeds the range of an int64.",
		"stock:1":                    "Value of filter field `stock` must be `true` or `false`.",
		"stock:!true":                "Value of filter field `stock` must be `true` or `false`.",
		"()":                         "Filter query cannot be empty.",
		"&& year:1":                  "Could not parse the filter query: unbalanced `&&` operands.",
		"year:1 ||":                  "Could not parse the filter query: unbalanced `||` operands.",
		"year:1 && && year:2":        "Could not parse the filter query: unbalanced `&&` operands.",
		"(year:1":                    "Could not parse the filter query: unbalanced parentheses.",
		"year:1)":                    "Could not parse the filter query: unbalanced parentheses.",
		"title":                      "Could not parse the filter query.",
		"title=a":                    "Could not parse the filter query.",
		"!(year:1)":                  "Could not parse the filter query.",
		"title:`open":                "Could not parse the filter query.",
		"$other(a:1)":                "`filter_by: joins` is not supported by the embedded engine.",
		"place.{a:1}":                "Could not find a filter field named `place` in the schema.",
		many:                         "`filter_by` has too many operations. Maximum allowed: 100. Use `--filter-by-max-ops` command line argument to customize this value.",
		deep:                         "Could not parse the filter query: too many parentheses.",
	} {
		_, err := Parse(in, books(t), Options{})
		require.EqualError(t, err, want, in)
	}
	n, err := Parse("nope:1 || year:1", books(t), Options{AllowUnknown: true})
	require.NoError(t, err)
	require.Equal(t, "(nothing or year[n])", show(n))
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"title:a && (year:>1 || price:[0..1.5, >=9])", "genres:=[`a, b`,c] && stock:!=true", "id:[a,b]", "title:=The*", "year:-5..+7",
		"((title:a", "title:`", "$x(y:1)", "a.{b:1}", "year:[", "&&||", "price:1e309", "title:=() && x",
	} {
		f.Add(s)
	}
	for _, s := range []string{"o.{s:=a && n:>1}", "o.{s:`}`} || at:(1,2,3 km)", "at:!=[(1,2,3 mi),(1,2,3,4,5,6)]", "o.{o.{n:1}}", "(o.{n:[1,2]})", "o.{}", "at:("} {
		f.Add(s)
	}
	s := books(f)
	doc := schema.Document{"id": "1", "at": []any{json.Number("1"), json.Number("2")}, "o": []any{map[string]any{"s": "a b", "n": json.Number("2")}}}
	f.Fuzz(func(t *testing.T, in string) {
		n, err := Parse(in, s, Options{AllowUnknown: true})
		if err == nil {
			_, _ = show(n), n.Loosened()
			if n != nil && n.Op == Document {
				_ = n.Element.Holds(doc)
			}
			return
		}
		if e, ok := err.(*schema.Error); !ok || e.Status < 400 || e.Status > 499 || e.Text == "" {
			t.Fatalf("unexpected error %v", err)
		}
	})
}

// The parsing of a list of any length ends with the caller's time.
func TestParse_endsWithTheTime(t *testing.T) {
	s, err := schema.Parse([]byte(`{"name":"c","fields":[{"name":"s","type":"string"}]}`), 10)
	require.NoError(t, err)
	over, asked := errors.New("over"), 0
	_, err = Parse("s:["+strings.Repeat("x,", 2560)+"x]", s, Options{Over: func() error {
		if asked++; asked == 3 {
			return over
		}
		return nil
	}})
	require.ErrorIs(t, err, over)
	require.Equal(t, 3, asked)
}
