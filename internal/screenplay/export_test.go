package screenplay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stored is what a service gives back of items: their data as JSON.
func stored(tb testing.TB, items []Item) []Item {
	tb.Helper()
	out := make([]Item, len(items))
	for i, it := range items {
		raw, err := json.Marshal(it.Data)
		require.NoError(tb, err)
		out[i].Type = it.Type
		require.NoError(tb, json.Unmarshal(raw, &out[i].Data))
	}
	return out
}

// bare is items without their layout, as somebody who knows nothing of it would store them.
func bare(tb testing.TB, items []Item) []Item {
	items = stored(tb, items)
	for _, it := range items {
		delete(it.Data, "layout")
	}
	return items
}

// sources are the texts that are written back: the corpus, the embedded screenplay and the real plays.
func sources(tb testing.TB) map[string]string {
	tb.Helper()
	all := map[string]string{"demo": Demo()}
	for _, name := range []string{"hamlet", "macbeth"} {
		content, err := os.ReadFile(filepath.Join(sharedData(), name+".fountain"))
		if err != nil {
			require.NotContains(tb, os.Getenv("FOUNTAIN_TEST_REQUIRE"), "plays", "the real plays are not in ../shared/data")
			continue
		}
		all[name] = string(content)
	}
	return all
}

func TestExport_writesTheSourceBackLineByLine(t *testing.T) {
	for name, src := range sources(t) {
		items := stored(t, Outline(mustParse(t, src)))
		got, notices := Export(items)
		require.Empty(t, notices, name)
		require.Equal(t, strings.Split(Normalise(src), "\n"), strings.Split(got, "\n"), name)
		written := 0
		for _, it := range items {
			if layoutOf(it).Written != "" {
				written++
			}
		}
		t.Logf("%s: %d lines, %d items, %d of them kept as they were written", name, strings.Count(got, "\n"), len(items), written)
	}
}
