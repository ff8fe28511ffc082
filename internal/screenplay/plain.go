package screenplay

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// plain returns the lines of an item, written from its data alone, and the usual number of empty lines before it.
func (w *writer) plain(it Item, l layout) (lines []string, before int) {
	before = 1
	if !w.began {
		before = 0
	}
	switch it.Type {
	case TypeScript:
		return titleLines(it), 0
	case TypeSection:
		return w.sectionLines(it, l), before
	case TypeAction:
		return w.actionLines(it, l), before
	case TypeSpokenWord:
		if w.continues(it) {
			before = 0
		}
		return w.spokenLines(it, l), before
	case TypeNote:
		if part := it.text("part"); part == "middle" || part == "last" {
			before = 0
		}
		return noteLines(it), before
	}
	w.foreign++
	return nil, before
}

// text returns a property of the item's data, or "" when it is not a string.
func (it Item) text(property string) string {
	text, _ := it.Data[property].(string)
	return text
}

// number returns a property of the item's data, or 0 when it is not a number.
func (it Item) number(property string) int {
	switch n := it.Data[property].(type) {
	case int:
		return n
	case float64:
		return int(n)
	}
	return 0
}

// titleLines writes the title page: its fields as they were written, except those whose property was changed since.
func titleLines(it Item) []string {
	type field struct{ key, value string }
	var fields []field
	page, known := it.Data["titlePage"].([]any)
	for _, entry := range page {
		entry, _ := entry.(map[string]any)
		f := Item{Data: entry}
		fields = append(fields, field{f.text("key"), f.text("value")})
	}
	seen := map[string]bool{}
	for i, f := range fields {
		property := propertyOf(f.key)
		now := it.text(property)
		if property != "" && !seen[property] && f.value != "" && now != "" && now != PlainText(f.value) {
			fields[i].value = now
		}
		seen[property] = true
	}
	for _, property := range titleProperties(it, known) {
		if now := it.text(property); !seen[property] && now != "" {
			fields = append(fields, field{keyOf(property), now})
		}
	}
	var lines []string
	for _, f := range fields {
		switch {
		case f.key == "":
		case f.value == "":
			lines = append(lines, f.key+":")
		case strings.Contains(f.value, "\n"):
			lines = append(lines, f.key+":")
			for line := range strings.SplitSeq(f.value, "\n") {
				lines = append(lines, "    "+line)
			}
		default:
			lines = append(lines, f.key+": "+f.value)
		}
	}
	return lines
}

// titleProperties returns the properties of a script that may be fields of its title page, the usual ones first. A play without a title has none.
func titleProperties(it Item, known bool) []string {
	usual := []string{"title", "credit", "author", "source", "draftDate", "contact", "copyright", "notes"}
	all := slices.DeleteFunc(slices.Sorted(maps.Keys(it.Data)), func(p string) bool {
		return p == "layout" || p == "titlePage" || p == "position" || p == "title" && known && it.text(p) == untitled
	})
	slices.SortStableFunc(all, func(a, b string) int { return rank(usual, a) - rank(usual, b) })
	return all
}

func rank(usual []string, property string) int {
	if i := slices.Index(usual, property); i >= 0 {
		return i
	}
	return len(usual)
}

func (w *writer) sectionLines(it Item, l layout) []string {
	heading := strings.ReplaceAll(it.text("heading"), "\n", " ")
	if it.text("kind") != "scene" {
		return []string{strings.Repeat("#", min(max(it.number("depth"), 1), MaxLine/2)) + " " + escape(heading)}
	}
	text := escape(heading)
	if l.Forced || !headingPrefix.MatchString(heading) {
		text = "." + text
	}
	number := it.text("number")
	if l.Numbered || w.guess && number != "" && number != strconv.Itoa(w.scenes+1) {
		text += " #" + number + "#"
	}
	return []string{text}
}

func (w *writer) actionLines(it Item, l layout) []string {
	lines := strings.Split(escape(it.text("text")), "\n")
	switch Kind(it.text("style")) {
	case Transition:
		if l.Forced || !isTransition(lines[0]) {
			lines[0] = "> " + lines[0]
		}
	case Centered:
		lines[0] = "> " + lines[0] + " <"
	case Lyrics:
		for i := range lines {
			lines[i] = "~" + lines[i]
		}
	default:
		for i, text := range lines {
			p := parser{lines: []line{{text: text}}}
			switch {
			case strings.TrimSpace(text) == "": // would end the paragraph
				lines[i] = "!"
			case i == 0 && l.Forced, strings.HasPrefix(strings.TrimSpace(text), "!"), p.startsMark():
				lines[i] = "!" + text
			}
		}
		if !l.Forced && !isAction(lines, !w.began) {
			lines[0] = "!" + lines[0]
		}
	}
	return lines
}

// isAction reports whether lines would be parsed as one paragraph of action at a place where a block, or the whole text, may begin.
func isAction(texts []string, first bool) bool {
	p := parser{fresh: true}
	for _, text := range texts {
		p.lines = append(p.lines, line{text: text})
	}
	if title, _ := parseTitle(p.lines); first && title != nil {
		return false
	}
	p.run()
	return len(p.elements) == 1 && p.elements[0].Kind == Action
}

func (w *writer) spokenLines(it Item, l layout) []string {
	var lines []string
	continues := w.continues(it)
	if !continues {
		lines = append(lines, cueLine(it, l))
	}
	direction := it.text("parenthetical")
	if direction != "" && !(continues && w.said.text("parenthetical") == direction && w.said.text("style") != it.text("style") && it.text("text") != "") {
		lines = append(lines, "("+escape(direction)+")")
	}
	text := it.text("text")
	if text == "" {
		return lines
	}
	for line := range strings.SplitSeq(escape(text), "\n") {
		switch {
		case strings.TrimSpace(line) == "":
			line = "  " // keeps the speech together
		case it.text("style") == string(Lyrics):
			line = "~" + line
		}
		lines = append(lines, line)
	}
	return lines
}

// cueLine returns the line above a speech. A name that would not be recognised as a cue gets the mark.
func cueLine(it Item, l layout) string {
	name := escape(strings.ReplaceAll(it.text("character"), "\n", " "))
	plain := name
	if extension := it.text("extension"); extension != "" {
		plain += " (" + escape(extension) + ")"
	}
	if it.Data["dual"] == true {
		plain += " ^"
	}
	p := parser{lines: []line{{text: plain}, {text: "x"}}, fresh: true}
	p.run()
	if l.Forced || len(p.elements) == 0 || p.elements[0].Kind != Character || it.text("text")+it.text("parenthetical") == "" {
		return "@" + plain
	}
	return plain
}

func noteLines(it Item) []string {
	text := it.text("text")
	switch Kind(it.text("kind")) {
	case Synopsis:
		return []string{"= " + escape(strings.ReplaceAll(text, "\n", " "))}
	case PageBreak:
		return []string{"==="}
	case Boneyard:
		part := it.text("part")
		if part == "" || part == "first" {
			text = "/*" + text
		}
		if part == "" || part == "last" {
			text += "*/"
		}
		return strings.Split(text, "\n")
	default:
		lines := strings.Split("[["+text+"]]", "\n")
		for i, line := range lines {
			if strings.TrimSpace(line) == "" {
				lines[i] = "  "
			}
		}
		return lines
	}
}

// escape keeps a text from being parsed as the beginning of a note or boneyard.
func escape(text string) string {
	return strings.NewReplacer("/*", `\/*`, "[[", `\[[`).Replace(text)
}
