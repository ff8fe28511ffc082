package screenplay

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a value, as indented JSON, with testdata/<name>.
func golden(t *testing.T, name string, value any) {
	t.Helper()
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s differs; see what changed with: go test ./internal/screenplay -update && git diff", path)
	}
}

func TestDemo_parsesAsWritten(t *testing.T) {
	golden(t, "demo.script.json", mustParse(t, Demo()))
}

func TestDemo_outlineIsAsWritten(t *testing.T) {
	golden(t, "demo.outline.json", Outline(mustParse(t, Demo())))
}

func TestDemo_isWhatItsUsersNeed(t *testing.T) {
	count := map[string]int{}
	scenes := 0
	items := Outline(mustParse(t, Demo()))
	for _, item := range items {
		count[item.Type]++
		if item.Data["kind"] == "scene" {
			scenes++
		}
	}
	if len(items) < 40 || len(items) > 60 || count[TypeScript] != 1 || count[TypeCharacter] != 3 || scenes != 2 {
		t.Errorf("%d items, %d scenes, %v", len(items), scenes, count)
	}
	if !strings.Contains(Demo(), "a phosphorescent parliament of herring") {
		t.Error("the phrase that the demo searches for has gone")
	}
}

func TestOutline_numbersScenesWithoutTakingAWrittenNumber(t *testing.T) {
	items := Outline(mustParse(t, "INT. A\n\nINT. B #3#\n\nINT. C\n\nINT. D\n\nDone."))
	var got []any
	for _, item := range items {
		if item.Type == TypeSection {
			got = append(got, item.Data["number"])
		}
	}
	if want := []any{"1", "3", "3A", "4"}; !reflect.DeepEqual(got, want) {
		t.Errorf("scene numbers %v, want %v", got, want)
	}
	if last := items[len(items)-1].Data; last["scene"] != "INT. D" || last["section"] != nil {
		t.Errorf("the last action is placed in %v", last)
	}
}

func TestOutline_tellsScenesWithTheSameHeadingApart(t *testing.T) {
	items := Outline(mustParse(t, "INT. KITCHEN\n\nOne.\n\nINT. HALL\n\nTwo.\n\nINT. KITCHEN #9#\n\nThree."))
	var got []any
	for _, item := range items {
		if item.Type == TypeAction {
			got = append(got, item.Data["scene"])
		}
	}
	if want := []any{"INT. KITCHEN (1)", "INT. HALL", "INT. KITCHEN (9)"}; !reflect.DeepEqual(got, want) {
		t.Errorf("scenes %v, want %v", got, want)
	}
}

func TestOutline_saysWhatIsNotPlain(t *testing.T) {
	items := Outline(mustParse(t, "Title: *A*\nAuthors: B\nDraft date: C\n日付: D\n\nDAN (V.O.)\n(low)\nYes.\n~La.\n\nDAN\nNo.\n\nCUT TO:\n\n>END<"))
	want := []Item{
		{Type: TypeScript, Data: map[string]any{"title": "A", "author": "B", "draftDate": "C", "titlePage": []any{
			map[string]any{"key": "Title", "value": "*A*"}, map[string]any{"key": "Authors", "value": "B"},
			map[string]any{"key": "Draft date", "value": "C"}, map[string]any{"key": "日付", "value": "D"}}}, Line: 1},
		{Type: TypeCharacter, Data: map[string]any{"name": "DAN"}, Line: 6},
		{Type: TypeSpokenWord, Data: map[string]any{"character": "DAN", "extension": "V.O.", "text": "Yes.", "parenthetical": "low"}, Line: 8},
		{Type: TypeSpokenWord, Data: map[string]any{"character": "DAN", "extension": "V.O.", "text": "La.", "parenthetical": "low",
			"style": "lyrics", "continues": true}, Line: 9},
		{Type: TypeSpokenWord, Data: map[string]any{"character": "DAN", "text": "No."}, Line: 12},
		{Type: TypeAction, Data: map[string]any{"text": "CUT TO:", "style": "transition"}, Line: 14},
		{Type: TypeAction, Data: map[string]any{"text": "END", "style": "centered"}, Line: 16},
	}
	for i := range items {
		items[i] = Item{Type: items[i].Type, Data: items[i].Data, Line: items[i].Line}
		delete(items[i].Data, "layout")
	}
	if !reflect.DeepEqual(items, want) {
		t.Errorf("got  %v\nwant %v", items, want)
	}
}

// Every word of the source is in an element that begins on the word's line or before. The test reads the real plays if they are available, else the
// embedded screenplay.
func TestParse_losesNothingOfAPlay(t *testing.T) {
	plays := map[string]string{"demo": Demo()}
	for _, name := range []string{"hamlet", "macbeth"} {
		content, err := os.ReadFile(filepath.Join(sharedData(), name+".fountain"))
		if err == nil {
			plays[name] = string(content)
		}
	}
	least := map[string]int{"demo": 40, "hamlet": 1400, "macbeth": 900}
	for name, src := range plays {
		t.Run(name, func(t *testing.T) {
			script := mustParse(t, src)
			spoken := map[string]bool{}
			for _, e := range script.Elements {
				for l := range strings.SplitSeq(e.Text, "\n") {
					spoken[strings.TrimSpace(l)] = true
				}
			}
			if name != "demo" { // which has a boneyard, notes and a long title page
				for i, l := range strings.Split(src, "\n")[5:] {
					l = strings.TrimLeft(strings.TrimSpace(l), ".!# ")
					if m := sceneNumber.FindStringSubmatch(l); m != nil {
						l = m[1]
					}
					if inner, ok := parenthesised(l); ok {
						l = inner
					}
					if l != "" && !spoken[l] {
						t.Errorf("line %d is in no element", i+6)
					}
				}
			}
			items := Outline(script)
			if len(items) < least[name] {
				t.Errorf("%d items, want at least %d", len(items), least[name])
			}
			for _, item := range items {
				if item.Type == TypeSpokenWord && (item.Data["scene"] == nil || item.Data["section"] == nil) {
					t.Errorf("line %d: a speech outside every scene", item.Line)
				}
			}
		})
	}
}

// sharedData returns the folder of real plays: beside the checkout, or at FOUNTAIN_SHARED.
func sharedData() string {
	if dir := os.Getenv("FOUNTAIN_SHARED"); dir != "" {
		return filepath.Join(dir, "data")
	}
	return filepath.Join("..", "..", "..", "shared", "data")
}
