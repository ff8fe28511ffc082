package screenplay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Export writes a screenplay of items in the order in which they are played: those of Outline give their source back, line by line, but for what
// Normalise does. An item that was changed since is written by its data alone, and so are the notes that stood in its lines. notices tell what could
// not be kept, each a sentence without its point.
func Export(items []Item) (text string, notices []string) {
	w := writer{guess: !slices.ContainsFunc(items, func(it Item) bool { return it.Type == TypeScript && it.Data["titlePage"] != nil })}
	items = slices.DeleteFunc(slices.Clone(items), func(it Item) bool { return it.Type == TypeCharacter }) // each is named above what it says
	for len(items) > 0 {
		items = items[1+w.write(items):]
	}
	return Normalise(strings.Join(w.lines, "\n")), w.notices()
}

// Normalise does to a text what importing and exporting do to its end: one line end, and no empty line. Beside that they make UTF-8 of it, without a
// byte order mark and with "\n" at the end of each line; a form feed that stands alone becomes a page break, another one a space.
func Normalise(src string) string {
	if src = strings.TrimRight(src, "\n"); src == "" {
		return ""
	}
	return src + "\n"
}

// maxBefore bounds the empty lines that an item may ask for by number.
const maxBefore = 1000

// writer writes items one after the other.
type writer struct {
	lines   []string
	began   bool // something was written
	guess   bool // the items were made by 0.1, or by no import: what they don't say is guessed
	said    *Item
	scenes  int
	changed int // items whose written form no longer fits
	foreign int // items that are nothing of a screenplay
}

// write appends the first of the items, and returns how many of the notes behind it are within what it wrote.
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

// intact says whether the first of the items, and the notes that stand in its lines, are as they were when it was laid out.
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

// follow remembers what the items behind one must know of it.
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

// continues says whether a spoken item goes on under the cue of the one before.
func (w *writer) continues(it Item) bool {
	if w.said == nil || w.said.Data["character"] != it.Data["character"] {
		return false
	}
	return it.Data["continues"] == true || w.guess
}

// notices tells what was not kept.
func (w *writer) notices() []string {
	var all []string
	if w.guess {
		all = append(all, "the scope was not imported by this version: forced marks, notes, synopses, page breaks, extensions, dual dialogue, emphasis in headings, "+
			"the order of the title page and empty lines were not kept; import it again with --update")
	}
	if w.changed > 0 {
		all = append(all, fmt.Sprintf("%s changed since the import, or what stands around it was: written anew, with notes behind instead of within",
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
