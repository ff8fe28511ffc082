package screenplay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Export writes a screenplay of items in playing order. Items from Outline reproduce their source line by line, except for what Normalise does. An
// item that was changed since is written from its data alone, and so are the notes within its lines. notices lists what could not be preserved, each
// a sentence without its full stop.
func Export(items []Item) (text string, notices []string) {
	w := writer{guess: !slices.ContainsFunc(items, func(it Item) bool { return it.Type == TypeScript && it.Data["titlePage"] != nil })}
	items = slices.DeleteFunc(slices.Clone(items), func(it Item) bool { return it.Type == TypeCharacter }) // a character is named above each speech
	for len(items) > 0 {
		items = items[1+w.write(items):]
	}
	return Normalise(strings.Join(w.lines, "\n")), w.notices()
}

// Normalise does to the end of a text what importing and exporting do: one line end, and no empty line. They also convert it to UTF-8 without a byte
// order mark and with "\n" at the end of each line; a form feed on a line of its own becomes a page break, any other one a space.
func Normalise(src string) string {
	if src = strings.TrimRight(src, "\n"); src == "" {
		return ""
	}
	return src + "\n"
}

// maxBefore bounds the number of empty lines that an item may request.
const maxBefore = 1000

// writer writes items in order.
type writer struct {
	lines   []string
	began   bool // something was written
	guess   bool // the items come from release 0.1 or not from an import: missing properties are guessed
	said    *Item
	scenes  int
	changed int // items whose Written text no longer matches
	foreign int // items that do not belong to a screenplay
}

// write appends the first of the items, and returns how many of the following notes are part of what it wrote.
func (w *writer) write(items []Item) (held int) {
	it, l := items[0], layoutOf(items[0])
	lines, before := w.plain(it, l)
	if l.Before != nil && (it.Data["continues"] != true || w.continues(it)) {
		before = min(max(*l.Before, 0), maxBefore)
	}
	if l.Written != "" {
		if w.intact(items, l) {
			lines, held = strings.Split(l.Written, "\n"), l.Holds
		} else {
			w.changed++
		}
	}
	if len(lines) > 0 {
		w.lines = append(append(w.lines, make([]string, before)...), lines...)
		w.follow(it)
	}
	return held
}

// intact reports whether the first of the items, and the notes within its lines, are unchanged since they were laid out.
func (w *writer) intact(items []Item, l layout) bool {
	if l.Of != fingerprint(items[0], l) || items[0].Data["continues"] == true && !w.continues(items[0]) || l.Holds < 0 || len(items) <= l.Holds {
		return false
	}
	for _, note := range items[1 : 1+l.Holds] {
		if of := layoutOf(note); note.Type != TypeNote || !of.Inline || of.Of != fingerprint(note, of) {
			return false
		}
	}
	return true
}

// follow records what the following items depend on.
func (w *writer) follow(it Item) {
	w.began = true
	switch {
	case it.Type == TypeSpokenWord:
		w.said = &it
	case it.Type != TypeNote:
		w.said = nil
	}
	if it.Data["kind"] == "scene" {
		w.scenes++
	}
}

// continues reports whether a spoken item continues under the cue of the one before.
func (w *writer) continues(it Item) bool {
	if w.said == nil || w.said.Data["character"] != it.Data["character"] {
		return false
	}
	return it.Data["continues"] == true || w.guess
}

// notices lists what was not preserved.
func (w *writer) notices() []string {
	var all []string
	if w.guess {
		all = append(all, "the scope was not imported by this version: forced marks, notes, synopses, page breaks, extensions, dual dialogue, emphasis in headings, "+
			"the order of the title page and empty lines were not kept; import it again with --update")
	}
	if w.changed > 0 {
		all = append(all, fmt.Sprintf("%s changed since the import, or its neighbours did: written again, with notes after the text instead of inside",
			counted(w.changed, "element was", "elements were")))
	}
	if w.foreign > 0 {
		all = append(all, counted(w.foreign, "element is", "elements are")+" nothing of a screenplay: left out")
	}
	return all
}

func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + several
}
