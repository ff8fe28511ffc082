package screenplay

import (
	"strings"
	"unicode"
)

// cue parses a character's name and the speech under it: a line in capitals with an empty line before it and none after it, or one forced with @.
func (p *parser) cue() bool {
	if !p.isCue() {
		return false
	}
	e, _ := splitCue(p.text())
	p.add(e)
	p.speech(e.Character)
	return true
}

// isCue reports whether the current line is a cue, provided that a block may begin there.
func (p *parser) isCue() bool {
	e, forced := splitCue(p.text())
	return e.Text != "" && (forced || p.followed() && (isUpper(e.Text) || isNameWithoutCase(e.Text)))
}

// splitCue parses a cue such as "@McCLANE (V.O.) ^".
func splitCue(text string) (cue Element, forced bool) {
	text, forced = strings.CutPrefix(text, "@")
	text, dual := strings.CutSuffix(text, "^")
	name, extension := splitExtension(strings.TrimSpace(text))
	return Element{Kind: Character, Text: name, Character: name, Extension: extension, Dual: dual, Forced: forced}, forced
}

// Maximum length of names without letter case that need no @: two words where words are separated by spaces; otherwise four characters, or twelve
// with the dot that separates the parts of foreign names.
const (
	longestName       = 24
	longestJoinedName = 4
	longestDottedName = 12
)

// isNameWithoutCase reports whether a text in a script without letter case is short enough for a name and consists of letters only. The format
// demands capitals, which such a script does not have, and a letter, which it has. A line that reads like a sentence is action; a longer name must be
// forced with @.
func isNameWithoutCase(s string) bool {
	letters, joined, dotted := 0, false, false
	for _, r := range s {
		switch {
		case unicode.IsLower(r) || unicode.IsUpper(r):
			return false
		case r == '·' || r == '・':
			dotted = true
		case unicode.IsLetter(r) || unicode.IsMark(r):
			letters++
			joined = joined || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
		case r != ' ' && !unicode.IsDigit(r):
			return false
		}
	}
	longest := longestName
	if joined {
		longest = longestJoinedName
		if dotted {
			longest = longestDottedName
		}
	}
	return letters > 0 && letters <= longest && strings.Count(s, " ") <= 1
}

// splitExtension splits "HANS (O.S.) (CONT'D)" into the name and "O.S., CONT'D".
func splitExtension(text string) (name, extension string) {
	open := strings.IndexByte(text, '(')
	if open < 0 || !strings.HasSuffix(text, ")") {
		return strings.Join(strings.Fields(text), " "), ""
	}
	var extensions []string
	for part := range strings.SplitSeq(text[open:], "(") {
		part = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(part), ")"))
		if part != "" {
			extensions = append(extensions, part)
		}
	}
	return strings.Join(strings.Fields(text[:open]), " "), strings.Join(extensions, ", ")
}

// speech parses the lines under a cue up to the next empty line.
func (p *parser) speech(name string) {
	var open *Element // the dialogue or lyrics being collected
	direction := ""
	flush := func() {
		if open != nil {
			if open.Text = trimLines(open.Text); open.Text != "" {
				p.elements = append(p.elements, *open)
			}
			open = nil
		}
	}
	for ; p.pos < len(p.lines) && p.lines[p.pos].keepsSpeech(); p.pos++ {
		text := p.text()
		if inner, ok := parenthesised(text); ok {
			flush()
			direction = inner
			p.elements = append(p.elements, Element{Kind: Parenthetical, Text: inner, Character: name,
				Line: p.lines[p.pos].number, End: p.lines[p.pos].last})
			continue
		}
		if text == "" && open == nil {
			continue
		}
		kind := Dialogue
		if sung, ok := strings.CutPrefix(text, "~"); ok {
			kind, text = Lyrics, strings.TrimSpace(sung)
		} else if text == "" {
			kind = open.Kind // an empty line that was kept belongs to the surrounding element
		}
		if open == nil || open.Kind != kind {
			flush()
			open = &Element{Kind: kind, Character: name, Parenthetical: direction, Line: p.lines[p.pos].number}
		} else {
			open.Text += "\n"
		}
		open.Text += text
		if text != "" {
			open.End = p.lines[p.pos].last
		}
	}
	flush()
}

// parenthesised returns the text between the parentheses of a line that has nothing outside them: "(beat)", but not "(beat) Well (sighs)".
func parenthesised(text string) (string, bool) {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 && i < len(text)-1 {
			return "", false
		}
	}
	if len(text) < 2 || depth != 0 || text[0] != '(' {
		return "", false
	}
	inner := strings.TrimSpace(text[1 : len(text)-1])
	return inner, inner != ""
}
