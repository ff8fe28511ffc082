package importer

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/internal/screenplay"
)

func TestTake_cutsBatchesThatTheContractAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(1, 60<<10), 1, 400).Draw(t, "sizes")
		r := &run{Options: Options{BatchSize: rapid.IntRange(1, 1000).Draw(t, "batch")}}
		var rest []sequence.ElementCreate
		for _, n := range sizes {
			rest = append(rest, sequence.ElementCreate{Data: make(json.RawMessage, n)})
		}
		for len(rest) > 0 {
			n := r.take(rest)
			bytes := 0
			for _, e := range rest[:n] {
				bytes += len(e.Data)
			}
			if n < 1 || n > r.BatchSize || (n > 1 && bytes > maxBatchBytes) {
				t.Fatalf("%d elements of %d bytes in batches of %d", n, bytes, r.BatchSize)
			}
			rest = rest[n:]
		}
	})
}

func TestEntries_havePositionsOfTheWholePlay(t *testing.T) {
	script, err := screenplay.Parse(strings.NewReader("Title: Two\n\nINT. ROOM - DAY\n\nADA\nOne.\n\nADA\nTwo.\n"))
	require.NoError(t, err)
	all, err := entries(script)
	require.NoError(t, err)
	require.Len(t, all, 5) // the script, its scene, ADA, two lines
	raw, err := all[4].json()
	require.NoError(t, err)
	var data map[string]any
	require.NoError(t, json.Unmarshal(raw, &data))
	require.Equal(t, "Two.", data["text"])
	require.InDelta(t, 5, data["position"], 0)
}

func TestContentKey_isTheContentsAlone(t *testing.T) {
	batch := func(text string) []sequence.ElementCreate {
		return []sequence.ElementCreate{{ID: fountain.Ptr("a"), Data: json.RawMessage(`{"text":"` + text + `"}`)}}
	}
	key := func(scope, kind, text string) string {
		k, err := contentKey(scope, kind, batch(text))
		require.NoError(t, err)
		require.Regexp(t, `^[A-Za-z0-9_.:~-]{8,128}$`, k)
		return k
	}
	require.Equal(t, key("s", "t", "x"), key("s", "t", "x"))
	others := map[string]bool{key("s", "t", "x"): true, key("s2", "t", "x"): true, key("s", "t2", "x"): true, key("s", "t", "y"): true}
	require.Len(t, others, 4)
}

func TestScope_isWhatTheContractAllows(t *testing.T) {
	for title, want := range map[string]string{
		"The Tragedy of Hamlet, Prince of Denmark": "the-tragedy-of-hamlet-prince-of-denmark",
		"_**Été à l'Ouest**_":                      "ete-a-louest",
		"東京物語":                                     "file",
		strings.Repeat("long ", 40):                strings.TrimSuffix(strings.Repeat("long-", 13), "-"),
	} {
		script := &screenplay.Script{Title: []screenplay.Field{{Key: "Title", Value: title}}}
		got := Scope(script, "/some/File.fountain")
		require.Equal(t, want, got)
		require.Regexp(t, `^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$`, got)
	}
	require.Equal(t, "untitled", Scope(&screenplay.Script{}, "/some/…"))
}
