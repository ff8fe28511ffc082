package filters

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/internal/problem"
)

var options = Options{
	Reserved: func(field string) bool { return strings.HasPrefix(field, "fountain_") },
	ID:       func(id string) (string, bool) { return "red:" + id, true },
}

func write(t *testing.T, text string) (string, error) {
	t.Helper()
	var f searchapi.Filter
	require.NoError(t, json.Unmarshal([]byte(text), &f))
	return Write(&f, options)
}

func TestWrite_sayWhatTheEngineReads(t *testing.T) {
	for in, want := range map[string]string{
		`{"field":"scene","op":"eq","texts":["a"]}`:                "scene:=`a`",
		`{"field":"scene","op":"ne","texts":["a","b, c]"]}`:        "scene:!=[`a`,`b, c]`]",
		`{"not":{"field":"scene","op":"match","texts":["a","b"]}}`: "(scene:!`a` && scene:!`b`)",
		`{"field":"n","op":"eq","integers":[9007199254740993,-1]}`: "n:=[9007199254740993,-1]",
		`{"field":"n","op":"between","integers":[-5,5]}`:           "n:[-5..5]",
		`{"not":{"field":"n","op":"between","integers":[-5,5]}}`:   "(n:<-5 || n:>5)",
		`{"field":"x","op":"lt","numbers":[1e-7]}`:                 "x:<0.0000001",
		`{"field":"ok","op":"eq","booleans":[true]}`:               "ok:=true",
		`{"field":"id","op":"eq","texts":["7"]}`:                   "id:=`red:7`",
		`{"and":[{"field":"a","op":"gt","integers":[1]}]}`:         "a:>1",
		`{"not":{"and":[{"field":"a","op":"gt","integers":[1]},{"or":[{"field":"b","op":"eq","booleans":[false]},{"not":{"field":"c","op":"ne","texts":["x"]}}]}]}}`: "(a:<=1 || (b:!=false && c:!=`x`))",
	} {
		got, err := write(t, in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
}

func TestWrite_namesWhatCannotBeAskedFor(t *testing.T) {
	deep := strings.Repeat(`{"not":`, maxDepth) + `{"field":"a","op":"eq","texts":["x"]}` + strings.Repeat("}", maxDepth)
	one := `{"field":"a","op":"eq","texts":["x"]}`
	wide := `{"or":[` + strings.TrimSuffix(strings.Repeat(`{"or":[`+strings.TrimSuffix(strings.Repeat(one+",", 30), ",")+`]},`, 4), ",") + `]}`
	for in, want := range map[string]string{
		"{\"field\":\"a\",\"op\":\"eq\",\"texts\":[\"secret`\"]}":         "/filter/texts/0",
		`{"or":[{"field":"a","op":"eq","texts":["x"," "]}]}`:              "/filter/or/0/texts/1",
		`{"field":"a","op":"eq","texts":["secret\u0000"]}`:                "/filter/texts/0",
		`{"field":"fountain_tenant","op":"eq","texts":["x"]}`:             "/filter/field",
		`{"field":"a","texts":["x"]}`:                                     "/filter/op",
		`{"field":"a","op":"eq"}`:                                         "/filter",
		`{"field":"a","op":"eq","texts":["x"],"integers":[1]}`:            "/filter",
		`{"op":"eq","texts":["x"]}`:                                       "/filter",
		`{"and":[` + one + `],"or":[` + one + `]}`:                        "/filter",
		`{"and":[` + one + `],"texts":["x"]}`:                             "/filter",
		`{"field":"a","op":"gt","texts":["x"]}`:                           "/filter/op",
		`{"field":"a","op":"gt","integers":[1,2]}`:                        "/filter/op",
		`{"field":"a","op":"between","integers":[1]}`:                     "/filter/op",
		`{"field":"a","op":"match","booleans":[true]}`:                    "/filter/op",
		`{"field":"a","op":"eq","texts":["x:(48.9, 2.3, 1 km)"]}`:         "/filter/texts/0",
		`{"field":"a","op":"eq","texts":["x","secret: [ (1,2) || id:*"]}`: "/filter/texts/1",
		`{"field":"a","op":"match","texts":["secret:  (1"]}`:              "/filter/texts/0",
		`{"field":"a","op":"eq","texts":["secret\\"]}`:                    "/filter/texts/0",
		`{"field":"a","op":"eq","texts":["secret\\ "]}`:                   "/filter/texts/0",
		`{"field":"id","op":"ne","texts":["1","*"]}`:                      "/filter/texts/1",
		`{"field":"id","op":"eq","texts":["secret 1"]}`:                   "/filter/texts/0",
		deep: "/filter" + strings.Repeat("/not", maxDepth),
		wide: "/filter/or/3/or/10",
	} {
		_, err := write(t, in)
		var p *problem.Error
		require.True(t, errors.As(err, &p), in)
		require.Equal(t, problem.ValidationFailed, p.Code)
		require.Len(t, p.Fields, 1)
		require.Equal(t, want, p.Fields[0].Pointer, in)
		require.NotContains(t, p.Error()+p.Fields[0].Message, "secret")
	}
}

// pieces are the parts of values: everything with a meaning in the filter language, and what looks like it.
var pieces = []string{
	"`", "\\", "&&", "||", "(", ")", "[", "]", ",", ":", ":=", ":!=", ":!", ":(", ": [(", "!", "=", ">", "<", ">=", "..", "*", "$", "$other(", ".{", "}", "{", "\"", "'", " ", "  ", "\t", "\n",
	"\x00", "\x7f", "id", "id:*", "secret", "n:>=0", "s:=x", "true", "-", "+", "0", "9223372036854775808", "é", "ﬀ", "\u200b", "\u2028", "｀", "ˋ", "\u0300", "\xff", "\xc0\x80", "%60", "\\u0060", "&#96;",
}

// value returns a random text of pieces.
func value(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(12) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// language returns a schema with the fields that the filters use.
func language(t testing.TB) *schema.Schema {
	s, err := schema.Parse([]byte(`{"name":"c","fields":[{"name":"s","type":"string"},{"name":"t","type":"string[]"},{"name":"n","type":"int64"},{"name":"secret","type":"string"}]}`), 100)
	require.NoError(t, err)
	return s
}

// unquotes reports whether Typesense would leave a quoted value before its closing backtick: at a colon followed by a bracket, with or
// without white space in between, or at a backslash at the end. It does not use the writer's own checks.
func unquotes(text string) bool {
	parts := strings.Split(text, "`")
	for i := 1; i < len(parts); i += 2 {
		packed := strings.Join(strings.Fields(parts[i]), "")
		if strings.Contains(packed, ":(") || strings.Contains(packed, ":[") || strings.HasSuffix(packed, `\`) {
			return true
		}
	}
	return len(parts)%2 == 0
}

// breaksOut builds a filter of two conditions around values. It reports whether the engine parses anything other than these two conditions
// with these values.
func breaksOut(s *schema.Schema, op searchapi.FilterOp, field string, values []string) (broken, refused bool) {
	integers, gt, name := []int64{7}, searchapi.FilterOpGt, "n"
	f := &searchapi.Filter{And: &[]searchapi.Filter{{Field: &field, Op: &op, Texts: &values}, {Field: &name, Op: &gt, Integers: &integers}}}
	text, err := Write(f, options)
	if err != nil {
		return false, true
	}
	if unquotes(text) || field == "id" && strings.Contains(text, "red:*`") {
		return true, false
	}
	node, err := filter.Parse(text, s, filter.Options{})
	if err != nil {
		return false, true // the engine reads nothing
	}
	if node == nil || node.Op != filter.And || node.Left.Op != filter.Leaf || node.Right.Op != filter.Leaf {
		return true, false
	}
	left, right := node.Left.Clause, node.Right.Clause
	words, _ := left.Want.(schema.AnyWords)
	numbers, _ := right.Want.(schema.Wholes)
	if left.All || len(words) != len(values) || right.Field == nil || right.Field.Name != "n" || len(numbers) != 1 || numbers[0].Low != 8 {
		return true, false
	}
	if field == "id" != (left.Field == nil) || field != "id" && left.Field.Name != field || left.Negate != (op == searchapi.FilterOpNe) {
		return true, false
	}
	for i, w := range words {
		want := values[i]
		if field == "id" {
			want = "red:" + want
		}
		if w.Text != strings.TrimSpace(want) || w.Prefix {
			return true, false
		}
	}
	return false, false
}

// TestWrite_noValueBreaksOut parses filters with random values with the engine's parser: a million with FOUNTAIN_PROVE.
func TestWrite_noValueBreaksOut(t *testing.T) {
	rounds := 20_000
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		rounds = 1_000_000
	}
	s, r := language(t), rand.New(rand.NewPCG(1, 2))
	fields, ops := []string{"s", "t", "id"}, []searchapi.FilterOp{searchapi.FilterOpEq, searchapi.FilterOpNe, searchapi.FilterOpMatch}
	read := 0
	for range rounds {
		values := make([]string, 1+r.IntN(3))
		for i := range values {
			values[i] = value(r)
		}
		broken, refused := breaksOut(s, ops[r.IntN(len(ops))], fields[r.IntN(len(fields))], values)
		require.False(t, broken, "%q", values)
		if !refused {
			read++
		}
	}
	require.Greater(t, read, rounds/10, "most filters must be read for this to show anything")
	t.Logf("%d filters, %d read by the engine, none broke out", rounds, read)
}

func FuzzWrite(f *testing.F) {
	f.Add("a", "x` || n:>=0 || s:`x")
	f.Add("`", "\\`")
	f.Add("x: ( || id:*", ":[(1\\")
	f.Add("*", "1")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, op := range []searchapi.FilterOp{searchapi.FilterOpEq, searchapi.FilterOpNe, searchapi.FilterOpMatch} {
			for _, field := range []string{"s", "id"} {
				broken, _ := breaksOut(language(t), op, field, []string{a, b})
				require.False(t, broken, "%q %q", a, b)
			}
		}
	})
}
