package index

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// The manifest lists the segments of the index with their dead documents, and the commit up to which they contain all changes. It is
// replaced atomically by a rename. Files that it does not list are ignored.
const (
	manifestName   = "manifest"
	manifestFormat = 3 // 1 had no places, 2 no vectors
	segmentSuffix  = ".seg"
)

type manifest struct {
	Format int            `json:"format"`
	Commit uint64         `json:"commit"`
	Parts  []manifestPart `json:"parts"`
}

type manifestPart struct {
	File string `json:"file"`
	// Dead is a roaring bitmap in its portable format.
	Dead []byte `json:"dead,omitempty"`
}

// fileNames generates names of segments and remembers the last saved commit. Only the background work uses it.
type fileNames struct {
	last  int
	saved uint64
}

func (n *fileNames) next(dir string) string {
	n.last++
	return filepath.Join(dir, fmt.Sprintf("%08d%s", n.last, segmentSuffix))
}

// save durably writes a manifest of parts that are in files, and then deletes all other segment files.
func (n *fileNames) save(dir string, parts []part, commit uint64) error {
	m := manifest{Format: manifestFormat, Commit: commit}
	named := make(map[string]bool)
	for _, p := range parts {
		entry := manifestPart{File: p.seg.file.name}
		if p.dead != nil {
			var err error
			if entry.Dead, err = p.dead.ToBytes(); err != nil {
				return err
			}
		}
		m.Parts, named[entry.File] = append(m.Parts, entry), true
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	text = fmt.Appendf(append(text, '\n'), "%08x\n", crc32.Checksum(text, castagnoli))
	if err := writeDurably(dir, manifestName, text); err != nil {
		return err
	}
	n.saved = commit
	return removeOthers(dir, named)
}

func writeDurably(dir, name string, text []byte) (err error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeOthers deletes the segments that are not named. A file that is still mapped remains usable until it is unmapped.
func removeOthers(dir string, named map[string]bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), segmentSuffix) && !named[e.Name()] {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// Open reads the index in c.Dir. It fails with fs.ErrNotExist if there is none, and with ErrDamaged if it is damaged. In the latter case
// the caller should Clear it and rebuild it from the documents.
func Open(c Config) (*Segments, error) {
	m, err := readManifest(filepath.Join(c.Dir, manifestName))
	if err != nil {
		return nil, err
	}
	x := New(c)
	var parts []part
	for _, entry := range m.Parts {
		p, last, err := openPart(c.Dir, entry)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
		x.files.last = max(x.files.last, last)
	}
	x.files.saved = m.Commit
	x.view.Store(newView(parts, m.Commit))
	named := make(map[string]bool)
	for _, entry := range m.Parts {
		named[entry.File] = true
	}
	if err := removeOthers(c.Dir, named); err != nil {
		return nil, fmt.Errorf("remove old segments: %w", err)
	}
	return x, nil
}

func readManifest(path string) (m manifest, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	line, sum, _ := bytes.Cut(text, []byte("\n"))
	if string(sum) != fmt.Sprintf("%08x\n", crc32.Checksum(line, castagnoli)) {
		return m, damaged(path, "it has another checksum")
	}
	if err := json.Unmarshal(line, &m); err != nil || m.Format != manifestFormat {
		return m, damaged(path, "it is of another release")
	}
	return m, nil
}

func openPart(dir string, entry manifestPart) (p part, number int, err error) {
	number, err = strconv.Atoi(strings.TrimSuffix(entry.File, segmentSuffix))
	if err != nil || entry.File != filepath.Base(entry.File) {
		return p, 0, damaged(manifestName, "it names a file that is not a segment")
	}
	if p.seg, err = openSegment(filepath.Join(dir, entry.File)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = damaged(entry.File, "it is missing")
		}
		return p, 0, err
	}
	if len(entry.Dead) == 0 {
		return p, number, nil
	}
	p.dead = roaring.New()
	if err := p.dead.UnmarshalBinary(entry.Dead); err != nil || !p.dead.IsEmpty() && int(p.dead.Maximum()) >= p.seg.n {
		return p, 0, damaged(entry.File, "its dead documents can't be read")
	}
	return p, number, nil
}

// Clear deletes the index in a directory and creates the directory if needed.
func Clear(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove index: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make directory of the index: %w", err)
	}
	return nil
}

// Rebuild returns an empty index for the caller to fill with all documents. It is saved only after Complete was called.
func Rebuild(c Config) (*Segments, error) {
	if c.Dir != "" {
		if err := Clear(c.Dir); err != nil {
			return nil, err
		}
	}
	x := New(c)
	x.complete = false
	return x, nil
}
