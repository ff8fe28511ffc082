package screenplay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// ErrTooLarge means that the input is larger than MaxSize.
var ErrTooLarge = errors.New("screenplay is larger than 8 MiB")

// SyntaxError names the line at which an input is not a valid screenplay. It never quotes the line.
type SyntaxError struct {
	Line    int    // 1-based
	Problem string // what is wrong with it
}

// Error returns "line 12: not valid UTF-8".
func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Problem) }

// line is a line of the source without notes and boneyard.
type line struct {
	text   string // without its line end
	number int    // 1-based line of the source on which it begins
	last   int    // and on which it ends: a removed note or boneyard may span lines
}

// blank reports whether the line is empty or white space.
func (l line) blank() bool { return strings.TrimSpace(l.text) == "" }

// keepsSpeech reports whether the line does not end a speech: it has text, or it is the two spaces with which a writer keeps an empty line within a
// speech.
func (l line) keepsSpeech() bool { return !l.blank() || strings.HasPrefix(l.text, "  ") }

// Options configure parsing.
type Options struct {
	// Encoding is one of Encodings; "" detects it.
	Encoding string
}

// readSource reads, checks and normalises the input: UTF-8 without a byte order mark, line ends as "\n". A form feed on a line of its own is a page
// break; any other, as printers and converters leave them, counts as a space.
func readSource(r io.Reader, o Options) (src, encoding string, err error) {
	raw, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return "", "", fmt.Errorf("read screenplay: %w", err)
	}
	if len(raw) > MaxSize {
		return "", "", ErrTooLarge
	}
	raw, encoding, err = decode(raw, o.Encoding)
	if err != nil {
		return "", "", err
	}
	raw = bytes.ReplaceAll(raw, []byte("\r\n"), []byte("\n"))
	raw = bytes.ReplaceAll(raw, []byte("\r"), []byte("\n"))
	if bytes.IndexByte(raw, '\f') >= 0 {
		raw = bytes.ReplaceAll(formFeedLine.ReplaceAll(raw, []byte("===")), []byte("\f"), []byte(" "))
	}
	number := 0
	for l := range bytes.SplitSeq(raw, []byte("\n")) {
		number++
		if problem := checkLine(l); problem != "" {
			return "", "", &SyntaxError{Line: number, Problem: problem}
		}
	}
	return string(raw), encoding, nil
}

var formFeedLine = regexp.MustCompile(`(?m)^[ \t]*\f[ \t\f]*$`)

func checkLine(l []byte) string {
	switch {
	case len(l) > MaxLine:
		return "longer than 16 KiB"
	case !utf8.Valid(l):
		return "not valid UTF-8"
	case bytes.ContainsFunc(l, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "contains a control character"
	}
	return ""
}

// scanner removes boneyard (/* */) and notes ([[ ]]) from a source. Both may span lines, so the remaining lines keep their own numbers.
type scanner struct {
	src     string
	pos     int
	line    int // number of the line at pos
	lines   []line
	aside   []Element // notes and boneyard in their order
	current strings.Builder
	started int  // first line of the current line
	cut     bool // something was removed from the current line

	boneyardEnd, noteEnd, blankLine finder
}

// splitSource returns the remaining lines, and the notes and boneyard in order.
func splitSource(src string) ([]line, []Element) {
	s := &scanner{src: src, line: 1, started: 1,
		boneyardEnd: finder{what: "*/"}, noteEnd: finder{what: "]]"}, blankLine: finder{what: "\n\n"}}
	for s.pos < len(src) {
		rest := src[s.pos:]
		switch {
		case strings.HasPrefix(rest, `\/*`) || strings.HasPrefix(rest, `\[[`):
			s.current.WriteString(rest[1:3])
			s.pos += 3
		case strings.HasPrefix(rest, "/*") && s.boneyardEnd.after(src, s.pos+2) >= 0:
			s.take(Boneyard, s.boneyardEnd.after(src, s.pos+2))
		case strings.HasPrefix(rest, "[[") && s.noteCloses():
			s.take(Note, s.noteEnd.after(src, s.pos+2))
		case rest[0] == '\n':
			s.endLine()
			s.pos++
			s.line++
			s.started = s.line
		default:
			s.current.WriteByte(rest[0])
			s.pos++
		}
	}
	s.endLine()
	return s.lines, s.aside
}

// noteCloses reports whether the note that opens here ends before an empty line; otherwise it is text.
func (s *scanner) noteCloses() bool {
	end := s.noteEnd.after(s.src, s.pos+2)
	if end < 0 {
		return false
	}
	blank := s.blankLine.after(s.src, s.pos+2)
	return blank < 0 || end < blank
}

// take removes the text from here to its closing mark.
func (s *scanner) take(kind Kind, end int) {
	e := Element{Kind: kind, Text: s.src[s.pos+2 : end], Line: s.line, End: s.line + strings.Count(s.src[s.pos:end], "\n")}
	if kind == Note {
		e.Text = trimLines(e.Text)
	}
	s.aside = append(s.aside, e)
	s.line, s.pos, s.cut = e.End, end+2, true
}

// endLine keeps the current line, unless it is empty only because its content was removed: such a line does not end a speech or a paragraph.
func (s *scanner) endLine() {
	l := line{text: s.current.String(), number: s.started, last: s.line}
	if !s.cut || !l.blank() {
		s.lines = append(s.lines, l)
	}
	s.current.Reset()
	s.cut = false
}

// finder searches for a string and caches the result, so that a source with many unclosed openings is still parsed in linear time.
type finder struct {
	what  string
	found int // position of the last result, valid for every start in [from, found]
	from  int
	asked bool
}

// after returns the first position at or after start, or -1. Starts must not decrease.
func (f *finder) after(src string, start int) int {
	if f.asked && start >= f.from && (f.found < 0 || start <= f.found) {
		return f.found
	}
	f.asked, f.from, f.found = true, start, -1
	if start <= len(src) {
		if i := strings.Index(src[start:], f.what); i >= 0 {
			f.found = start + i
		}
	}
	return f.found
}

// trimLines trims the whole text and the end of each line.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " \t")
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
