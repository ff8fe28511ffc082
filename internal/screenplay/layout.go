package screenplay

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// layout stores how an item was written, in its property of that name, as far as plain cannot derive it. It is omitted when plain writes the item as
// it was.
type layout struct {
	// Before is the number of empty lines before the item, if it is not the usual one.
	Before *int `json:"before,omitempty"`
	// Written contains the item's original lines, including notes within them, if plain would write others.
	Written string `json:"written,omitempty"`
	// Of identifies the data that Written belongs to: see fingerprint.
	Of uint64 `json:"of,omitempty"`
	// Holds is the number of notes within the item's lines: the following items, whose Inline is true.
	Holds  int  `json:"holds,omitempty"`
	Inline bool `json:"inline,omitempty"`
	// Forced: a mark gave the item its type. Numbered: the scene's number is written after its heading.
	Forced   bool `json:"forced,omitempty"`
	Numbered bool `json:"numbered,omitempty"`
}

// layoutOf returns an item's layout, or an empty one when there is none or it cannot be decoded.
func layoutOf(it Item) layout {
	var l layout
	raw, err := json.Marshal(it.Data["layout"])
	if err != nil || json.Unmarshal(raw, &l) != nil {
		return layout{}
	}
	return l
}

// set stores the layout with the item.
func (l layout) set(it *Item) {
	if l.Written != "" || l.Inline {
		l.Of = fingerprint(*it, l)
	}
	if l == (layout{}) {
		return
	}
	raw, err := json.Marshal(l)
	if err != nil {
		panic("screenplay: layout: " + err.Error()) // only numbers and texts: cannot fail
	}
	var data map[string]any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&data); err != nil {
		panic("screenplay: layout: " + err.Error())
	}
	it.Data["layout"] = data
}

// fingerprint returns 48 bits over the item's data, to detect whether it was changed since the import. The item's position is not included, because
// changes to other items affect it.
func fingerprint(it Item, l layout) uint64 {
	data := maps.Clone(it.Data)
	for _, place := range []string{"layout", "position", "scene", "section", "sequence"} {
		delete(data, place)
	}
	if !l.Numbered {
		delete(data, "number")
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return 0
	}
	sum := sha256.Sum256(raw)
	return binary.BigEndian.Uint64(append([]byte{0, 0}, sum[:6]...))
}

// lay gives each item the layout with which Export reproduces the source. Every line of the source belongs to one item: the lines from its first to
// its last, and what follows it without meaning, up to the empty lines before the next item.
func lay(s *Script, items []Item) {
	own := ownLines(items)
	var w writer
	last := 0 // line after which the next item begins
	for n, i := range own {
		it := &items[i]
		l := layout{Forced: it.forced, Numbered: it.numbered, Holds: held(items, i)}
		next := len(s.source)
		if n+1 < len(own) {
			next = items[own[n+1]].begin - 1
		}
		for line := next; line > it.end; line-- {
			if text := s.source[line-1]; strings.TrimSpace(text) != "" || n+1 == len(own) && text != "" {
				it.end = line
				break
			}
		}
		if it.end == 0 { // no title page
			continue
		}
		begin := it.begin
		if it.Type == TypeScript {
			begin = last + 1
		}
		l.fit(&w, it, s.source[last:begin-1], s.source[begin-1:it.end])
		last = it.end
		w.follow(*it)
	}
}

// fit stores those of an item's lines, and of the empty lines before it, that plain would write differently.
func (l layout) fit(w *writer, it *Item, before, lines []string) {
	for len(before) == 0 && len(lines) > 1 && lines[0] == "" {
		before, lines = append(before, ""), lines[1:]
	}
	spaced := len(before) > maxBefore || slices.ContainsFunc(before, func(line string) bool { return line != "" })
	plain, usual := w.plain(*it, l)
	if !spaced && len(before) != usual {
		l.Before = new(len(before))
	}
	if spaced {
		lines = slices.Concat(before, lines)
		l.Before = new(0)
	}
	if !slices.Equal(plain, lines) || l.Holds > 0 {
		l.Written = strings.Join(lines, "\n")
	}
	l.set(it)
}

// ownLines marks the notes within the lines of another item, and returns the indices of the items with lines of their own.
func ownLines(items []Item) []int {
	var own []int
	covered := 0
	for i := range items {
		it := &items[i]
		switch {
		case it.Type == TypeCharacter:
		case it.Type == TypeNote && it.begin <= covered:
			layout{Inline: true}.set(it)
			it.end = 0
		default:
			own = append(own, i)
			covered = max(covered, it.end)
		}
	}
	return own
}

// held counts the notes after an item that are within its lines.
func held(items []Item, i int) int {
	n := 0
	for _, it := range items[i+1:] {
		if it.Type == TypeCharacter {
			continue
		}
		if it.Type != TypeNote || !layoutOf(it).Inline {
			break
		}
		n++
	}
	return n
}

// longest is the maximum length of an item's text in bytes: the service bounds an element's data, and layout may contain the text a second time.
const longest = 16 << 10

// split divides a long paragraph or boneyard at its line ends; its lines are lines of the source.
func split(e Element) []Element {
	lines := strings.Split(e.Text, "\n")
	if len(e.Text) <= longest || e.Kind != Action && e.Kind != Boneyard || len(lines) != e.End-e.Line+1 {
		return []Element{e}
	}
	var parts []Element
	for from := 0; from < len(lines); {
		size, to := 0, from
		for to < len(lines) && (to == from || size+len(lines[to]) < longest) {
			size += len(lines[to]) + 1
			to++
		}
		part := e
		part.Text, part.Line, part.End = strings.Join(lines[from:to], "\n"), e.Line+from, e.Line+to-1
		part.Forced = e.Forced && from == 0
		if e.Kind == Boneyard {
			part.part = "middle"
			if from == 0 {
				part.part = "first"
			} else if to == len(lines) {
				part.part = "last"
			}
		}
		parts = append(parts, part)
		from = to
	}
	return parts
}
