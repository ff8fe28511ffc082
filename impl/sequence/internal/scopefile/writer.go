package scopefile

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// Writer writes a scope. The caller writes elements in the order that Reader requires, each followed by its versions, and then calls Close.
type Writer struct {
	out  *bufio.Writer
	sum  hash.Hash
	done Sum
}

// NewWriter returns a Writer, and writes the first line.
func NewWriter(w io.Writer, scope string) (*Writer, error) {
	out := &Writer{out: bufio.NewWriterSize(w, 64<<10), sum: sha256.New()}
	return out, out.line(line{Export: &header{Format: format, Scope: scope}})
}

// Format writes the number format of a type. The first element of the type must follow.
func (w *Writer) Format(f domain.Format) error {
	return w.line(line{Format: &formatLine{
		ElementType: f.ElementType, Prefix: f.Prefix, Padding: f.Padding, Resets: f.Reset, TimeZone: f.TimeZone, Period: f.Period, Last: f.Last,
	}})
}

// Element writes an element, without its versions.
func (w *Writer) Element(e domain.Element) error {
	w.done.Elements++
	return w.line(line{Element: &elementLine{
		ElementType: e.ElementType, ID: e.ID, Number: e.Number, Formatted: e.Formatted, Status: e.Status, Version: e.Version, CreatedAt: e.CreatedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(),
	}})
}

// Version writes a version of the element before.
func (w *Writer) Version(v domain.Version) error {
	w.done.Versions++
	return w.line(line{Version: &versionLine{Version: v.Version, Comment: v.Comment, Data: v.Data, CreatedAt: v.CreatedAt.UTC(), CreatedBy: v.CreatedBy}})
}

// Close writes the last line and flushes. It does not close the underlying writer.
func (w *Writer) Close() error {
	last := &checksumLine{Elements: w.done.Elements, Versions: w.done.Versions, SHA256: hex.EncodeToString(w.sum.Sum(nil))}
	if err := w.line(line{Checksum: last}); err != nil {
		return err
	}
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write last line: %w", err)
	}
	return nil
}

func (w *Writer) line(l line) error {
	encoder := json.NewEncoder(io.MultiWriter(w.out, w.sum))
	encoder.SetEscapeHTML(false) // the callers' data stay unchanged
	if err := encoder.Encode(l); err != nil {
		return fmt.Errorf("write line: %w", err)
	}
	return nil
}
