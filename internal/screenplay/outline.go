package screenplay

import "strconv"

// Types of an Item: the element types of FountainAI.
const (
	TypeScript     = "script"
	TypeSection    = "section"
	TypeCharacter  = "character"
	TypeAction     = "action"
	TypeSpokenWord = "spokenWord"
	TypeNote       = "note"
)

// Item is one element in the form in which FountainAI stores it.
type Item struct {
	Type string
	Data map[string]any
	// Line is the 1-based line of the source where the item begins.
	Line int

	begin, end int  // lines of the item in the source; 0 when it has none
	numbered   bool // of a scene: its number is written in the source
	forced     bool
}

// Outline converts a script to FountainAI's items in playing order:
//
//   - one script {title, author, ..., titlePage}: the fields of the title page,
//     their keys in lowerCamelCase, and all as written in titlePage;
//   - section {heading, kind, number, depth}: an outline heading (kind act,
//     below it sequence and part), numbered among its neighbours, or a scene (a
//     scene heading, with its own number, or its position if it has none);
//   - character {name}: each speaker once, before the first speech;
//   - action {text, scene, section, style}: what is seen; style names what is
//     not plain action: transition, centered, lyrics;
//   - spokenWord {character, text, parenthetical, extension, dual, continues,
//     scene, section, style}: what is said. A direction within a speech begins a
//     new item, which continues the one before; a direction without words under
//     it has the text "", and so has a cue without a speech;
//   - note {kind, text, scene, section}: what the writer adds and is not played:
//     note, synopsis, boneyard, pageBreak.
//
// scene is the heading of the scene, followed by the scene's number where several scenes have the same heading, so that items can be filtered and
// counted by it; section is the heading of the act, sequence that of the deepest heading below it. Each is omitted where there is none.
//
// layout is what else Export needs: see layout.
func Outline(s *Script) []Item {
	items := outline(s)
	lay(s, items)
	return items
}

// outline is Outline without layouts.
func outline(s *Script) []Item {
	o := &outliner{numbers: sceneNumbers(s), headings: map[string]int{}, met: map[string]bool{}}
	for _, e := range s.Elements {
		if e.Kind == SceneHeading {
			o.headings[PlainText(e.Text)]++
		}
	}
	o.add(TypeScript, Element{Line: 1, End: s.titleEnd}, scriptData(s))
	for i, e := range s.Elements {
		if e.Kind != Parenthetical && e.Kind != Dialogue && (e.Kind != Lyrics || e.Character == "") && !o.within(e) {
			o.endSpeech()
		}
		switch e.Kind {
		case Section:
			o.beginSection(e)
		case SceneHeading:
			o.beginScene(e, o.numbers[i])
		case Action, Transition, Centered:
			for _, part := range split(e) {
				o.add(TypeAction, part, o.placed(part, map[string]any{"text": part.Text}))
			}
		case Character, Parenthetical, Dialogue, Lyrics:
			o.speak(e)
		case Note, Synopsis, Boneyard, PageBreak:
			o.note(e)
		}
	}
	o.endSpeech()
	return o.items
}

type outliner struct {
	items    []Item
	numbers  map[int]string // index of a scene heading -> its number
	headings map[string]int // a scene's heading -> how many scenes have it
	met      map[string]bool
	open     []Element // the current outline headings, by depth
	counts   []int     // number of headings of each depth under the current heading above
	scene    string
	cue      *Element // of the current speech, until something is said
	spoken   bool     // something was said under that cue
	speaker  Element
	wait     *Element // a direction under which nothing was said yet
	aside    []Element
}

func (o *outliner) add(kind string, e Element, data map[string]any) {
	o.items = append(o.items, Item{Type: kind, Data: data, Line: e.Line, begin: e.Line, end: e.End, forced: e.Forced})
}

func (o *outliner) beginSection(e Element) {
	for len(o.open) > 0 && o.open[len(o.open)-1].Depth >= e.Depth {
		o.open = o.open[:len(o.open)-1]
	}
	for len(o.counts) < e.Depth {
		o.counts = append(o.counts, 0)
	}
	o.counts = o.counts[:e.Depth]
	o.counts[e.Depth-1]++
	e.Text = PlainText(e.Text)
	o.open = append(o.open, e)
	kind := [...]string{"act", "sequence", "part"}[min(e.Depth, 3)-1]
	o.add(TypeSection, e, map[string]any{"heading": e.Text, "kind": kind, "number": strconv.Itoa(o.counts[e.Depth-1]), "depth": e.Depth})
}

func (o *outliner) beginScene(e Element, number string) {
	heading := PlainText(e.Text)
	o.scene = heading
	if o.headings[heading] > 1 {
		o.scene += " (" + number + ")"
	}
	o.add(TypeSection, e, map[string]any{"heading": heading, "kind": "scene", "number": number})
	o.items[len(o.items)-1].numbered = e.SceneNumber != ""
}

func (o *outliner) note(e Element) {
	if o.cue != nil || o.wait != nil { // a note under a cue is part of the item that begins there
		o.aside = append(o.aside, e)
		return
	}
	for _, part := range split(e) {
		data := map[string]any{"kind": string(part.Kind)}
		if part.Kind != PageBreak {
			data["text"] = part.Text
		}
		if part.part != "" {
			data["part"] = part.part
		}
		o.add(TypeNote, part, o.placed(part, data))
	}
}

// within reports whether a note is under the cue or the direction whose words have not come yet.
func (o *outliner) within(e Element) bool {
	return (e.Kind == Note || e.Kind == Boneyard) && (o.cue != nil || o.wait != nil || o.spoken)
}

// speak collects a speech: an item is made when something is said, or when it is clear that nothing will be.
func (o *outliner) speak(e Element) {
	name := PlainText(e.Character)
	switch {
	case e.Kind == Lyrics && e.Character == "": // sung by no named character
		o.add(TypeAction, e, o.placed(e, map[string]any{"text": e.Text}))
	case e.Kind == Character:
		o.cue, o.speaker, o.spoken = &e, e, false
		if !o.met[name] {
			o.met[name] = true
			o.add(TypeCharacter, Element{Line: e.Line}, map[string]any{"name": name})
		}
	case e.Kind == Parenthetical:
		if o.wait != nil {
			o.say(Element{Kind: Dialogue, Parenthetical: o.wait.Text, Line: o.wait.Line, End: o.wait.End})
		}
		o.wait = &e
	default:
		o.say(e)
	}
}

// endSpeech makes an item of a direction or a cue without words.
func (o *outliner) endSpeech() {
	switch {
	case o.wait != nil:
		o.say(Element{Kind: Dialogue, Parenthetical: o.wait.Text, Line: o.wait.Line, End: o.wait.End})
	case o.cue != nil:
		o.say(Element{Kind: Dialogue, Line: o.cue.Line, End: o.cue.End})
	}
	o.spoken = false
}

// say adds a spoken item, which includes the cue and the direction before it.
func (o *outliner) say(e Element) {
	data := map[string]any{"character": PlainText(o.speaker.Character), "text": e.Text}
	if e.Parenthetical != "" {
		data["parenthetical"] = e.Parenthetical
	}
	if o.speaker.Extension != "" {
		data["extension"] = o.speaker.Extension
	}
	if o.speaker.Dual {
		data["dual"] = true
	}
	if o.spoken {
		data["continues"] = true
	}
	o.add(TypeSpokenWord, e, o.placed(e, data))
	item := &o.items[len(o.items)-1]
	item.forced = o.speaker.Forced
	for _, before := range []*Element{o.wait, o.cue} {
		if before != nil {
			item.begin = min(item.begin, before.Line)
			item.end = max(item.end, before.End)
		}
	}
	o.cue, o.wait, o.spoken = nil, nil, true
	aside := o.aside
	o.aside = nil
	for _, note := range aside {
		o.note(note)
	}
}

// placed adds an element's scene and section to data.
func (o *outliner) placed(e Element, data map[string]any) map[string]any {
	if o.scene != "" {
		data["scene"] = o.scene
	}
	if len(o.open) > 0 {
		data["section"] = o.open[0].Text
	}
	if len(o.open) > 1 {
		data["sequence"] = o.open[len(o.open)-1].Text
	}
	switch e.Kind {
	case Transition, Centered, Lyrics:
		data["style"] = string(e.Kind)
	}
	return data
}

// sceneNumbers returns a unique number for each scene heading, by its index: the written one, or its position among the scenes, followed by an A when
// another scene already has that number.
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
