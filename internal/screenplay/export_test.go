package screenplay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stored returns the items as a service returns them, with their data as JSON.
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

// bare returns items without their layout, as a client stores them that does not know it.
func bare(tb testing.TB, items []Item) []Item {
	items = stored(tb, items)
	for _, it := range items {
		delete(it.Data, "layout")
	}
	return items
}

// sources are the texts that are exported again: the corpus, the embedded screenplay and the real plays.
func sources(tb testing.TB) map[string]string {
	tb.Helper()
	_, all := corpus(tb)
	all["demo"] = Demo()
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
		if len(src) < 1000 {
			continue
		}
		t.Logf("%s: %d lines, %d items, %d of them kept as they were written", name, strings.Count(got, "\n"), len(items), written)
	}
}

// sayings returns the content of an outline without its layout and without the marks that only say how it was written.
func sayings(tb testing.TB, items []Item) []string {
	var all []string
	for _, it := range bare(tb, items) {
		raw, err := json.Marshal(it.Data)
		require.NoError(tb, err)
		all = append(all, it.Type+string(raw))
	}
	return all
}

// After a client has changed the data, the layout does not fit any more. The data alone must still be exported as the same play.
func TestExport_ofDataAloneReadsAsTheSamePlay(t *testing.T) {
	for name, src := range sources(t) {
		items := Outline(mustParse(t, src))
		for _, it := range items { // since release 0.2 the layout stores whether a scene's number is written
			delete(it.Data, "number")
		}
		text, _ := Export(bare(t, items))
		again := Outline(mustParse(t, text))
		for _, it := range again {
			delete(it.Data, "number")
			delete(it.Data, "scene")
		}
		for _, it := range items {
			delete(it.Data, "scene")
		}
		require.Equal(t, sayings(t, items), sayings(t, again), "%s\n%s", name, text)
	}
}

func TestExport_writesAnewWhatWasChangedAndSaysSo(t *testing.T) {
	items := stored(t, Outline(mustParse(t, "INT. ROOM - DAY\n\nHe goes [[really?]] out.\n\nMOM (O.S.)  ^\n(low)\nNo.\n(sighs)\n\n# *End*\n")))
	for _, it := range items {
		switch {
		case it.Type == TypeAction:
			it.Data["text"] = "She goes out."
		case it.Data["parenthetical"] == "low":
			it.Data["text"] = "Yes."
		}
	}
	text, notices := Export(items)
	require.Equal(t, "INT. ROOM - DAY\n\nShe goes out.\n\n[[really?]]\n\nMOM (O.S.) ^\n(low)\nYes.\n(sighs)\n\n# *End*\n", text)
	require.Len(t, notices, 1)
	require.Contains(t, notices[0], "2 elements were changed")
}

// Release 0.1 stored no layout and no titlePage.
func TestExport_ofWhatAnEarlierVersionImportedSaysWhatIsMissing(t *testing.T) {
	items := bare(t, Outline(mustParse(t, Demo())))
	for i := range items {
		for _, property := range []string{"titlePage", "extension", "dual", "continues", "depth"} {
			delete(items[i].Data, property)
		}
	}
	text, notices := Export(items)
	require.Len(t, notices, 1)
	require.Contains(t, notices[0], "--update")
	require.True(t, strings.HasPrefix(text, "Title: The Ledger of Lowwater Light\nCredit: a short play by\nAuthor: The FountainAI authors\n"), text)
	count := func(items []Item) map[string]int {
		n := map[string]int{}
		for _, it := range items {
			n[it.Type]++
		}
		return n
	}
	require.Equal(t, count(items), count(Outline(mustParse(t, text))))
}

func TestParse_readsItsEncodings(t *testing.T) {
	const text = "Title: Ünï\n\nINT. CAFÉ - DAY\n\nElle dit \u201coui\u201d.\n"
	utf16 := func(big bool, bom string) string {
		var b strings.Builder
		for _, r := range bom + text {
			if big {
				b.WriteByte(byte(r >> 8))
			}
			b.WriteByte(byte(r))
			if !big {
				b.WriteByte(byte(r >> 8))
			}
		}
		return b.String()
	}
	cp1252 := strings.NewReplacer("Ü", "\xdc", "ï", "\xef", "É", "\xc9", "\u201c", "\x93", "\u201d", "\x94").Replace(text)
	for name, tt := range map[string]struct{ src, want string }{
		"plain": {text, UTF8}, "with a mark": {"\xef\xbb\xbf" + text, UTF8}, "old Windows": {cp1252, Windows1252},
		"little": {utf16(false, "\ufeff"), UTF16LE}, "big": {utf16(true, "\ufeff"), UTF16BE},
		"little, unmarked": {utf16(false, ""), UTF16LE}, "big, unmarked": {utf16(true, ""), UTF16BE},
	} {
		script := mustParse(t, tt.src)
		require.Equal(t, tt.want, script.Encoding, name)
		got, _ := Export(stored(t, Outline(script)))
		require.Equal(t, text, got, name)
		named, err := ParseWith(strings.NewReader(tt.src), Options{Encoding: tt.want})
		require.NoError(t, err, name)
		require.Equal(t, script.Elements, named.Elements, name)
	}
	_, err := ParseWith(strings.NewReader("x"), Options{Encoding: "koi8"})
	require.ErrorContains(t, err, "utf-16le")
	_, err = Parse(strings.NewReader("\xff\xfea\x00\n\x00\x00\xd8b\x00"))
	require.ErrorContains(t, err, "line 2: not valid UTF-16")
}

func TestParse_takesALoneFormFeedForAPageBreak(t *testing.T) {
	got, _ := Export(Outline(mustParse(t, "One.\n\n\f\n\n\fTwo.\n")))
	require.Equal(t, "One.\n\n===\n\n Two.\n", got)
}

func TestOutline_dividesWhatIsTooLongForAnElement(t *testing.T) {
	long := strings.Repeat(strings.Repeat("word ", 100)+"end.\n", 200)
	src := "/*" + long + "*/\n\n" + long
	items := stored(t, Outline(mustParse(t, src)))
	for _, it := range items {
		raw, err := json.Marshal(it.Data)
		require.NoError(t, err)
		require.Less(t, len(raw), 60<<10)
	}
	got, _ := Export(items)
	require.Equal(t, Normalise(src), got)
}

func FuzzExport(f *testing.F) {
	for _, src := range sources(f) {
		if len(src) < 1000 {
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		script, err := ParseWith(strings.NewReader(src), Options{Encoding: UTF8})
		if err != nil {
			return
		}
		items := stored(t, Outline(script))
		got, notices := Export(items)
		if len(notices) > 0 {
			t.Fatal(notices)
		}
		if want := Normalise(strings.Join(script.source, "\n")); got != want {
			t.Fatalf("%q\nis written back as\n%q", want, got)
		}
		if again, _ := Export(stored(t, Outline(mustParse(t, got)))); again != got {
			t.Fatalf("%q\nis written back as\n%q", got, again)
		}
		Export(bare(t, items)) // must not panic
	})
}
