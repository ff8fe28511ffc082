package screenplay

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// corpus reads testdata/corpus/corpus.txt: difficult inputs by name. Each begins with a line "%% name".
func corpus(tb testing.TB) (names []string, inputs map[string]string) {
	tb.Helper()
	raw, err := os.ReadFile("testdata/corpus/corpus.txt")
	require.NoError(tb, err)
	inputs = map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimPrefix(string(raw), "%% "), "\n%% ") {
		name, text, _ := strings.Cut(entry, "\n")
		require.NotContains(tb, inputs, name)
		names = append(names, name)
		inputs[name] = text
	}
	return names, inputs
}

// outlined returns an outline in a readable form, with one line for each item.
func outlined(tb testing.TB, items []Item) []string {
	var all []string
	for _, it := range stored(tb, items) {
		var said []string
		for _, property := range []string{"title", "kind", "depth", "number", "heading", "name", "style", "character", "extension", "dual", "continues", "parenthetical",
			"part", "text", "section", "sequence", "scene"} {
			if value, ok := it.Data[property]; ok {
				said = append(said, fmt.Sprintf("%s=%v", property, value))
			}
		}
		all = append(all, it.Type+" "+strings.Join(said, " | "))
	}
	return all
}

func TestOutline_ofTheCorpusIsAsExpected(t *testing.T) {
	names, inputs := corpus(t)
	require.GreaterOrEqual(t, len(names), 60)
	expected := map[string][]string{}
	for _, name := range names {
		expected[name] = outlined(t, Outline(mustParse(t, inputs[name])))
	}
	golden(t, "corpus/outline.json", expected)
	require.False(t, slices.Contains(names, ""))
}
