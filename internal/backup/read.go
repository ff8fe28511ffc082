package backup

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"

	"github.com/fountainai/fountain/internal/store"
)

// maxEntry bounds one entry of an archive: a chunk, which may exceed its size by the longest row.
const maxEntry = chunk + 2*maxValue

// maxManifest bounds the entries that are read into memory, in bytes.
const maxManifest = 64 << 20

// reader reads an archive sequentially.
type reader struct {
	Manifest Manifest
	plain    io.Reader // the decrypted stream
	zip      *gzip.Reader
	tar      *tar.Reader
	next     *tar.Header // nil: the end of the archive
	sums     []Sum
}

func newReader(in io.Reader, identities []age.Identity) (*reader, error) {
	plain, err := age.Decrypt(in, identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, ErrWrongKey
	}
	if err != nil {
		return nil, damaged("it does not begin as an age file", err)
	}
	r := &reader{plain: plain}
	if r.zip, err = gzip.NewReader(plain); err != nil {
		return nil, damaged("it does not unpack", err)
	}
	r.tar = tar.NewReader(r.zip)
	if err := r.advance(); err != nil {
		return nil, err
	}
	if err := r.json("manifest.json", &r.Manifest); err != nil {
		return nil, err
	}
	return r, r.Manifest.valid()
}

// valid refuses a manifest that this program cannot restore.
func (m Manifest) valid() error {
	if m.Format > format {
		return ErrNewer
	}
	names := map[string]bool{}
	for _, p := range m.Parts {
		if names[p.Name] {
			return damaged("its manifest names a part twice", nil)
		}
		names[p.Name] = true
	}
	if m.Format < 1 || m.ID == "" || len(m.Parts) == 0 {
		return damaged("its manifest is not complete", nil)
	}
	return nil
}

// advance goes to the next entry.
func (r *reader) advance() error {
	next, err := r.tar.Next()
	if errors.Is(err, io.EOF) {
		r.next = nil
		return nil
	}
	if err != nil {
		return damaged("it can't be read completely", err)
	}
	if next.Typeflag != tar.TypeReg || next.Size > maxEntry {
		return damaged("it has an entry of another kind", nil)
	}
	r.next = next
	return nil
}

func (r *reader) at(name string) bool { return r.next != nil && r.next.Name == name }

// whole reads the entry with this name and goes on to the next.
func (r *reader) whole(name string, most int64) ([]byte, error) {
	if !r.at(name) {
		return nil, damaged(name+" is not where it must be", nil)
	}
	if r.next.Size > most {
		return nil, damaged(name+" is too large", nil)
	}
	var body bytes.Buffer
	if _, err := io.Copy(&body, r.tar); err != nil {
		return nil, damaged(name+" can't be read", err)
	}
	return body.Bytes(), r.advance()
}

func (r *reader) json(name string, into any) error {
	body, err := r.whole(name, maxManifest)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return damaged(name+" can't be read", err)
	}
	return nil
}

// sink receives the content of a part. Either func may be nil.
type sink struct {
	table func(t store.CopiedTable) (row func(row []any) error, end func() error, err error)
	file  func(name string, body []byte) error
}

// part reads one part.
func (r *reader) part(c Copy, to sink) error {
	for _, t := range c.Tables {
		row, end := func([]any) error { return nil }, func() error { return nil }
		if to.table != nil {
			var err error
			if row, end, err = to.table(t); err != nil {
				return err
			}
		}
		if err := r.table(c.Name, t, row); err != nil {
			return err
		}
		if err := end(); err != nil {
			return err
		}
	}
	for _, name := range c.Files {
		body, err := r.whole(fileEntry(c.Name, name), maxFile)
		if err != nil {
			return err
		}
		sum := newSummer(c.Name, "files/"+name)
		sum.add(body)
		r.sums = append(r.sums, sum.end())
		if to.file != nil {
			if err := to.file(name, body); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) table(part string, t store.CopiedTable, do func(row []any) error) error {
	sum := newSummer(part, "rows/"+t.Name)
	for n := 1; r.at(rowsEntry(part, t.Name, n)); n++ {
		in := bufio.NewReaderSize(io.TeeReader(r.tar, sum.hash), 64<<10)
		sum.Bytes += r.next.Size
		for {
			row, err := readRow(in)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return damaged(fmt.Sprintf("rows of %s of %s can't be read", t.Name, part), err)
			}
			if len(row) != len(t.Columns) {
				return damaged(fmt.Sprintf("rows of %s of %s have other columns", t.Name, part), nil)
			}
			sum.Rows++
			if err := do(row); err != nil {
				return err
			}
		}
		if err := r.advance(); err != nil {
			return err
		}
	}
	r.sums = append(r.sums, sum.end())
	return nil
}

// end reads the checksums, compares them with those of the content, and checks that nothing follows.
func (r *reader) end() error {
	var sums []Sum
	if err := r.json("sums.json", &sums); err != nil {
		return err
	}
	if !slices.Equal(sums, r.sums) {
		return damaged("its checksums are of something else", nil)
	}
	if r.next != nil {
		return damaged("something follows its end", nil)
	}
	for _, layer := range []io.Reader{r.zip, r.plain} { // reading to their ends detects a truncation
		n, err := io.Copy(io.Discard, layer)
		if err != nil || layer == r.plain && n > 0 {
			return damaged("it has no whole end", err)
		}
	}
	return nil
}

// Verify reads a whole archive and checks that it can be decrypted and that all content has its checksum.
func Verify(in io.Reader, identities []age.Identity) (Manifest, []Sum, error) {
	r, err := newReader(in, identities)
	if err != nil {
		return Manifest{}, nil, err
	}
	for _, c := range r.Manifest.Parts {
		if err := r.part(c, sink{}); err != nil {
			return r.Manifest, nil, err
		}
	}
	return r.Manifest, r.sums, r.end()
}
