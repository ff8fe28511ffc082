package rules

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

func synonym(t *testing.T, id, body string) Synonym {
	s, err := ParseSynonym(id, []byte(body))
	require.NoError(t, err)
	s.Prepare(nil, nil)
	return s
}

func TestExpand_replacesOnceAndDoesNotChain(t *testing.T) {
	list := []Synonym{
		synonym(t, "coat", `{"synonyms":["coat","rain jacket"]}`),
		synonym(t, "sea", `{"root":"sea","synonyms":["ocean"]}`),
		synonym(t, "ocean", `{"root":"ocean","synonyms":["lake"]}`),
		synonym(t, "es", `{"synonyms":["azul","blue"],"locale":"es"}`),
	}
	require.Equal(t, [][]string{{"red", "rain", "jacket"}}, Expand(list, []string{"red", "coat"}, Options{}))
	require.Equal(t, [][]string{{"coat", "red"}}, Expand(list, []string{"rain", "jacket", "red"}, Options{}))
	require.Equal(t, [][]string{{"ocean"}}, Expand(list, []string{"sea"}, Options{}), "one way, and no further")
	require.Empty(t, Expand(list, []string{"lake"}, Options{}))
	require.Empty(t, Expand(list, []string{"blue"}, Options{}), "a rule of another locale")
	require.Empty(t, Expand(list, []string{"coa"}, Options{}))
	require.Equal(t, [][]string{{"rain", "jacket"}}, Expand(list, []string{"coa"}, Options{Prefix: true}))
	require.Equal(t, [][]string{{"rain", "jacket"}}, Expand(list, []string{"coatt"}, Options{Typos: 1}))
	require.Empty(t, Expand(list, []string{"seaa"}, Options{Typos: 1, Prefix: true}), "a root is compared exactly")
}

type noValues struct{}

func (noValues) HasValue(field string, words []string) (string, bool) {
	return "TV Sets", field == "cat" && len(words) == 2 && words[0] == "tv" && words[1] == "sets"
}
func (noValues) GoodFilter(f string) bool { return f != "wrong" }

func TestCurate_appliesWhatIsMet(t *testing.T) {
	a := text.New(nil, nil)
	parse := func(id, body string) Override {
		o, err := ParseOverride(id, []byte(body))
		require.NoError(t, err)
		return o
	}
	list := []Override{
		parse("a", `{"rule":{"query":"cheap","match":"contains"},"filter_by":"price:<20","stop_processing":false}`),
		parse("b", `{"rule":{"query":"{cat}","match":"contains"},"filter_by":"cat:={cat}","stop_processing":false}`),
		parse("c", `{"rule":{"query":"Blue!","match":"exact"},"includes":[{"id":"5","position":1}],"excludes":[{"id":"7"}]}`),
		parse("d", `{"rule":{"query":"blue","match":"exact"},"includes":[{"id":"6","position":1}]}`),
		parse("e", `{"rule":{"query":"late","match":"exact"},"effective_to_ts":10,"includes":[{"id":"6","position":1}]}`),
		parse("f", `{"rule":{"query":"sale","match":"exact","tags":["x"]},"replace_query":"bargain"}`),
		parse("g", `{"rule":{"query":"bad","match":"exact"},"filter_by":"wrong"}`),
	}
	curate := func(q string, tags ...string) *Search {
		s := &Search{Query: q, Words: a.Words(q), All: q == "*", Now: 100, Tags: tags}
		Curate(list, s, noValues{}, a)
		return s
	}
	s := curate("cheap tv sets red")
	require.Equal(t, []string{"price:<20", "cat:=TV Sets"}, s.Added)
	require.Equal(t, []string{"red"}, s.Words)
	s = curate("cheap")
	require.True(t, s.All, "nothing is left: everything that the filter lets through")
	s = curate("BLUE")
	require.Equal(t, []Included{{"5", 1}}, s.Pins, "the first that ends the processing does")
	require.Equal(t, []string{"7"}, s.Hidden)
	require.Empty(t, curate("late").Pins)
	require.False(t, curate("sale").Changed)
	require.Equal(t, "bargain", curate("sale", "x").Query)
	require.Empty(t, curate("bad").Added)
	require.Empty(t, curate("*").Added)
}
