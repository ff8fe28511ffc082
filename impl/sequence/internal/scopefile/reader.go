package scopefile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// Fault says which line is not valid, and why. The reason contains nothing of the file.
type Fault struct {
	Line int    // from 1
	Rule string // name of the broken rule
	Why  string
}

func (f *Fault) Error() string { return fmt.Sprintf("line %d %s", f.Line, f.Why) }

// Item is a number format, an element, or a version of the element before. One of the first three fields is set.
type Item struct {
	Format  *domain.Format  // of the type whose first element is next
	Element *domain.Element // without scope and data
	Version *domain.Version
	Last    bool // the version is the element's current one, and its last one in the file
}

// Reader reads a scope line by line, and checks that each line may follow the one before. Types are in the order of their names, the elements of a type have the numbers 1, 2, 3 ..., and
// each element is followed by its versions 1, 2, 3 ... up to the current one. So the items have no gap. Reader holds one line at a time.
type Reader struct {
	in      *bufio.Reader
	sum     hash.Hash
	n       int            // lines read
	current domain.Element // the last element
	version int64          // the last version of it
	format  *domain.Format // of the type of the last element, or of the next one; nil: none
	done    Sum
}

// NewReader returns a Reader for a file.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, MaxLine), sum: sha256.New()}
}

// Next returns the next item. It returns io.EOF when the checksum and the counts of the last line are right and nothing follows it; Sum then has them. Other errors: *Fault, or the error of reading
// the file.
func (r *Reader) Next() (Item, error) {
	for {
		text, err := r.read()
		if err != nil {
			return Item{}, err
		}
		l, err := r.decode(text)
		if err != nil {
			return Item{}, err
		}
		if l.Checksum != nil {
			return Item{}, r.end(l.Checksum)
		}
		r.sum.Write(text)
		switch {
		case r.n == 1:
			if l.Export == nil || l.Export.Format != format {
				return Item{}, r.fault("first", "is not the first line of an export of this format")
			}
		case l.Format != nil:
			return r.formatOf(l.Format)
		case l.Element != nil:
			return r.element(l.Element)
		case l.Version != nil:
			return r.versionOf(l.Version)
		default:
			return Item{}, r.fault("order", "is allowed only at the beginning")
		}
	}
}

// Sum returns the verified content of the last line, once Next has returned io.EOF.
func (r *Reader) Sum() Sum { return r.done }

func (r *Reader) fault(rule, why string) error { return &Fault{Line: r.n, Rule: rule, Why: why} }

// read returns the next line with its line end. A file that ends before its last line is a *Fault.
func (r *Reader) read() ([]byte, error) {
	r.n++
	text, err := r.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, r.fault("maxBytes", fmt.Sprintf("is longer than %d bytes", MaxLine))
	case errors.Is(err, io.EOF) && len(text) == 0:
		return nil, r.fault("cut", "is missing: the file has no last line")
	case err != nil && !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read line: %w", err)
	}
	return text, nil
}

func (r *Reader) decode(text []byte) (line, error) {
	var l line
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return l, r.fault("line", "is not a line of an export")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return l, r.fault("line", "is more than one line of an export")
	}
	return l, nil
}

func (r *Reader) element(e *elementLine) (Item, error) {
	last := r.current
	next := last.ElementType == e.ElementType && e.Number == last.Number+1 || last.ElementType < e.ElementType && e.Number == 1
	switch {
	case r.version != last.Version:
		return Item{}, r.fault("versions", "comes before all versions of the element before")
	case !next || e.Number > domain.MaxNumber || e.ElementType == "" || e.ID == "":
		return Item{}, r.fault("number", "does not have the number that follows: types in order of their names, in each 1, 2, 3 without a gap")
	case e.Version < 1 || e.Status != domain.Active && e.Status != domain.Omitted || !kept(e.CreatedAt, e.UpdatedAt):
		return Item{}, r.fault("element", "has a version, a status or a time that no element has")
	}
	if r.format != nil && r.format.ElementType != e.ElementType {
		if r.format.ElementType != last.ElementType {
			return Item{}, r.fault("numberFormat", "does not have the type of the number format before")
		}
		r.format = nil
	}
	if e.Formatted != "" && (r.format == nil || !r.format.Gave(e.Formatted)) {
		return Item{}, r.fault("formattedNumber", "has a formatted number that the format of its type has not assigned")
	}
	r.current = domain.Element{
		Ref: domain.Ref{Group: domain.Group{ElementType: e.ElementType}, ID: e.ID}, Number: e.Number, Formatted: e.Formatted, Status: e.Status, Version: e.Version,
		CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
	}
	r.version = 0
	r.done.Elements++
	return Item{Element: new(r.current)}, nil
}

func (r *Reader) formatOf(f *formatLine) (Item, error) {
	format := domain.Format{
		Group: domain.Group{ElementType: f.ElementType}, Prefix: f.Prefix, Padding: f.Padding, Reset: f.Resets, TimeZone: f.TimeZone, Period: f.Period, Last: f.Last,
	}
	switch {
	case r.version != r.current.Version:
		return Item{}, r.fault("versions", "comes before all versions of the element before")
	case f.ElementType <= r.current.ElementType || r.format != nil && r.format.ElementType != r.current.ElementType:
		return Item{}, r.fault("order", "is not the number format of the type that follows")
	case format.Check() != nil || f.Last < 0 || f.Last > domain.MaxNumber || f.Last > 0 && !format.Gave(format.Text(f.Period, f.Last)) || f.Last == 0 && f.Period != "":
		return Item{}, r.fault("numberFormat", "is not a number format")
	}
	r.format = &format
	return Item{Format: &format}, nil
}

func (r *Reader) versionOf(v *versionLine) (Item, error) {
	switch {
	case v.Version != r.version+1 || v.Version > r.current.Version:
		return Item{}, r.fault("version", "is not the next version of the element before")
	case len(v.Data) == 0 || v.Data[0] != '{' || len(v.Data) > domain.MaxData:
		return Item{}, r.fault("data", fmt.Sprintf("has data that is not a JSON object of at most %d bytes", domain.MaxData))
	case v.CreatedBy == "" || !kept(v.CreatedAt):
		return Item{}, r.fault("version", "has an author or a time that no version has")
	}
	r.version++
	r.done.Versions++
	return Item{
		Version: &domain.Version{Version: v.Version, Comment: v.Comment, Data: v.Data, CreatedAt: v.CreatedAt, CreatedBy: v.CreatedBy},
		Last:    v.Version == r.current.Version,
	}, nil
}

// kept reports whether the times can be stored without loss, in microseconds, and be exported again, in UTC.
func kept(times ...time.Time) bool {
	for _, t := range times {
		if year := t.UTC().Year(); t.Nanosecond()%1000 != 0 || year < 1 || year > 9999 {
			return false
		}
	}
	return true
}

// end verifies the last line and that nothing follows it. It returns io.EOF or an error.
func (r *Reader) end(last *checksumLine) error {
	r.done.SHA256 = hex.EncodeToString(r.sum.Sum(nil))
	switch {
	case r.version != r.current.Version:
		return r.fault("versions", "comes before all versions of the element before")
	case r.format != nil && r.format.ElementType != r.current.ElementType:
		return r.fault("order", "comes before the elements of a number format")
	case r.done.Elements == 0:
		return r.fault("empty", "comes before any element")
	case subtle.ConstantTimeCompare([]byte(last.SHA256), []byte(r.done.SHA256)) != 1:
		return r.fault("sha256", "does not have the checksum of the lines before")
	case last.Elements != r.done.Elements || last.Versions != r.done.Versions:
		return r.fault("count", "does not have the number of elements or versions before")
	}
	r.n++
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return fmt.Errorf("read after the last line: %w", err)
		}
		return r.fault("order", "follows the last line")
	}
	return io.EOF
}
