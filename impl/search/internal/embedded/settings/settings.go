// Package settings stores everything of an engine other than documents: aliases, API keys, presets, stopwords, synonyms, curation and
// analytics rules. They are few and change rarely, so all are in one file, which each change replaces.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// FileName is the name of the file in its directory. Each change replaces the whole file.
const FileName = fileName

const (
	fileName = "settings.json"
	format   = 1
	// temporary is the suffix of temporary files.
	temporary = ".tmp"
)

// Limits; a change beyond one fails with ErrFull.
const (
	MaxRecordBytes = 1 << 20
	MaxBytes       = 32 << 20
	// MaxLargeBytes limits a record of KindStemming.
	MaxLargeBytes = 8 << 20
)

// KindStemming is the kind of stemming dictionaries, whose records may be large.
const KindStemming = "stemming"

var (
	// ErrFull reports that a limit is reached.
	ErrFull = errors.New("no room for more settings")
	// ErrDamaged reports that the file is not as it was written.
	ErrDamaged = errors.New("the file settings.json is damaged: restore it from a copy, or remove it to begin without settings")
)

// records are the settings of one kind by name.
type records map[string]json.RawMessage

// Store holds the settings of one data directory. Reads take no lock. It is safe for concurrent use.
type Store struct {
	path    string
	sync    func(dir string) error // of a directory
	writing sync.Mutex
	now     atomic.Pointer[snapshot]
}

// snapshot is immutable.
type snapshot struct {
	kinds      map[string]records
	generation uint64
}

type file struct {
	Format int                `json:"format"`
	Kinds  map[string]records `json:"kinds"`
}

// Open reads the settings in dir, which must exist. Without a file there are no settings. Temporary files that a crash left behind are
// deleted, because they contain keys.
func Open(dir string) (*Store, error) {
	s := &Store{path: filepath.Join(dir, fileName), sync: SyncDir}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read directory of the settings: %w", err)
	}
	for _, e := range entries {
		if middle, ok := strings.CutPrefix(e.Name(), fileName+"."); ok && strings.HasSuffix(middle, temporary) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("remove settings that were not written to the end: %w", err)
			}
		}
	}
	first := &snapshot{kinds: map[string]records{}}
	s.now.Store(first)
	body, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	var f file
	if json.Unmarshal(body, &f) != nil || f.Format != format {
		return nil, ErrDamaged
	}
	if f.Kinds != nil {
		first.kinds = f.Kinds
	}
	return s, nil
}

// Generation returns a number that grows with each change. Data derived from the settings is valid for one generation.
func (s *Store) Generation() uint64 { return s.now.Load().generation }

// Get returns the record of a kind with the name.
func (s *Store) Get(kind, name string) (json.RawMessage, bool) {
	body, ok := s.now.Load().kinds[kind][name]
	return body, ok
}

// Record is one setting.
type Record struct {
	Name string
	Body json.RawMessage
}

// List returns the records of a kind, sorted by name.
func (s *Store) List(kind string) []Record {
	list := s.now.Load().kinds[kind]
	out := make([]Record, 0, len(list))
	for _, name := range slices.Sorted(maps.Keys(list)) {
		out = append(out, Record{name, list[name]})
	}
	return out
}

// Change is a modified copy of the settings, passed to the callback of Update.
type Change struct{ kinds map[string]records }

// Get returns a record.
func (c *Change) Get(kind, name string) (json.RawMessage, bool) {
	body, ok := c.kinds[kind][name]
	return body, ok
}

// Put sets a record.
func (c *Change) Put(kind, name string, body json.RawMessage) {
	list := maps.Clone(c.kinds[kind])
	if list == nil {
		list = records{}
	}
	list[name] = body
	c.kinds[kind] = list
}

// Delete deletes a record and reports whether it existed.
func (c *Change) Delete(kind, name string) bool {
	if _, ok := c.kinds[kind][name]; !ok {
		return false
	}
	list := maps.Clone(c.kinds[kind])
	delete(list, name)
	c.kinds[kind] = list
	return true
}

// DeleteAll deletes all records of a kind.
func (c *Change) DeleteAll(kind string) { delete(c.kinds, kind) }

// CopyAll copies the records of one kind to another.
func (c *Change) CopyAll(from, to string) {
	if list, ok := c.kinds[from]; ok {
		c.kinds[to] = list
	}
}

// Names returns the names of a kind's records, sorted.
func (c *Change) Names(kind string) []string { return slices.Sorted(maps.Keys(c.kinds[kind])) }

// Update makes a change durable and then visible. If do returns an error, Update returns it unchanged and nothing is changed. If the file
// is written and only the sync of its directory fails, an error is returned although the change is visible, as it will be after the next
// start.
func (s *Store) Update(do func(*Change) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	old := s.now.Load()
	c := &Change{kinds: maps.Clone(old.kinds)}
	if err := do(c); err != nil {
		return err
	}
	for kind, list := range c.kinds {
		if len(list) == 0 {
			delete(c.kinds, kind)
		}
		for _, body := range list {
			if len(body) > MaxRecordBytes && (kind != KindStemming || len(body) > MaxLargeBytes) {
				return ErrFull
			}
		}
	}
	body, err := render(file{Format: format, Kinds: c.kinds})
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	if len(body) > MaxBytes {
		return ErrFull
	}
	if err := s.write(body); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	s.now.Store(&snapshot{kinds: c.kinds, generation: old.generation + 1})
	if err := s.sync(filepath.Dir(s.path)); err != nil {
		return fmt.Errorf("make settings durable: %w", err)
	}
	return nil
}

// Copy writes the settings to another directory and calls do. No change is made until do returns.
func (s *Store) Copy(dir string, do func() error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	body, err := render(file{Format: format, Kinds: s.now.Load().kinds})
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	if err := (&Store{path: filepath.Join(dir, fileName)}).write(body); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return do()
}

func render(f file) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(f)
	return b.Bytes(), err
}

// write replaces the file atomically: after a crash there is either the old or the new one.
func (s *Store) write(body []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(s.path), fileName+".*"+temporary) // its mode is 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(body)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), s.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// SyncDir makes the entries of a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Kind combines a kind with the collection to which its records belong.
func Kind(kind, collection string) string {
	return kind + "/" + strings.ReplaceAll(collection, "/", "%2F")
}
