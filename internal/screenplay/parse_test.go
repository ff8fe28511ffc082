package screenplay

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func mustParse(tb testing.TB, src string) *Script {
	tb.Helper()
	script, err := Parse(strings.NewReader(src))
	if err != nil {
		tb.Fatalf("parse: %v", err)
	}
	return script
}

// One case for each rule of https://fountain.io/syntax.
func TestParse_readsTheSyntax(t *testing.T) {
	tests := []struct {
		name, src string
		want      []Element
	}{
		{"scene heading", "INT. HOUSE - DAY\n\next. garden - night\n\nEST. TOWN\n\nINT./EXT. CAR\n\nINT/EXT CAR\n\nI/E CAR", []Element{
			{Kind: SceneHeading, Text: "INT. HOUSE - DAY", Line: 1},
			{Kind: SceneHeading, Text: "ext. garden - night", Line: 3},
			{Kind: SceneHeading, Text: "EST. TOWN", Line: 5},
			{Kind: SceneHeading, Text: "INT./EXT. CAR", Line: 7},
			{Kind: SceneHeading, Text: "INT/EXT CAR", Line: 9},
			{Kind: SceneHeading, Text: "I/E CAR", Line: 11},
		}},
		{"no scene heading inside a word", "Interior decorators argue.\n\nEXTRA\n", []Element{
			{Kind: Action, Text: "Interior decorators argue.", Line: 1},
			{Kind: Action, Text: "EXTRA", Line: 3},
		}},
		{"scene heading with text right under it", "INT. HOUSE - DAY\nJohn enters.\n", []Element{
			{Kind: SceneHeading, Text: "INT. HOUSE - DAY", Line: 1},
			{Kind: Action, Text: "John enters.", Line: 2},
		}},
		{"forced scene heading", ".SNIPER SCOPE POV\n\n...where it was.\n\n.45 CALIBRE", []Element{
			{Kind: SceneHeading, Text: "SNIPER SCOPE POV", Forced: true, Line: 1},
			{Kind: Action, Text: "...where it was.", Line: 3},
			{Kind: SceneHeading, Text: "45 CALIBRE", Forced: true, Line: 5},
		}},
		{"scene numbers", "INT. HOUSE #1#\n\nINT. HOUSE #1-A.b#\n\nINT. #9 HOUSE\n\n.#3#", []Element{
			{Kind: SceneHeading, Text: "INT. HOUSE", SceneNumber: "1", Line: 1},
			{Kind: SceneHeading, Text: "INT. HOUSE", SceneNumber: "1-A.b", Line: 3},
			{Kind: SceneHeading, Text: "INT. #9 HOUSE", Line: 5},
			{Kind: Action, Text: ".#3#", Line: 7},
		}},
		{"action keeps line breaks and indentation", "First line.\n\tSecond, indented.\n\nNew paragraph.  ", []Element{
			{Kind: Action, Text: "First line.\n    Second, indented.", Line: 1},
			{Kind: Action, Text: "New paragraph.", Line: 4},
		}},
		{"forced action", "!SCANNING THE AISLES...\nWhere is that girl?\n\n!CUT TO:\n\n!INT. HOUSE", []Element{
			{Kind: Action, Text: "SCANNING THE AISLES...\nWhere is that girl?", Forced: true, Line: 1},
			{Kind: Action, Text: "CUT TO:", Forced: true, Line: 4},
			{Kind: Action, Text: "INT. HOUSE", Forced: true, Line: 6},
		}},
		{"character and dialogue", "STEEL\nThey're coming.\nBoth of them.\n", []Element{
			{Kind: Character, Text: "STEEL", Character: "STEEL", Line: 1},
			{Kind: Dialogue, Text: "They're coming.\nBoth of them.", Character: "STEEL", Line: 2},
		}},
		{"character needs a letter and a line under it", "R2D2\nBeep.\n\n23\nNot a name.\n\nBOOM!\n", []Element{
			{Kind: Character, Text: "R2D2", Character: "R2D2", Line: 1},
			{Kind: Dialogue, Text: "Beep.", Character: "R2D2", Line: 2},
			{Kind: Action, Text: "23\nNot a name.", Line: 4},
			{Kind: Action, Text: "BOOM!", Line: 7},
		}},
		{"character extensions", "HANS (on the radio)\nHello.\n\nMOM (O.S.) (CONT'D)\nSupper.", []Element{
			{Kind: Character, Text: "HANS", Character: "HANS", Extension: "on the radio", Line: 1},
			{Kind: Dialogue, Text: "Hello.", Character: "HANS", Line: 2},
			{Kind: Character, Text: "MOM", Character: "MOM", Extension: "O.S., CONT'D", Line: 4},
			{Kind: Dialogue, Text: "Supper.", Character: "MOM", Line: 5},
		}},
		{"forced character", "@McCLANE\nYippie ki-yay.\n\n@小明\n你好。", []Element{
			{Kind: Character, Text: "McCLANE", Character: "McCLANE", Forced: true, Line: 1},
			{Kind: Dialogue, Text: "Yippie ki-yay.", Character: "McCLANE", Line: 2},
			{Kind: Character, Text: "小明", Character: "小明", Forced: true, Line: 4},
			{Kind: Dialogue, Text: "你好。", Character: "小明", Line: 5},
		}},
		{"text without letter case is action", "小明走进房间\n他坐下。", []Element{
			{Kind: Action, Text: "小明走进房间\n他坐下。", Line: 1},
		}},
		{"dual dialogue", "BRICK\nOne.\n\nSTEEL (V.O.) ^\nTwo.", []Element{
			{Kind: Character, Text: "BRICK", Character: "BRICK", Line: 1},
			{Kind: Dialogue, Text: "One.", Character: "BRICK", Line: 2},
			{Kind: Character, Text: "STEEL", Character: "STEEL", Extension: "V.O.", Dual: true, Line: 4},
			{Kind: Dialogue, Text: "Two.", Character: "STEEL", Line: 5},
		}},
		{"parentheticals", "STEEL\n(starting the engine)\nSo much for retirement!\n(beat)\nHa.\n(beat) Well (sighs)\n", []Element{
			{Kind: Character, Text: "STEEL", Character: "STEEL", Line: 1},
			{Kind: Parenthetical, Text: "starting the engine", Character: "STEEL", Line: 2},
			{Kind: Dialogue, Text: "So much for retirement!", Character: "STEEL", Parenthetical: "starting the engine", Line: 3},
			{Kind: Parenthetical, Text: "beat", Character: "STEEL", Line: 4},
			{Kind: Dialogue, Text: "Ha.\n(beat) Well (sighs)", Character: "STEEL", Parenthetical: "beat", Line: 5},
		}},
		{"two spaces keep a speech together", "DAN\nThen let's retire them.\n  \nPermanently.\n\nHe goes.", []Element{
			{Kind: Character, Text: "DAN", Character: "DAN", Line: 1},
			{Kind: Dialogue, Text: "Then let's retire them.\n\nPermanently.", Character: "DAN", Line: 2},
			{Kind: Action, Text: "He goes.", Line: 6},
		}},
		{"one space or none ends a speech", "DAN\nYes.\n \nHe goes.", []Element{
			{Kind: Character, Text: "DAN", Character: "DAN", Line: 1},
			{Kind: Dialogue, Text: "Yes.", Character: "DAN", Line: 2},
			{Kind: Action, Text: "He goes.", Line: 4},
		}},
		{"lyrics", "~Willy Wonka!\n~The amazing chocolatier!\n\nOMPA\n~Sung\n(louder)\nspoken", []Element{
			{Kind: Lyrics, Text: "Willy Wonka!\nThe amazing chocolatier!", Line: 1},
			{Kind: Character, Text: "OMPA", Character: "OMPA", Line: 4},
			{Kind: Lyrics, Text: "Sung", Character: "OMPA", Line: 5},
			{Kind: Parenthetical, Text: "louder", Character: "OMPA", Line: 6},
			{Kind: Dialogue, Text: "spoken", Character: "OMPA", Parenthetical: "louder", Line: 7},
		}},
		{"transitions", "CUT TO:\n\n> FADE OUT.\n\nHANDING IT TO:\nBob.", []Element{
			{Kind: Transition, Text: "CUT TO:", Line: 1},
			{Kind: Transition, Text: "FADE OUT.", Forced: true, Line: 3},
			{Kind: Character, Text: "HANDING IT TO:", Character: "HANDING IT TO:", Line: 5},
			{Kind: Dialogue, Text: "Bob.", Character: "HANDING IT TO:", Line: 6},
		}},
		{"centred text", ">THE END<\n> spaced <\n", []Element{
			{Kind: Centered, Text: "THE END", Line: 1},
			{Kind: Centered, Text: "spaced", Line: 2},
		}},
		{"sections and synopses", "# Act\n= What happens.\n### Deeper\nThen action.\n#\n", []Element{
			{Kind: Section, Text: "Act", Depth: 1, Line: 1},
			{Kind: Synopsis, Text: "What happens.", Line: 2},
			{Kind: Section, Text: "Deeper", Depth: 3, Line: 3},
			{Kind: Action, Text: "Then action.\n#", Line: 4},
		}},
		{"page breaks", "Before.\n\n===\n\n======\n\n==\n", []Element{
			{Kind: Action, Text: "Before.", Line: 1},
			{Kind: PageBreak, Line: 3},
			{Kind: PageBreak, Line: 5},
			{Kind: Action, Text: "==", Line: 7},
		}},
		{"notes", "He goes.[[Really?]]\n\n[[A note\nof two lines]]\n\nDAN\n[[softer]]\nYes.", []Element{
			{Kind: Action, Text: "He goes.", Line: 1},
			{Kind: Note, Text: "Really?", Line: 1},
			{Kind: Note, Text: "A note\nof two lines", Line: 3},
			{Kind: Character, Text: "DAN", Character: "DAN", Line: 6},
			{Kind: Note, Text: "softer", Line: 7},
			{Kind: Dialogue, Text: "Yes.", Character: "DAN", Line: 8},
		}},
		{"a note ends before an empty line or is none", "[[open\n\nclosed]]\n\n[[kept\n  \nopen]]", []Element{
			{Kind: Action, Text: "[[open", Line: 1},
			{Kind: Action, Text: "closed]]", Line: 3},
			{Kind: Note, Text: "kept\n\nopen", Line: 5},
		}},
		{"boneyard", "One /* gone\n\ngone */two.\n\n/*\nall gone\n*/\n\nThree. /* never closed", []Element{
			{Kind: Action, Text: "One two.", Line: 1},
			{Kind: Boneyard, Text: " gone\n\ngone ", Line: 1},
			{Kind: Boneyard, Text: "\nall gone\n", Line: 5},
			{Kind: Action, Text: "Three. /* never closed", Line: 9},
		}},
		{"a line that was all boneyard does not end a speech", "DAN\nYes.\n/* cut */\nNo.", []Element{
			{Kind: Character, Text: "DAN", Character: "DAN", Line: 1},
			{Kind: Dialogue, Text: "Yes.\nNo.", Character: "DAN", Line: 2},
			{Kind: Boneyard, Text: " cut ", Line: 3},
		}},
		{"escapes", `He says \/* and \[[ and \*this\*.`, []Element{
			{Kind: Action, Text: `He says /* and [[ and \*this\*.`, Line: 1},
		}},
		{"emphasis stays", "He is **very** _late_.", []Element{
			{Kind: Action, Text: "He is **very** _late_.", Line: 1},
		}},
		{"indented elements", "\t\tINT. HOUSE\n\n\t\t\tSTEEL\n\t\t(low)\n\t\tHello.", []Element{
			{Kind: SceneHeading, Text: "INT. HOUSE", Line: 1},
			{Kind: Character, Text: "STEEL", Character: "STEEL", Line: 3},
			{Kind: Parenthetical, Text: "low", Character: "STEEL", Line: 4},
			{Kind: Dialogue, Text: "Hello.", Character: "STEEL", Parenthetical: "low", Line: 5},
		}},
		{"line ends and byte order mark", "\xef\xbb\xbfOne.\r\n\r\nTwo.\rStill two.", []Element{
			{Kind: Action, Text: "One.", Line: 1},
			{Kind: Action, Text: "Two.\nStill two.", Line: 3},
		}},
		{"nothing", " \n\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			script := mustParse(t, tt.src)
			if len(script.Title) > 0 {
				t.Errorf("a title page was seen: %+v", script.Title)
			}
			for i := range script.Elements {
				script.Elements[i].End = 0 // TestElement_endsWhereItsLastLineIs
			}
			if !reflect.DeepEqual(script.Elements, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", lineByLine(script.Elements), lineByLine(tt.want))
			}
		})
	}
}

func lineByLine(elements []Element) string {
	var b strings.Builder
	for _, e := range elements {
		fmt.Fprintf(&b, "%+v\n", e)
	}
	return b.String()
}

func TestParse_readsTheTitlePage(t *testing.T) {
	script := mustParse(t, "Title:\n    _**BRICK & STEEL**_\n\tFULL RETIRED\nCredit: Written by\nAuthor: Stu Maschwitz\nDraft date:\n\nFADE IN:\n\nText.")
	want := []Field{
		{Key: "Title", Value: "_**BRICK & STEEL**_\nFULL RETIRED", Line: 1},
		{Key: "Credit", Value: "Written by", Line: 4},
		{Key: "Author", Value: "Stu Maschwitz", Line: 5},
		{Key: "Draft date", Line: 6},
	}
	if !reflect.DeepEqual(script.Title, want) {
		t.Errorf("title page %+v, want %+v", script.Title, want)
	}
	if got := script.TitleValue("authors", "AUTHOR"); got != "Stu Maschwitz" {
		t.Errorf("TitleValue gives %q", got)
	}
	if len(script.Elements) != 2 || script.Elements[0].Line != 8 {
		t.Errorf("elements behind the title page: %s", lineByLine(script.Elements))
	}
}

func TestParse_doesNotTakeAnOpeningForATitlePage(t *testing.T) {
	for _, src := range []string{
		"FADE IN:\n\nA room.", "A room: bare.\nA chair.", "    indented: text\n\nmore", "# Act: one\n\nText", ".SCENE: ONE\n\nText",
	} {
		if script := mustParse(t, src); len(script.Title) > 0 {
			t.Errorf("%q: title page %+v", src, script.Title)
		}
	}
}

func TestParse_refusesWhatIsNotTextAndNamesTheLine(t *testing.T) {
	tests := []struct {
		name, src string
		line      int
	}{
		{"damaged UTF-8", "Été.\n\nT\xffo.", 3},
		{"neither UTF-8 nor Windows-1252", "One.\nT\x81o.", 2},
		{"NUL", "One.\nT\x00o.", 2},
		{"escape sequence", "\x1b[31mred", 1},
		{"long line", "One.\n" + strings.Repeat("a", MaxLine+1), 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(tt.src))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line != tt.line {
				t.Fatalf("error %v, want a SyntaxError on line %d", err, tt.line)
			}
		})
	}
}

func TestParse_refusesMoreThanItsLimit(t *testing.T) {
	if _, err := Parse(bytes.NewReader(bytes.Repeat([]byte("a\n"), MaxSize/2+1))); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("error %v, want ErrTooLarge", err)
	}
	if _, err := Parse(bytes.NewReader(bytes.Repeat([]byte("a\n"), MaxSize/2))); err != nil {
		t.Fatalf("an input of exactly the limit: %v", err)
	}
}

// Openings without an end must not make every search run to the end of the text again: with quadratic time this input would take hours.
func TestParse_isLinearInUnclosedOpenings(t *testing.T) {
	mustParse(t, strings.Repeat(strings.Repeat("[[/*", 2000)+"\n", MaxSize/2/8001))
	mustParse(t, strings.Repeat(strings.Repeat("[[", 4000)+"\n", MaxSize/2/8001)+"\n]]")
}

func TestPlainText_takesOutMarksAndEscapes(t *testing.T) {
	for text, want := range map[string]string{
		"_**BRICK & STEEL**_":            "BRICK & STEEL",
		"*a* **b** ***c*** _d_":          "a b c d",
		"**bold and *italic* inside**":   "bold and italic inside",
		`\*9765\* and \_this\_ and \\`:   `*9765* and _this_ and \`,
		"2 * 3 * 4":                      "2 * 3 * 4",
		"*not closed":                    "*not closed",
		"*over\nlines*":                  "*over\nlines*",
		"closes at once ** and _ and *.": "closes at once ** and _ and *.",
	} {
		if got := PlainText(text); got != want {
			t.Errorf("PlainText(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Demo())
	for _, seed := range []string{"Title: x\n y\n\nA\n(b)\n~c\n  \nd", "[[a\n/*]]*/", ".#1#\n\n@ ^\n", "> <\n\n>a<", "=\n==\n===", "\\/*\\[["} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		script, err := Parse(strings.NewReader(src))
		if err != nil {
			return
		}
		lines := strings.Count(src, "\n") + strings.Count(src, "\r") + 1
		last := 0
		for _, e := range script.Elements {
			if e.Line < max(last, 1) || e.Line > lines {
				t.Fatalf("element on line %d after line %d of %d", e.Line, last, lines)
			}
			last = e.Line
			if e.Kind != PageBreak && e.Kind != Note && e.Kind != Boneyard && strings.TrimSpace(e.Text) == "" {
				t.Fatalf("%s without text on line %d", e.Kind, e.Line)
			}
			if (e.Kind == Dialogue || e.Kind == Parenthetical || e.Kind == Character) && e.Character == "" {
				t.Fatalf("%s without a character on line %d", e.Kind, e.Line)
			}
		}
		for _, item := range Outline(script) {
			if len(item.Data) == 0 {
				t.Fatalf("%s without data", item.Type)
			}
		}
	})
}
