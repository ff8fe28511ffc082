package text

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/char/asciifolding"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/stretchr/testify/require"
)

// Every character folds as in Bleve. FOUNTAIN_FOLDING=write writes the table again, for another version of Bleve.
func TestFold_isBlevesForEveryCharacter(t *testing.T) {
	bleve := asciifolding.New()
	if os.Getenv("FOUNTAIN_FOLDING") == "write" {
		from := map[string][]rune{}
		for r := rune(utf8.RuneSelf); r <= unicode.MaxRune; r++ {
			if to := string(bleve.Filter([]byte(string(r)))); utf8.ValidRune(r) && to != string(r) {
				from[to] = append(from[to], r)
			}
		}
		var lines []string
		for to, all := range from {
			lines = append(lines, to+"\t"+string(all)+"\n")
		}
		slices.Sort(lines)
		require.NoError(t, os.WriteFile("folding.txt", []byte(strings.Join(lines, "")), 0o600))
		return
	}
	require.Greater(t, len(folded()), 1000)
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if utf8.ValidRune(r) {
			require.Equal(t, string(bleve.Filter([]byte(string(r)))), string(fold([]byte(string(r)))), "%U", r)
		}
	}
}

func TestLower_isBlevesForEveryCharacter(t *testing.T) {
	bleve := lowercase.NewLowerCaseFilter()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		text := "Ab" + string(r) + "C"
		want := bleve.Filter(analysis.TokenStream{{Term: []byte(text)}})[0].Term
		require.Equal(t, string(want), string(lower([]byte(text))), "%U", r)
	}
}
