package ordering

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

func fields(t testing.TB) *schema.Schema {
	s, err := schema.Parse([]byte(`{"name":"x","fields":[{"name":"a","type":"int32"},{"name":"b","type":"float"},
		{"name":"s","type":"string","sort":true},{"name":"t","type":"string"}]}`), 10)
	require.NoError(t, err)
	return s
}

func TestParse_readsKeys(t *testing.T) {
	keys, err := Parse("a:asc, b(missing_values: first):DESC,_text_match:desc", fields(t))
	require.NoError(t, err)
	require.Len(t, keys, 3)
	require.Equal(t, "a", keys[0].Field.Name)
	require.False(t, keys[0].Desc)
	require.True(t, keys[1].Desc)
	require.True(t, keys[1].MissingFirst)
	require.Nil(t, keys[2].Field)
	keys, err = Parse(" ", fields(t))
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestParse_refusesByTheDocumentedText(t *testing.T) {
	for in, want := range map[string]string{
		"a":                            "Parameter `sort_by` is malformed.",
		"a:up":                         "Parameter `sort_by` is malformed.",
		",a:asc":                       "Parameter `sort_by` is malformed.",
		"a(x:asc":                      "Parameter `sort_by` is malformed.",
		"a):asc":                       "Parameter `sort_by` is malformed.",
		"a:asc,b:asc,s:asc,a:desc":     "Only upto 3 sort fields are allowed.",
		"t:asc":                        "Could not find a field named `t` in the schema for sorting.",
		"nope:asc":                     "Could not find a field named `nope` in the schema for sorting.",
		"a(missing_values: maybe):asc": "Bad syntax for sorting field `a`",
		"_eval():desc":                 "The eval expression in sort_by is empty.",
		"_eval(nope:1):desc":           "Error parsing eval expression in sort_by clause.",
		"_eval([(a:1)]):desc":          "Error parsing eval expression in sort_by clause.",
		"_text_match(buckets: x):desc": "Invalid value passed for _text_match `buckets` configuration.",
	} {
		_, err := Parse(in, fields(t))
		require.EqualError(t, err, want, in)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a:asc,b:desc", "b(missing_values: last):asc", "_eval([(a:1):2]):desc", "a(:asc", "))((", "s(1,2, precision: 2 km):asc", "a(origin: 1, func: exp, scale: 2, offset: 0, decay: 0.1):desc", "_vector_distance(buckets: 2):asc"} {
		f.Add(s)
	}
	s := fields(f)
	f.Fuzz(func(t *testing.T, in string) {
		keys, err := Parse(in, s)
		if err == nil && len(keys) > MaxKeys {
			t.Fatal("too many keys")
		}
		if _, ok := err.(*schema.Error); err != nil && !ok {
			t.Fatalf("unexpected error %v", err)
		}
	})
}

// FuzzEval is FuzzParse inside an expression that assigns scores.
func FuzzEval(f *testing.F) {
	for _, in := range []string{"a:1", "[(a:1):2,(b:>3 && s:x):4]", "[(s:=`x, y`):1", "[]", "(a:1):2", "[(a:1):-2,(a:2):99999999999999999999]", "[((a:1) || b:2):3]", "a:[1..2]"} {
		f.Add(in)
	}
	s := fields(f)
	f.Fuzz(func(t *testing.T, in string) {
		keys, err := Parse("_eval("+in+"):desc", s)
		if err == nil && (len(keys) == 0 || len(keys) > MaxKeys) {
			t.Fatal("an expression is a key")
		}
		var known *schema.Error
		if err != nil && (!errors.As(err, &known) || known.Status < 400 || known.Status > 499) {
			t.Fatalf("unexpected error %v", err)
		}
	})
}

func TestParse_anOrderByChanceTakesASeedOrNone(t *testing.T) {
	s := fields(t)
	for text, seed := range map[string]uint64{"_rand(42):asc": 42, "_rand():desc": 0, "_rand:asc": 0, "_rand( 7 ):asc, a:desc": 7} {
		keys, err := Parse(text, s)
		require.NoError(t, err, text)
		require.True(t, keys[0].Random && keys[0].Late(), text)
		require.Equal(t, seed, keys[0].Seed, text)
	}
	for _, text := range []string{"_rand(x):asc", "_rand(-1):asc", "_rand(1:asc", "_rand(1,2):asc"} {
		_, err := Parse(text, s)
		require.Error(t, err, text)
	}
}
