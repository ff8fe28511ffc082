package history

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// fileFormat is the version of the file format.
const fileFormat = 1

// lineMax is the longest line of a file in bytes. An element with many versions has the longest line.
const lineMax = 16 << 20

// line is one line of a file. Exactly one member is set.
type line struct {
	History  *head    `json:"history,omitempty"`
	Append   *Call    `json:"append,omitempty"`
	Revision *Call    `json:"revision,omitempty"`
	Followed *Change  `json:"followed,omitempty"`
	Change   *Change  `json:"change,omitempty"`
	Format   *Format  `json:"format,omitempty"`
	Element  *Element `json:"element,omitempty"`
	Hit      *Hit     `json:"hit,omitempty"`
	Found    *Found   `json:"found,omitempty"`
	End      *end     `json:"end,omitempty"`
}

// head is the first line.
type head struct {
	Format    int           `json:"format"`
	Scope     string        `json:"scope"`
	Own       bool          `json:"own"`
	Searched  bool          `json:"searched"`
	SearchLag time.Duration `json:"searchLag,omitempty"`
}

// end is the last line. A file without it is truncated.
type end struct {
	Sum string `json:"sha256"` // of all bytes before it, in hex
}

// ErrDamaged means that a file is not a complete history as Write writes it: it is truncated, changed or something else.
var ErrDamaged = errors.New("the file is not a complete history")

// writer writes lines and computes their checksum.
type writer struct {
	to  *bufio.Writer
	sum hash.Hash
}

func (w *writer) line(l line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode line: %w", err)
	}
	text = append(text, '\n')
	w.sum.Write(text)
	if _, err := w.to.Write(text); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	return nil
}

func lines[T any](w *writer, all []T, of func(*T) line) error {
	for i := range all {
		if err := w.line(of(&all[i])); err != nil {
			return err
		}
	}
	return nil
}

// Write writes a history as NDJSON with a checksum in its last line. It writes ids and checksums of data, but no data.
func Write(to io.Writer, h *History) error {
	w := &writer{to: bufio.NewWriter(to), sum: sha256.New()}
	if err := w.line(line{History: &head{Format: fileFormat, Scope: h.Scope, Own: h.Own, Searched: h.Searched, SearchLag: h.SearchLag}}); err != nil {
		return err
	}
	for _, part := range []func() error{
		func() error { return lines(w, h.Appends, func(c *Call) line { return line{Append: c} }) },
		func() error { return lines(w, h.Revisions, func(c *Call) line { return line{Revision: c} }) },
		func() error { return lines(w, h.Followed, func(c *Change) line { return line{Followed: c} }) },
		func() error { return lines(w, h.Feed, func(c *Change) line { return line{Change: c} }) },
		func() error { return lines(w, h.Formats, func(f *Format) line { return line{Format: f} }) },
		func() error { return lines(w, h.Elements, func(e *Element) line { return line{Element: e} }) },
		func() error { return lines(w, h.Hits, func(x *Hit) line { return line{Hit: x} }) },
		func() error { return lines(w, h.Found, func(f *Found) line { return line{Found: f} }) },
		func() error { return w.line(line{End: &end{Sum: hex.EncodeToString(w.sum.Sum(nil))}}) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	if err := w.to.Flush(); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// ReadFile reads what Write wrote. It returns ErrDamaged if the file is truncated or changed.
func ReadFile(from io.Reader) (*History, error) {
	in := bufio.NewScanner(from)
	in.Buffer(make([]byte, 64<<10), lineMax)
	h, sum, begun := &History{}, sha256.New(), false
	for in.Scan() {
		before := hex.EncodeToString(sum.Sum(nil))
		sum.Write(in.Bytes())
		sum.Write([]byte{'\n'})
		l, err := readLine(in.Bytes())
		switch {
		case err != nil:
			return nil, err
		case !begun && l.History == nil:
			return nil, fmt.Errorf("%w: it begins otherwise", ErrDamaged)
		case l.End != nil && l.End.Sum != before:
			return nil, fmt.Errorf("%w: its checksum is another one", ErrDamaged)
		case l.End != nil && in.Scan():
			return nil, fmt.Errorf("%w: it has data after its end", ErrDamaged)
		case l.End != nil:
			return h, nil
		}
		begun = true
		h.add(l)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil, fmt.Errorf("%w: it has no end", ErrDamaged)
}

func readLine(text []byte) (l line, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return line{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return line{}, fmt.Errorf("%w: a line has data after its end", ErrDamaged)
	}
	if l.History != nil && l.History.Format != fileFormat {
		return line{}, fmt.Errorf("%w: unknown format %d", ErrDamaged, l.History.Format)
	}
	return l, nil
}

// add adds a line to the history.
func (h *History) add(l line) {
	switch {
	case l.History != nil:
		h.Scope, h.Own, h.Searched, h.SearchLag = l.History.Scope, l.History.Own, l.History.Searched, l.History.SearchLag
	case l.Append != nil:
		h.Appends = append(h.Appends, *l.Append)
	case l.Revision != nil:
		h.Revisions = append(h.Revisions, *l.Revision)
	case l.Followed != nil:
		h.Followed = append(h.Followed, *l.Followed)
	case l.Change != nil:
		h.Feed = append(h.Feed, *l.Change)
	case l.Format != nil:
		h.Formats = append(h.Formats, *l.Format)
	case l.Element != nil:
		h.Elements = append(h.Elements, *l.Element)
	case l.Hit != nil:
		h.Hits = append(h.Hits, *l.Hit)
	case l.Found != nil:
		h.Found = append(h.Found, *l.Found)
	}
}
