package foreign

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/screenplay"
)

// difference is an input that a parser of others and the product read in two ways.
type difference struct {
	Ours, Theirs []string
	Right        string // ours, theirs, or open where the format does not say
	Words        string // of https://fountain.io/syntax, or our reading of it where they say so
}

// parsers are those of others, of npm, with the files of where they differ.
var parsers = map[string]string{"fountain-js": "fountain-differences.json", "aw-parser": "aw-differences.json"}

// TestForeign_otherParsersAreSecondOpinions lets npm's fountain-js and aw-parser, that of the tool afterwriting, read the corpus of the screenplay parser. Where one differs, its file says who
// is right, by the format's own words; a difference that is not there, or no longer one, fails. UPDATE=1 writes the files anew and keeps what they say.
func TestForeign_otherParsersAreSecondOpinions(t *testing.T) {
	inputs := corpus(t)
	for parser, file := range parsers {
		t.Run(parser, func(t *testing.T) { holdAgainst(t, parser, file, inputs) })
	}
}

// holdAgainst compares what a parser and the product read, and both with what the file knows.
func holdAgainst(t *testing.T, parser, file string, inputs map[string]string) {
	raw, err := json.Marshal(inputs)
	require.NoError(t, err)
	node := exec.CommandContext(t.Context(), "node", "fountain.mjs", parser)
	node.Stdin, node.Stderr = bytes.NewReader(raw), os.Stderr
	out, err := node.Output()
	require.NoError(t, err)
	var theirs map[string][][2]string
	require.NoError(t, json.Unmarshal(out, &theirs))

	known := map[string]difference{}
	raw, err = os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &known))
	found := map[string]difference{}
	for name, src := range inputs {
		script, err := screenplay.Parse(strings.NewReader(src))
		require.NoError(t, err)
		a, b := ours(script), lines(theirs[name])
		if folded(a) != folded(b) {
			found[name] = difference{Ours: a, Theirs: b, Right: known[name].Right, Words: known[name].Words}
		}
	}
	if os.Getenv("UPDATE") != "" {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		require.NoError(t, encoder.Encode(found))
		require.NoError(t, os.WriteFile(file, text.Bytes(), 0o644))
	}
	t.Logf("%d inputs, %d differences", len(inputs), len(found))
	require.Equal(t, known, found)
	for name, d := range known {
		require.Contains(t, []string{"ours", "theirs", "open"}, d.Right, name)
		require.NotEmpty(t, d.Words, name)
	}
}

// folded is what was read without the letter case of headings and transitions, which aw-parser takes away, as printers do.
func folded(lines []string) string {
	var out []string
	for _, line := range lines {
		if strings.HasPrefix(line, string(screenplay.SceneHeading)) || strings.HasPrefix(line, string(screenplay.Transition)) {
			line = strings.ToUpper(line)
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// corpus reads the inputs of the parser's own tests.
func corpus(t *testing.T) map[string]string {
	raw, err := os.ReadFile("../../internal/screenplay/testdata/corpus/corpus.txt")
	require.NoError(t, err)
	inputs := map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimPrefix(string(raw), "%% "), "\n%% ") {
		name, text, _ := strings.Cut(entry, "\n")
		inputs[name] = text
	}
	return inputs
}

// ours is a script in the form of fountain.mjs: titles by their key without letter case and space, boneyard left out.
func ours(s *screenplay.Script) []string {
	var all [][2]string
	for _, f := range s.Title {
		all = append(all, [2]string{"title", strings.ReplaceAll(strings.ToLower(f.Key), " ", "_") + ": " + f.Value})
	}
	for _, e := range s.Elements {
		text := e.Text
		switch {
		case e.Kind == screenplay.Boneyard:
			continue
		case e.SceneNumber != "":
			text += " #" + e.SceneNumber + "#"
		case e.Kind == screenplay.Parenthetical:
			text = "(" + text + ")"
		case e.Kind == screenplay.Character && e.Extension != "":
			text += " (" + e.Extension + ")"
		}
		all = append(all, [2]string{string(e.Kind), text})
	}
	return lines(all)
}

// lines writes tokens for reading: space and emphasis at the ends don't count, the words do.
func lines(tokens [][2]string) []string {
	out := []string{}
	for _, token := range tokens {
		out = append(out, strings.TrimRight(token[0]+" "+strings.Join(strings.Fields(token[1]), " "), " "))
	}
	return out
}
