package screenplay

import "strings"

// cue reads a character's name and the speech under it: a line in capitals
// with an empty line before it and none behind it, or one forced with @.
func (p *parser) cue() bool {
	text, forced := strings.CutPrefix(p.text(), "@")
	text, dual := strings.CutSuffix(text, "^")
	name, extension := splitExtension(strings.TrimSpace(text))
	if name == "" || !forced && (!p.followed() || !isUpper(name)) {
		return false
	}
	p.add(Element{Kind: Character, Text: name, Character: name, Extension: extension, Dual: dual})
	p.speech(name)
	return true
}

// splitExtension divides "HANS (O.S.) (CONT'D)" into the name and "O.S., CONT'D".
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

// speech reads the lines under a cue up to the empty line that ends them.
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
				Line: p.lines[p.pos].number})
			continue
		}
		if text == "" && open == nil {
			continue
		}
		kind := Dialogue
		if sung, ok := strings.CutPrefix(text, "~"); ok {
			kind, text = Lyrics, strings.TrimSpace(sung)
		} else if text == "" {
			kind = open.Kind // an empty line that was asked for belongs to what it stands in
		}
		if open == nil || open.Kind != kind {
			flush()
			open = &Element{Kind: kind, Character: name, Parenthetical: direction, Line: p.lines[p.pos].number}
		} else {
			open.Text += "\n"
		}
		open.Text += text
	}
	flush()
}

// parenthesised returns what stands between the parentheses of a line that
// has nothing outside them: "(beat)", but not "(beat) Well (sighs)".
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
