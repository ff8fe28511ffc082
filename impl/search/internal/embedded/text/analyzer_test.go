package text

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAnalyzer_normalisesWords(t *testing.T) {
	plain := New(nil, nil)
	for _, c := range []struct {
		in   string
		want []string
	}{
		{"", []string{}},
		{"Hello, World!", []string{"hello", "world"}},
		{"foo/bar foo_bar e-mail", []string{"foobar", "foobar", "email"}},
		{"O'Brien C++ AT&T 1,000", []string{"obrien", "c", "att", "1000"}},
		{"Crème Brûlée straße Łódź Ångström", []string{"creme", "brulee", "strasse", "lodz", "angstrom"}},
		{"e\u0301clair", []string{"eclair"}},
		{"Привет нमस्ते", []string{"привет", "нमस्ते"}},
		{"... -- !!!", []string{}},
		{"a\tb\nc", []string{"a", "b", "c"}},
		{"bad\xffbyte \ufffd ok", []string{"bad", "byte", "ok"}},
	} {
		require.Equal(t, c.want, plain.Words(c.in), "%q", c.in)
	}
	special := New([]string{"-", "/"}, []string{"+", "-"})
	require.Equal(t, []string{"c++", "e-mail", "foo", "bar"}, special.Words("C++ e-mail foo/bar"), "a symbol is no separator")
}

func TestAnalyzer_offsetsPointAtTheWord(t *testing.T) {
	s := `"Semi;colon", (naïve) Hamlet's`
	var got []string
	for _, tok := range New(nil, nil).Tokens(s) {
		got = append(got, s[tok.Start:tok.End])
	}
	require.Equal(t, []string{"Semi;colon", "naïve", "Hamlet's"}, got)
	require.Equal(t, len("O'B"), New(nil, nil).Letters("O'Brien", 2))
}

func TestAnalyzer_boundsWordsAndOffsets(t *testing.T) {
	long := New(nil, nil).Tokens(strings.Repeat("ü", 5000))
	require.Len(t, long, 1)
	require.LessOrEqual(t, len(long[0].Text), MaxWordBytes)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		at := 0
		for _, tok := range New([]string{"-"}, []string{"+"}).Tokens(s) {
			if tok.Start < at || tok.End <= tok.Start || tok.End > len(s) || tok.Text == "" {
				t.Fatalf("token %+v of %q", tok, s)
			}
			at = tok.End
		}
	})
}

func TestAnalyzer_inTurkishTheIWithoutADotIsALetter(t *testing.T) {
	turkish := For(Rules{Locale: "tr"})
	require.Equal(t, []string{"s\u0131cak", "sicak", "caglar"}, turkish.Words("s\u0131cak sicak çağlar"))
	require.Equal(t, []string{"sicak"}, New(nil, nil).Words("s\u0131cak"), "elsewhere it is an i")
}
