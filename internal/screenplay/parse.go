package screenplay

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	headingPrefix = regexp.MustCompile(`(?i)^(int\.?/ext|i/e|int|ext|est)[. ]`)
	sceneNumber   = regexp.MustCompile(`^(.*?)\s*#([\p{L}\p{N}.\-]+)#$`)
	pageBreak     = regexp.MustCompile(`^={3,}$`)
)

// Parse parses a screenplay and detects its encoding; see ParseWith.
func Parse(r io.Reader) (*Script, error) { return ParseWith(r, Options{}) }

// ParseWith parses a screenplay. Any text is valid: text without marks is action. It returns ErrTooLarge for more than MaxSize bytes, and a
// *SyntaxError for a line that is invalid in the encoding or longer than MaxLine.
func ParseWith(r io.Reader, o Options) (*Script, error) {
	src, encoding, err := readSource(r, o)
	if err != nil {
		return nil, err
	}
	lines, aside := splitSource(src)
	script := &Script{Encoding: encoding, source: strings.Split(src, "\n")}
	title, rest := parseTitle(lines)
	if script.Title = title; title != nil {
		script.titleEnd = lines[len(lines)-len(rest)-1].last
	}
	p := &parser{lines: rest, fresh: true}
	p.run()
	script.Elements = mergeAside(p.elements, aside)
	return script, nil
}

// mergeAside inserts each note and boneyard after the last element that begins on its line or before.
func mergeAside(elements, aside []Element) []Element {
	all := slices.Concat(elements, aside)
	slices.SortStableFunc(all, func(a, b Element) int { return a.Line - b.Line })
	return all
}

type parser struct {
	lines    []line
	pos      int
	elements []Element
	// fresh is true where a block may begin: at the start, after an empty line, and after an element that is always a single line. Scene headings,
	// cues and transitions are recognised only there.
	fresh bool
}

func (p *parser) run() {
	for p.pos < len(p.lines) {
		if p.lines[p.pos].blank() {
			p.pos++
			p.fresh = true
			continue
		}
		begins := p.fresh && p.text()[0] != '!'
		switch {
		case p.mark():
		case begins && p.heading():
		case begins && p.transition():
		case begins && p.cue():
		default:
			p.action()
		}
	}
}

// add appends an element that consists of the current line, and advances to the next.
func (p *parser) add(e Element) bool {
	e.Line, e.End = p.lines[p.pos].number, p.lines[p.pos].last
	p.elements = append(p.elements, e)
	p.pos++
	p.fresh = true
	return true
}

// text returns the current line without surrounding white space: indentation has a meaning only in action.
func (p *parser) text() string { return strings.TrimSpace(p.lines[p.pos].text) }

// followed reports whether the next line continues the block of this one.
func (p *parser) followed() bool {
	return p.pos+1 < len(p.lines) && p.lines[p.pos+1].keepsSpeech()
}

// mark parses elements that are recognised by their first character: they need no empty lines around them.
func (p *parser) mark() bool {
	text := p.text()
	switch {
	case pageBreak.MatchString(text):
		return p.add(Element{Kind: PageBreak})
	case text[0] == '#':
		heading := strings.TrimLeft(text, "#")
		if strings.TrimSpace(heading) == "" {
			return false
		}
		return p.add(Element{Kind: Section, Text: strings.TrimSpace(heading), Depth: len(text) - len(heading)})
	case text[0] == '=':
		if synopsis := strings.TrimSpace(strings.TrimLeft(text, "=")); synopsis != "" {
			return p.add(Element{Kind: Synopsis, Text: synopsis})
		}
		return false
	case text[0] == '~':
		return p.lyrics()
	case text[0] == '>':
		return p.pushed(text[1:])
	}
	return false
}

// pushed parses "> centred <" and the forced transition "> FADE OUT."
func (p *parser) pushed(text string) bool {
	kind := Transition
	if inner, ok := strings.CutSuffix(text, "<"); ok {
		kind, text = Centered, inner
	}
	if text = strings.TrimSpace(text); text == "" {
		return false
	}
	return p.add(Element{Kind: kind, Text: text, Forced: kind == Transition})
}

// lyrics joins adjacent sung lines outside a speech.
func (p *parser) lyrics() bool {
	e := Element{Kind: Lyrics, Line: p.lines[p.pos].number}
	var verses []string
	for ; p.pos < len(p.lines) && strings.HasPrefix(p.text(), "~"); p.pos++ {
		verses = append(verses, strings.TrimSpace(p.text()[1:]))
		e.End = p.lines[p.pos].last
	}
	if e.Text = trimLines(strings.Join(verses, "\n")); e.Text != "" {
		p.elements = append(p.elements, e)
	}
	p.fresh = true
	return true
}

// heading parses a scene heading. Like the format's reference parser it requires an empty line before it, not after it.
func (p *parser) heading() bool {
	text, forced := strings.CutPrefix(p.text(), ".")
	if forced {
		if first, _ := utf8.DecodeRuneInString(text); !unicode.IsLetter(first) && !unicode.IsDigit(first) {
			return false
		}
	} else if !headingPrefix.MatchString(text) {
		return false
	}
	e := Element{Kind: SceneHeading, Text: text, Forced: forced}
	if m := sceneNumber.FindStringSubmatch(text); m != nil && m[1] != "" {
		e.Text, e.SceneNumber = m[1], m[2]
	}
	return p.add(e)
}

// transition parses "CUT TO:". It must stand alone: above a text it is a speaker. Above another speaker or a scene it is a transition whose empty
// line was forgotten, or removed with the boneyard after it. Spaces after the colon make it action, as the format specifies.
func (p *parser) transition() bool {
	text := p.text()
	if text[0] == '@' || !isTransition(text) || !strings.HasSuffix(p.lines[p.pos].text, ":") {
		return false
	}
	if p.pos+1 < len(p.lines) && !p.lines[p.pos+1].blank() && !p.nextBegins() {
		return false
	}
	return p.add(Element{Kind: Transition, Text: text})
}

func isTransition(text string) bool { return strings.HasSuffix(text, "TO:") && isUpper(text) }

// nextBegins reports whether the next line begins a scene or a speech.
func (p *parser) nextBegins() bool {
	next := parser{lines: p.lines[p.pos+1:]}
	if next.lines[0].blank() || next.text()[0] == '!' {
		return false
	}
	next.lines = next.lines[:min(2, len(next.lines))]
	return next.heading() || next.isCue()
}

// action parses a paragraph with its line breaks and its indentation.
func (p *parser) action() {
	e := Element{Kind: Action, Line: p.lines[p.pos].number}
	var paragraph []string
	for first := true; p.pos < len(p.lines) && !p.lines[p.pos].blank(); first = false {
		if !first && p.startsMark() {
			break
		}
		text := strings.ReplaceAll(p.lines[p.pos].text, "\t", "    ")
		if forced, ok := strings.CutPrefix(strings.TrimSpace(text), "!"); ok {
			text = forced
			e.Forced = e.Forced || first
		}
		paragraph = append(paragraph, strings.TrimRightFunc(text, unicode.IsSpace))
		e.End = p.lines[p.pos].last
		p.pos++
	}
	e.Text = strings.Trim(strings.Join(paragraph, "\n"), "\n")
	if strings.TrimSpace(e.Text) != "" {
		p.elements = append(p.elements, e)
	}
	p.fresh = false
}

// startsMark reports whether mark would consume the current line, without consuming it.
func (p *parser) startsMark() bool {
	probe := parser{lines: p.lines[p.pos : p.pos+1]}
	return probe.mark()
}

// isUpper reports whether a text contains an upper-case letter and no lower-case one.
func isUpper(s string) bool {
	capital := false
	for _, r := range s {
		if unicode.IsLower(r) {
			return false
		}
		capital = capital || unicode.IsUpper(r)
	}
	return capital
}
