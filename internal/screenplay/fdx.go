package screenplay

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The elements of Final Draft's XML that are read. The others are about paper, colours and windows.
type fdxFile struct {
	XMLName xml.Name       `xml:"FinalDraft"`
	Content []fdxParagraph `xml:"Content>Paragraph"`
	Title   []fdxParagraph `xml:"TitlePage>Content>Paragraph"`
}

type fdxParagraph struct {
	Type          string         `xml:",attr"`
	Number        string         `xml:",attr"`
	Alignment     string         `xml:",attr"`
	StartsNewPage string         `xml:",attr"`
	Text          []fdxText      `xml:"Text"`
	Notes         []fdxNote      `xml:"ScriptNote"`
	Summary       []fdxParagraph `xml:"SceneProperties>Summary>Paragraph"`
	Dual          []fdxParagraph `xml:"DualDialogue>Paragraph"`
}

type fdxNote struct {
	Paragraphs []fdxParagraph `xml:"Paragraph"`
}

type fdxText struct {
	Style string `xml:",attr"` // Bold+Italic
	Words string `xml:",chardata"`
}

// IsFDX reports whether a text begins like a file of Final Draft.
func IsFDX(text []byte) bool {
	head := text[:min(len(text), 1024)]
	return bytes.HasPrefix(bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff"))), []byte("<")) && bytes.Contains(head, []byte("<FinalDraft"))
}

// FromFDX converts a file of Final Draft to the Fountain format. notices lists what Fountain cannot express, each a sentence without its full stop.
func FromFDX(r io.Reader) (text string, notices []string, err error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return "", nil, fmt.Errorf("read screenplay: %w", err)
	}
	if len(raw) > MaxSize {
		return "", nil, ErrTooLarge
	}
	var file fdxFile
	if err := xml.Unmarshal(raw, &file); err != nil {
		return "", nil, fmt.Errorf("read Final Draft's XML: %w", err)
	}
	f := fdxReader{lost: map[string]int{}}
	f.title(file.Title)
	f.paragraphs(file.Content, false)
	items := outline(&f.script)
	for i := range items {
		layout{Numbered: items[i].numbered}.set(&items[i])
	}
	text, _ = Export(items)
	for _, what := range slices.Sorted(maps.Keys(f.lost)) {
		notices = append(notices, fmt.Sprintf("%s %s", counted(f.lost[what], "time", "times"), what))
	}
	return text, notices, nil
}

// fdxReader collects the elements of a script.
type fdxReader struct {
	script    Script
	speaker   string // the current speaker: dialogue belongs to it
	direction string // directly above the next dialogue
	lost      map[string]int
}

func (f *fdxReader) add(e Element) { f.script.Elements = append(f.script.Elements, e) }

var fdxCredit = regexp.MustCompile(`(?i)^(screenplay |written |story |teleplay )?(and )?by:?$`)

// title reads the title page, whose lines have no keys: the first is the title, the line after a credit is the author, the rest is the contact.
func (f *fdxReader) title(page []fdxParagraph) {
	values := map[string][]string{}
	last := ""
	for _, p := range page {
		line := strings.TrimSpace(strings.ReplaceAll(f.plain(p), "\n", " "))
		key := "Contact"
		switch {
		case line == "":
			continue
		case last == "":
			key = "Title"
		case fdxCredit.MatchString(line):
			key = "Credit"
		case last == "Credit":
			key = "Author"
		}
		values[key] = append(values[key], line)
		last = key
	}
	for _, key := range []string{"Title", "Credit", "Author", "Contact"} {
		if len(values[key]) > 0 {
			f.script.Title = append(f.script.Title, Field{Key: key, Value: strings.Join(values[key], "\n")})
		}
	}
}

// paragraphs reads the play. dual marks paragraphs of two characters who speak at the same time.
func (f *fdxReader) paragraphs(all []fdxParagraph, dual bool) {
	speakers := 0
	for _, p := range all {
		if p.StartsNewPage == "Yes" {
			f.add(Element{Kind: PageBreak})
		}
		if len(p.Dual) > 0 {
			f.paragraphs(p.Dual, true)
		}
		if p.Type == "Character" {
			speakers++
		}
		f.paragraph(p, dual && speakers == 2)
		for _, note := range p.Notes {
			f.note(note)
		}
	}
}

// paragraph reads a paragraph by its type; dual marks its speaker.
func (f *fdxReader) paragraph(p fdxParagraph, dual bool) {
	text := f.words(p)
	if text == "" {
		return
	}
	spoken := f.speaker != ""
	switch p.Type {
	case "Parenthetical", "Dialogue", "Lyrics", "Singing":
	default:
		f.speaker, f.direction = "", ""
	}
	switch {
	case p.Type == "Scene Heading":
		f.add(Element{Kind: SceneHeading, Text: oneLine(f.plain(p)), SceneNumber: fdxNumber(p.Number)})
		for _, s := range p.Summary {
			if text := oneLine(f.words(s)); text != "" {
				f.add(Element{Kind: Synopsis, Text: text})
			}
		}
	case p.Type == "Character":
		cue, _ := splitCue(oneLine(f.plain(p)))
		cue.Dual, cue.Forced = dual, false
		f.speaker = cue.Character
		f.add(cue)
	case p.Type == "Transition":
		f.add(Element{Kind: Transition, Text: oneLine(text)})
	case p.Type == "Parenthetical" && spoken:
		if inner, ok := parenthesised(oneLine(text)); ok {
			text = inner
		}
		f.direction = oneLine(text)
		f.add(Element{Kind: Parenthetical, Text: f.direction, Character: f.speaker})
	case p.Type == "Dialogue" && spoken:
		f.add(Element{Kind: Dialogue, Text: text, Character: f.speaker, Parenthetical: f.direction})
		f.direction = ""
	case p.Type == "Lyrics" || p.Type == "Singing":
		f.add(Element{Kind: Lyrics, Text: text, Character: f.speaker, Parenthetical: f.direction})
		f.direction = ""
	case p.Alignment == "Center":
		f.add(Element{Kind: Centered, Text: oneLine(text)})
	default:
		if !slices.Contains([]string{"", "Action", "General", "Shot"}, p.Type) {
			f.lost[fmt.Sprintf("a paragraph of the type %q became action", p.Type)]++
		}
		f.add(Element{Kind: Action, Text: text})
	}
}

func (f *fdxReader) note(note fdxNote) {
	var lines []string
	for _, p := range note.Paragraphs {
		lines = append(lines, f.plain(p))
	}
	if text := trimLines(strings.ReplaceAll(strings.Join(lines, "\n"), "]]", "] ]")); text != "" {
		f.add(Element{Kind: Note, Text: text})
	}
}

// fdxNumber returns a scene number that is valid in the Fountain format, too.
func fdxNumber(number string) string {
	if sceneNumber.MatchString("x #" + number + "#") {
		return number
	}
	return ""
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// plain returns a paragraph's text without styles.
func (f *fdxReader) plain(p fdxParagraph) string {
	var b strings.Builder
	for _, t := range p.Text {
		b.WriteString(t.Words)
	}
	return trimLines(fdxEscape.Replace(b.String()))
}

// words returns a paragraph's text with its styles as emphasis.
func (f *fdxReader) words(p fdxParagraph) string {
	var b strings.Builder
	for _, t := range p.Text {
		b.WriteString(f.emphasised(t))
	}
	return trimLines(b.String())
}

var fdxEscape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `_`, `\_`)

// emphasised puts marks around a text, inside of the spaces at its ends. Emphasis does not span lines.
func (f *fdxReader) emphasised(t fdxText) string {
	mark := ""
	for style := range strings.SplitSeq(t.Style, "+") {
		switch style {
		case "Bold":
			mark += "**"
		case "Italic":
			mark += "*"
		case "Underline":
			mark = "_" + mark
		case "", "AllCaps":
		default:
			f.lost[fmt.Sprintf("the style %q was left out", style)]++
		}
	}
	lines := strings.Split(fdxEscape.Replace(t.Words), "\n")
	for i, line := range lines {
		if inner := strings.TrimSpace(line); inner != "" && mark != "" {
			closing := mark
			if bare, underlined := strings.CutPrefix(mark, "_"); underlined {
				closing = bare + "_"
			}
			begin := strings.Index(line, inner)
			lines[i] = line[:begin] + mark + inner + closing + line[begin+len(inner):]
		}
	}
	return strings.Join(lines, "\n")
}
