// Package screenplay parses the open Fountain screenplay syntax (https://fountain.io/syntax), a plain text format for plays and films.
//
// Parse returns a Script in the order of the source, each element with its line number; Outline converts a Script to the element types that
// FountainAI stores. The package is called screenplay because "fountain" means the binary and the SDK's package.
//
// Emphasis (*italic*, **bold**, _underline_) and its escapes are kept in the text as written, since they are content; PlainText removes them.
package screenplay

import "strings"

// Limits of an input. They bound the cost of parsing: memory is a small multiple of MaxSize.
const (
	MaxSize = 8 << 20  // bytes of the whole input
	MaxLine = 16 << 10 // bytes of one line
)

// Script is a parsed screenplay.
type Script struct {
	// Title holds the fields of the title page in order; it is empty without one.
	Title []Field
	// Elements holds everything else in the order of the source.
	Elements []Element
	// Encoding is the encoding of the source, one of Encodings.
	Encoding string

	source   []string // the lines as read, for Outline's layouts
	titleEnd int      // last line of the title page, 0 without one
}

// Field is one entry of the title page.
type Field struct {
	Key   string // as written: "Draft date"
	Value string // lines of a multi-line value are separated by "\n"
	Line  int    // 1-based line of the key
}

// TitleValue returns the value of the first title page field with one of the given keys, ignoring case, or "".
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

// Kind is the type of an element of a screenplay.
type Kind string

// The kinds, with their names in the Fountain syntax.
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

// Element is one element of a screenplay.
type Element struct {
	Kind Kind
	// Text is the element without its marks: without the forcing character, the
	// parentheses, the scene number. A Character's Text is its name.
	Text string
	// Character is the speaker's name: set on Character, and on each
	// Parenthetical, Dialogue and Lyrics spoken under it.
	Character string
	// Extension is the text in parentheses after a Character's name: "O.S., CONT'D".
	Extension string
	// Dual marks a Character who speaks at the same time as the previous one.
	Dual bool
	// Parenthetical is, for Dialogue and Lyrics, the direction directly above them.
	Parenthetical string
	// Depth is a Section's number of #.
	Depth int
	// SceneNumber is a SceneHeading's number as written between #, or "".
	SceneNumber string
	// Forced means that a mark gave the element its kind: . ! @ or >
	Forced bool
	// Line and End are the 1-based lines of the source where the element begins
	// and ends.
	Line, End int

	part string // of a long boneyard: first, middle, last
}
