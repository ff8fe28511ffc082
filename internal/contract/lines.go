package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/fountainai/fountain/internal/problem"
)

// defaultLine is the maximum length of a line of an NDJSON body, in bytes, where stream.lineMax is not set.
const defaultLine = 64 << 10

// lineMax returns the maximum length of a line of the operation's NDJSON body, without its end.
func (op *Operation) lineMax() int64 {
	if s := op.Policy.Stream; s != nil && s.Kind == StreamNDJSON {
		return s.LineMax
	}
	return defaultLine
}

// checkLine checks one line of an NDJSON body of media m: it must be one JSON text that satisfies the schema. n is its number, from 1.
func checkLine(m *mediaContract, line []byte, n int) error {
	c := newChecker(inbound, "body")
	defer c.release()
	if fault := c.read(line); fault != nil {
		return malformedBody(fault.rule, fault.pointer())
	}
	if m.schema != nil {
		c.check(m.schema, 0)
	}
	return c.problem(problem.InvalidBody, fmt.Sprintf("Line %d of the body does not match the contract.", n))
}

// checkLines checks a whole NDJSON body.
func (op *Operation) checkLines(m *mediaContract, body []byte) error {
	_, err := io.Copy(io.Discard, op.lines(m, io.NopCloser(bytes.NewReader(body))))
	return err
}

// lines returns a reader of an NDJSON body that checks it.
func (op *Operation) lines(m *mediaContract, body io.ReadCloser) *checkedLines {
	return &checkedLines{body: body, media: m, most: int(op.lineMax()), required: op.BodyRequired()}
}

// checkedLines returns the lines of an NDJSON body after it has checked them. At an invalid line reading fails with the problem and nothing of the
// line is returned. It buffers one line and what was read of the next. Empty lines are refused, because parsers differ in whether they skip them; the
// end of the last line may be missing.
type checkedLines struct {
	body  io.ReadCloser
	media *mediaContract
	most  int // bytes of a line
	// required says that there must be a line.
	required bool

	held    []byte // buffered; the first checked bytes may be returned
	checked int
	n       int // lines that were checked
	ended   bool
	err     error
}

// firstRoom is the initial size of the buffer in bytes.
const firstRoom = 4 << 10

// Read implements io.Reader.
func (l *checkedLines) Read(p []byte) (int, error) {
	for l.err == nil {
		at := bytes.IndexByte(l.held[l.checked:], '\n')
		if at < 0 && l.checked > 0 {
			break // the caller gets this line without waiting for the next one
		}
		l.err = l.advance(at)
	}
	if l.checked == 0 {
		return 0, l.err
	}
	n := copy(p, l.held[:l.checked])
	l.held = l.held[:copy(l.held, l.held[n:])]
	l.checked -= n
	return n, nil
}

// advance checks the next line, which ends at end, or reads more when there is no end yet (-1). It returns the error with which reading ends after
// the checked lines.
func (l *checkedLines) advance(end int) error {
	switch {
	case end >= 0:
		return l.line(end, end+1)
	case len(l.held) > l.most+1: // CR may be before LF
		return errLongLine
	case l.ended && len(l.held) == 0 && l.n == 0 && l.required:
		return errBodyRequired
	case l.ended && len(l.held) == 0:
		return io.EOF
	case l.ended:
		return l.line(len(l.held), len(l.held))
	}
	if len(l.held) == cap(l.held) {
		grown := make([]byte, len(l.held), min(max(2*cap(l.held), firstRoom), l.most+2))
		copy(grown, l.held)
		l.held = grown
	}
	n, err := l.body.Read(l.held[len(l.held):cap(l.held)])
	l.held = l.held[:len(l.held)+n]
	if l.ended = errors.Is(err, io.EOF); l.ended {
		return nil
	}
	return err
}

var errLongLine = problem.New(problem.BodyTooLarge, "A line of the body is longer than this operation accepts.")

// line checks the line of the given length after the checked bytes; with its end it takes taken bytes.
func (l *checkedLines) line(length, taken int) error {
	text := bytes.TrimSuffix(l.held[l.checked:l.checked+length], []byte{'\r'})
	if len(text) > l.most {
		return errLongLine
	}
	l.n++
	if err := checkLine(l.media, text, l.n); err != nil {
		return err
	}
	l.checked += taken
	return nil
}

// Close implements io.Closer.
func (l *checkedLines) Close() error { return l.body.Close() }
