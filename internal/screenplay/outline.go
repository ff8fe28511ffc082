package screenplay

import (
	"strconv"
	"strings"
	"unicode"
)

// Types of an Item: the element types of FountainAI.
const (
	TypeScript     = "script"
	TypeSection    = "section"
	TypeCharacter  = "character"
	TypeAction     = "action"
	TypeSpokenWord = "spokenWord"
)

// Item is one element as FountainAI stores it.
type Item struct {
	Type string
	Data map[string]any
	// Line is the 1-based line of the source the item comes from.
	Line int
}

// Outline turns a script into the items of FountainAI, in the order in which
// they are played:
//
//   - one script {title, author, ...}: the fields of the title page, their keys
//     in lowerCamelCase;
//   - section {heading, kind, number}: an act (an outline heading, numbered
//     within the script) or a scene (a scene heading, with its own number, or
//     its place where it has none);
//   - character {name}: each speaker once, before the first speech;
//   - action {text, scene, section, style}: what is seen; style names what is
//     not plain action: transition, centered, lyrics;
//   - spokenWord {character, text, parenthetical, scene, section, style}: what
//     is said. A direction within a speech begins a new item.
//
// scene is the heading of the scene, with the scene's number behind it where
// several scenes have that heading, so that it can be filtered by and counted;
// section is the heading of the act. Both, like parenthetical and style, are
// left out where there is none. Synopses, notes
// and page breaks are not played and not part of the outline.
func Outline(s *Script) []Item {
	o := &outliner{numbers: sceneNumbers(s), headings: map[string]int{}, met: map[string]bool{}}
	for _, e := range s.Elements {
		if e.Kind == SceneHeading {
			o.headings[PlainText(e.Text)]++
		}
	}
	o.add(TypeScript, 1, scriptData(s))
	for i, e := range s.Elements {
		switch e.Kind {
		case Section:
			o.act(e)
		case SceneHeading:
			o.beginScene(e, o.numbers[i])
		case Action, Transition, Centered:
			o.add(TypeAction, e.Line, o.placed(e, map[string]any{}))
		case Dialogue, Lyrics:
			o.speech(e)
		case Character:
			o.character(e)
		}
	}
	return o.items
}

type outliner struct {
	items          []Item
	numbers        map[int]string // index of a scene heading -> its number
	headings       map[string]int // a scene's heading -> how many scenes have it
	met            map[string]bool
	acts           int
	section, scene string
}

func (o *outliner) add(kind string, line int, data map[string]any) {
	o.items = append(o.items, Item{Type: kind, Data: data, Line: line})
}

func (o *outliner) act(e Element) {
	o.acts++
	o.section = PlainText(e.Text)
	o.add(TypeSection, e.Line, map[string]any{
		"heading": o.section, "kind": "act", "number": strconv.Itoa(o.acts)})
}

func (o *outliner) beginScene(e Element, number string) {
	heading := PlainText(e.Text)
	o.scene = heading
	if o.headings[heading] > 1 {
		o.scene += " (" + number + ")"
	}
	o.add(TypeSection, e.Line, map[string]any{"heading": heading, "kind": "scene", "number": number})
}

func (o *outliner) character(e Element) {
	name := PlainText(e.Character)
	if !o.met[name] {
		o.met[name] = true
		o.add(TypeCharacter, e.Line, map[string]any{"name": name})
	}
}

func (o *outliner) speech(e Element) {
	if e.Character == "" { // sung by nobody in particular
		o.add(TypeAction, e.Line, o.placed(e, map[string]any{}))
		return
	}
	data := map[string]any{"character": PlainText(e.Character)}
	if e.Parenthetical != "" {
		data["parenthetical"] = e.Parenthetical
	}
	o.add(TypeSpokenWord, e.Line, o.placed(e, data))
}

// placed adds to data what an element says and where it is.
func (o *outliner) placed(e Element, data map[string]any) map[string]any {
	data["text"] = e.Text
	if o.scene != "" {
		data["scene"] = o.scene
	}
	if o.section != "" {
		data["section"] = o.section
	}
	if e.Kind != Action && e.Kind != Dialogue {
		data["style"] = string(e.Kind)
	}
	return data
}

// sceneNumbers gives each scene heading, by its index, a number of its own:
// the written one, else its place among the scenes, with an A behind it where
// another scene is already called that.
func sceneNumbers(s *Script) map[int]string {
	taken := map[string]bool{}
	for _, e := range s.Elements {
		if e.Kind == SceneHeading && e.SceneNumber != "" {
			taken[e.SceneNumber] = true
		}
	}
	numbers := map[int]string{}
	place := 0
	for i, e := range s.Elements {
		if e.Kind != SceneHeading {
			continue
		}
		place++
		number := e.SceneNumber
		if number == "" {
			number = strconv.Itoa(place)
			for taken[number] {
				number += "A"
			}
			taken[number] = true
		}
		numbers[i] = number
	}
	return numbers
}

func scriptData(s *Script) map[string]any {
	data := map[string]any{}
	for _, f := range s.Title {
		key := camelCase(f.Key)
		if key == "authors" {
			key = "author"
		}
		if _, again := data[key]; key != "" && f.Value != "" && !again {
			data[key] = PlainText(f.Value)
		}
	}
	if _, ok := data["title"]; !ok {
		data["title"] = "Untitled"
	}
	return data
}

// camelCase makes "Draft date" a JSON property: draftDate. A key without a
// Latin letter at its beginning has no such form and gives "".
func camelCase(key string) string {
	var b strings.Builder
	upper := false
	for _, r := range strings.ToLower(key) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' && b.Len() > 0:
			if upper && b.Len() > 0 {
				r = unicode.ToUpper(r)
			}
			b.WriteRune(r)
			upper = false
		case r > unicode.MaxASCII:
			return ""
		default:
			upper = true
		}
	}
	if b.Len() > 64 {
		return ""
	}
	return b.String()
}
