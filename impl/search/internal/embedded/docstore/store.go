// Package docstore keeps the documents and schemas of the embedded engine on disk. It is the engine's truth: the index is
// rebuilt from it. One transaction is one fsync; what a committed transaction holds survives the death of the process.
package docstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/fountainai/fountain/internal/tried"
)

// ErrLocked says that another process uses the directory.
var ErrLocked = errors.New("the data directory is used by another process")

const (
	fileName = "typesense.db"
	lockWait = 200 * time.Millisecond
	// format is the layout's version; another one is refused.
	format = "1"
)

var (
	bucketMeta        = []byte("meta")
	bucketCollections = []byte("collections")
	keyFormat         = []byte("format")
	keyProved         = []byte("proved")
	keySchema         = []byte("schema")
	keyDocs           = []byte("docs")
	keyIDs            = []byte("ids")
)

// Store is an open data directory.
type Store struct {
	db   *bbolt.DB
	file os.FileInfo // that is open
}

// Open opens the store in dir and makes it if need be (0700, file 0600). It fails with ErrLocked while another process
// has it open.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	db, err := bbolt.Open(filepath.Join(dir, fileName), 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{db: db}
	if s.file, err = os.Stat(db.Path()); err == nil {
		err = db.Update(s.prepare)
	}
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("prepare store: %w", err)
	}
	return s, nil
}

func (s *Store) prepare(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if v := meta.Get(keyFormat); v != nil && string(v) != format {
		return errors.New("the store was written by another version")
	}
	if err := meta.Put(keyFormat, []byte(format)); err != nil {
		return err
	}
	_, err = tx.CreateBucketIfNotExists(bucketCollections)
	return err
}

// ErrReplaced says that the file of the store was removed or replaced while it was open.
var ErrReplaced = errors.New("the file of the store was removed or replaced")

// update commits what fn did, unless the commit would be lost with a file that is no longer in the directory.
func (s *Store) update(fn func(tx *bbolt.Tx) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		if now, err := os.Stat(s.db.Path()); err != nil || !os.SameFile(now, s.file) {
			return ErrReplaced
		}
		return nil
	})
}

// Prove commits a write.
func (s *Store) Prove() error {
	at := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMicro()))
	err := s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyProved, at) })
	if err != nil {
		return fmt.Errorf("prove that the store can be written to: %w", err)
	}
	return nil
}

// Close ends the use of the directory.
func (s *Store) Close() (err error) {
	defer tried.To(&err, "close store")
	return s.db.Close()
}

// Collection is one collection as stored, in the order of creation.
type Collection struct {
	Key    uint64
	Schema []byte
}

// Collections lists all collections.
func (s *Store) Collections() (_ []Collection, err error) {
	defer tried.To(&err, "read collections")
	var out []Collection
	err = s.db.View(func(tx *bbolt.Tx) error {
		root := tx.Bucket(bucketCollections)
		return root.ForEachBucket(func(k []byte) error {
			out = append(out, Collection{Key: binary.BigEndian.Uint64(k), Schema: append([]byte(nil), root.Bucket(k).Get(keySchema)...)})
			return nil
		})
	})
	return out, err
}

// Create stores a new collection and returns its key.
func (s *Store) Create(schema []byte) (_ uint64, err error) {
	defer tried.To(&err, "create collection")
	var n uint64
	err = s.update(func(tx *bbolt.Tx) error {
		root := tx.Bucket(bucketCollections)
		var err error
		if n, err = root.NextSequence(); err != nil {
			return err
		}
		b, err := root.CreateBucket(number(n))
		if err != nil {
			return err
		}
		for _, name := range [][]byte{keyDocs, keyIDs} {
			if _, err := b.CreateBucket(name); err != nil {
				return err
			}
		}
		return b.Put(keySchema, schema)
	})
	return n, err
}

// Drop removes a collection with its documents.
func (s *Store) Drop(key uint64) (err error) {
	defer tried.To(&err, "drop collection")
	return s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketCollections).DeleteBucket(number(key)) })
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Tx is a view on one collection, for writing inside Write only.
type Tx struct{ root, docs, ids *bbolt.Bucket }

func open(tx *bbolt.Tx, key uint64) (*Tx, error) {
	b := tx.Bucket(bucketCollections).Bucket(number(key))
	if b == nil {
		return nil, ErrNoCollection
	}
	return &Tx{root: b, docs: b.Bucket(keyDocs), ids: b.Bucket(keyIDs)}, nil
}

// ErrNoCollection says that the collection is gone.
var ErrNoCollection = errors.New("no such collection")

// Write runs fn in one transaction; when it returns nil everything is on disk.
func (s *Store) Write(key uint64, fn func(*Tx) error) error {
	return s.update(func(tx *bbolt.Tx) error {
		t, err := open(tx, key)
		if err != nil {
			return err
		}
		return fn(t)
	})
}

// Read runs fn on a snapshot.
func (s *Store) Read(key uint64, fn func(*Tx) error) error {
	return s.db.View(func(tx *bbolt.Tx) error {
		t, err := open(tx, key)
		if err != nil {
			return err
		}
		return fn(t)
	})
}

// Find returns the number of the document with the id.
func (t *Tx) Find(id string) (seq uint64, ok bool) {
	v := t.ids.Get([]byte(id))
	if v == nil {
		return 0, false
	}
	return binary.BigEndian.Uint64(v), true
}

// Get returns a document; the bytes are valid until the transaction ends.
func (t *Tx) Get(seq uint64) []byte { return t.docs.Get(number(seq)) }

// Next gives a new number, counted from 0. A number is never given twice, even if its document is refused.
func (t *Tx) Next() (uint64, error) {
	n, err := t.docs.NextSequence()
	return n - 1, err
}

// Put stores a document under its number.
func (t *Tx) Put(seq uint64, id string, doc []byte) error {
	if err := t.docs.Put(number(seq), doc); err != nil {
		return err
	}
	return t.ids.Put([]byte(id), number(seq))
}

// Delete removes a document.
func (t *Tx) Delete(seq uint64, id string) error {
	if err := t.docs.Delete(number(seq)); err != nil {
		return err
	}
	return t.ids.Delete([]byte(id))
}

// SetSchema replaces the collection's schema.
func (t *Tx) SetSchema(schema []byte) error { return t.root.Put(keySchema, schema) }

// Scan calls fn for up to limit documents from number from on, in order, and returns the number to go on with; done says
// that there are no more. The bytes are valid during the call only.
func (t *Tx) Scan(from uint64, limit int, fn func(seq uint64, doc []byte) error) (next uint64, done bool, err error) {
	c := t.docs.Cursor()
	for k, v := c.Seek(number(from)); k != nil; k, v = c.Next() {
		seq := binary.BigEndian.Uint64(k)
		if limit--; limit < 0 {
			return seq, false, nil
		}
		if err := fn(seq, v); err != nil {
			return seq, false, err
		}
	}
	return 0, true, nil
}
