// Package screenplay reads the open Fountain screenplay syntax
// (https://fountain.io/syntax), a plain text format for plays and films.
//
// Parse gives a Script in the order of the source, each element with its line
// number; Outline turns a Script into the element types that FountainAI
// stores. The package is called screenplay so that "fountain" keeps meaning
// the binary and the SDK's door.
//
// Emphasis (*italic*, **bold**, _underline_) and its escapes are left in the
// text as written, since they are content; PlainText takes them out.
package screenplay

import "strings"

// Limits of an input. They bound what a parse may cost: memory is a small
// multiple of MaxSize.
const (
	MaxSize = 8 << 20  // bytes of the whole input
	MaxLine = 16 << 10 // bytes of one line
)

// Script is a parsed screenplay.
type Script struct {
	// Title holds the fields of the title page in their order; empty without one.
	Title []Field
	// Elements holds everything else in the order of the source.
	Elements []Element
	// Encoding is what the source was written in, one of Encodings.
	Encoding string

	source   []string // the lines as read, for what Outline keeps of their layout
	titleEnd int      // last line of the title page, 0 without one
}

// Field is one entry of the title page.
type Field struct {
	Key   string // as written: "Draft date"
	Value string // lines of a multi-line value are separated by "\n"
	Line  int    // 1-based line of the key
}

// TitleValue returns the value of the first title page field with one of the
// given keys, whatever its letter case, or "".
func (s *Script) TitleValue(keys ...string) string {
	for _, key := range keys {
		for _, f := range s.Title {
			if strings.EqualFold(f.Key, key) {
				return f.Value
			}
		}
	}
	return ""
}

// Kind says what an element of a screenplay is.
type Kind string

// The kinds, with the names of the Fountain syntax.
const (
	Section       Kind = "section"      // # outline heading, Depth is the number of #
	Synopsis      Kind = "synopsis"     // = what happens here
	SceneHeading  Kind = "sceneHeading" // INT. HOUSE - DAY #1#
	Action        Kind = "action"
	Character     Kind = "character" // the cue above a speech
	Parenthetical Kind = "parenthetical"
	Dialogue      Kind = "dialogue"
	Lyrics        Kind = "lyrics"
	Transition    Kind = "transition" // CUT TO:
	Centered      Kind = "centered"   // > THE END <
	Note          Kind = "note"       // [[a remark]]
	Boneyard      Kind = "boneyard"   // /* taken out */
	PageBreak     Kind = "pageBreak"  // ===
)

// Element is one part of a screenplay.
type Element struct {
	Kind Kind
	// Text is the element without its marks: without the forcing character, the
	// parentheses, the scene number. A Character's Text is its name.
	Text string
	// Character is the speaker's name: set on Character, and on each
	// Parenthetical, Dialogue and Lyrics spoken under it.
	Character string
	// Extension is what follows a Character's name in parentheses: "O.S., CONT'D".
	Extension string
	// Dual marks a Character who speaks at the same time as the one before.
	Dual bool
	// Parenthetical is, on Dialogue and Lyrics, the direction they directly
	// stand under.
	Parenthetical string
	// Depth is a Section's number of #.
	Depth int
	// SceneNumber is a SceneHeading's number as written between #, or "".
	SceneNumber string
	// Forced says that a mark made the element what it is: . ! @ or >
	Forced bool
	// Line and End are the 1-based lines of the source where the element begins
	// and ends.
	Line, End int

	part string // of a long boneyard: first, middle, last
}
