package importer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/internal/screenplay"
)

// after returns what a scope contains after the screenplay was stored as planned.
func after(t require.TestingT, play []*entry, have map[string][]stored) map[string][]stored {
	out := map[string][]stored{}
	kept := map[string]bool{}
	count := map[string]int{}
	for _, e := range play {
		raw, err := e.json()
		require.NoError(t, err)
		s := stored{Element: sequence.Element{ElementType: e.Type, Status: sequence.ElementStatusActive, Version: 1}}
		require.NoError(t, json.Unmarshal(raw, &s.data))
		s.imported = s.data
		if e.old != nil {
			s.ID = e.old.ID
			kept[s.ID] = true
		} else {
			count[e.Type]++
			s.ID = fmt.Sprintf("%s-%d-%d", e.Type, len(have[e.Type]), count[e.Type])
		}
		s.Number = int64(len(out[e.Type]) + 1)
		out[e.Type] = append(out[e.Type], s)
	}
	for kind, all := range have {
		for _, s := range all {
			if !kept[s.ID] {
				s.Status = sequence.ElementStatusOmitted
				s.Number = int64(len(out[kind]) + 1)
				out[kind] = append(out[kind], s)
			}
		}
	}
	return out
}

func planned(t require.TestingT, text string, have map[string][]stored) ([]*entry, *plan) {
	script, err := screenplay.Parse(strings.NewReader(text))
	require.NoError(t, err)
	play, err := entries(script)
	require.NoError(t, err)
	return play, match(play, have)
}

var blocks = []string{"INT. ROOM - DAY", "EXT. SEA - DAY", "ADA\nYes.", "ADA\nNo.", "BOB\n(low)\nNo.", "He goes.", "She stays for a while.", "[[why?]]", "CUT TO:", "# Act"}

func TestMatch_ofAnyTwoPlaysLeadsFromOneToTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var have map[string][]stored
		for range 3 {
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(blocks), 1, 20).Draw(t, "blocks"), "\n\n") + "\n"
			play, _ := planned(t, text, have)
			last := 0.0
			seen := map[*stored]bool{}
			for _, e := range play {
				if e.position <= last {
					t.Fatalf("position %v after %v", e.position, last)
				}
				last = e.position
				if e.old != nil && seen[e.old] {
					t.Fatalf("%s stands for two", e.old.ID)
				}
				seen[e.old] = true
			}
			have = after(t, play, have)
			if _, again := planned(t, text, have); len(again.changes) > 0 {
				t.Fatalf("%q: still %+v", text, again.changes)
			}
		}
	})
}

func TestMatch_touchesOnlyWhatChanged(t *testing.T) {
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "ADA\nLine number %d of hers.\n\nBOB\nYes.\n\n", i)
	}
	play, _ := planned(t, text.String(), nil)
	have := after(t, play, nil)
	changed := strings.Replace(text.String(), "Line number 7 of hers.", "Line number 7 of mine.", 1)
	changed = strings.Replace(changed, "ADA\nLine number 9 ", "BOB\nSomething new.\n\nADA\nLine number 9 ", 1)
	changed = strings.Replace(changed, "ADA\nLine number 200 of hers.\n\n", "", 1)
	_, p := planned(t, changed, have)
	var got []string
	for _, c := range p.changes {
		got = append(got, c.What+" "+c.Type+" "+c.ID)
	}
	require.ElementsMatch(t, []string{"changed spokenWord " + have["spokenWord"][14].ID, "new spokenWord ", "gone spokenWord " + have["spokenWord"][400].ID}, got)
	require.False(t, p.onlyAdds())
}

func TestMatch_keepsWhatSomebodyChangedInTheService(t *testing.T) {
	const text = "ADA\nYes.\n\nHe goes.\n"
	play, _ := planned(t, text, nil)
	have := after(t, play, nil)
	have["action"][0].data = map[string]any{"text": "He went."}
	_, p := planned(t, text, have)
	require.Empty(t, p.changes)
	require.Equal(t, 1, p.edited)
	_, p = planned(t, "ADA\nYes.\n\nHe goes away.\n", have)
	require.Len(t, p.changes, 1)
	require.Equal(t, 3+1, p.changes[0].Line)
	require.Equal(t, "He went.", p.changes[0].Before)
}

// What release 0.1 stored of a screenplay: no layout, no notes, no title page, and every direction with its words.
func TestMatch_addsToAnEarlierImportWhatItDidNotKeep(t *testing.T) {
	const text = "Title: X\n\nADA (O.S.)\n(low)\nYes.\n\n!He goes.\n\n[[why?]]\n\n# *Act*\n"
	play, _ := planned(t, text, nil)
	have := after(t, play, nil)
	delete(have, screenplay.TypeNote)
	for _, all := range have {
		for _, s := range all {
			for _, property := range []string{"layout", "titlePage", "extension", "depth"} {
				delete(s.data, property)
			}
		}
	}
	_, p := planned(t, text, have)
	what := map[string]int{}
	for _, c := range p.changes {
		what[c.What]++
	}
	require.Equal(t, map[string]int{"changed": 4, "new": 1}, what, "%+v", p.changes)
	play, _ = planned(t, text, have)
	_, p = planned(t, text, after(t, play, have))
	require.Empty(t, p.changes)
}
