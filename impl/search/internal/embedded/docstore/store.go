// Package docstore stores the documents and schemas of the embedded engine on disk. It is the authoritative data of the engine: the index
// is built from it. A transaction takes one fsync, and a committed transaction survives the death of the process.
//
// It uses a SQLite database (internal/store). SQLite reports a damaged page as an error, and every document has a checksum. A damaged file
// is therefore an error for its readers, and never ends the process (docs/decisions/0038-segments.md).
package docstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Errors of this package; match them with errors.Is.
var (
	// ErrLocked reports that another process uses the directory.
	ErrLocked = store.ErrLocked
	// ErrDamaged reports that the file is not a store or is damaged. Repair recovers what can be read.
	ErrDamaged = store.ErrDamaged
	// ErrDiskFull reports that the disk had no room for a write. Nothing of it was written, and the next one may succeed.
	ErrDiskFull = store.ErrFull
	// ErrReplaced reports that the file of the store was removed or replaced while it was open.
	ErrReplaced = store.ErrReplaced
	// ErrNoCollection reports that the collection no longer exists.
	ErrNoCollection = errors.New("no such collection")
)

// FileName is the name of the file in the data directory.
const FileName = name + ".db"

const (
	// name is the name of the database: the file is documents.db.
	name     = "documents"
	fileName = FileName
	// proofTime limits one test of whether the store can be written.
	proofTime = 10 * time.Second
)

//go:embed migrations
var migrations embed.FS

// Store is an open data directory.
type Store struct {
	db *store.DB
	// damaged is set when a page or a document was found damaged while the store was open.
	damaged atomic.Bool
	// full is set when a write found the disk full, and cleared when one succeeds.
	full atomic.Bool
}

// Open opens the store in dir, and creates it if needed (mode 0700, files 0600). The store of an earlier release in dir is converted. Open
// fails with ErrLocked while another process has the store open, with ErrDamaged if it is damaged, and with ErrDiskFull.
func Open(dir string, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	if err := whole(dir); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := takeOver(dir, log); err != nil {
		return nil, fmt.Errorf("take over the store of an earlier release: %w", err)
	}
	s, err := openFile(dir, name, log)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

func openFile(dir, name string, log *slog.Logger) (*Store, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	db, err := store.Open(context.Background(), store.Config{Dir: dir, Name: name, Migrations: []fs.FS{files}, Log: log})
	if err != nil {
		return nil, err
	}
	return &Store{db: db}, nil
}

// watch marks the store as damaged if err says so.
func (s *Store) watch(err error) error {
	if errors.Is(err, ErrDamaged) {
		s.damaged.Store(true)
	}
	return err
}

// write runs fn in a transaction, and records whether the store is damaged or the disk full.
func (s *Store) write(fn func(ctx context.Context, tx *store.Tx) error) error {
	err := s.watch(s.db.Write(context.Background(), fn))
	if full := errors.Is(err, ErrDiskFull); full || err == nil {
		s.full.Store(full)
	}
	return err
}

// DiskFull reports whether the last write found the disk full and there is still no room.
func (s *Store) DiskFull() bool { return s.full.Load() && errors.Is(s.Prove(), ErrDiskFull) }

// Prove checks that the store works: it commits a write and reads it back. It fails if anything in the store has been found damaged.
func (s *Store) Prove() error {
	if s.damaged.Load() {
		return ErrDamaged
	}
	ctx, cancel := context.WithTimeout(context.Background(), proofTime)
	defer cancel()
	err := s.watch(s.db.Prove(ctx))
	s.full.Store(errors.Is(err, ErrDiskFull))
	return err
}

// CopyTo writes a consistent copy of the documents to a directory that has none.
func (s *Store) CopyTo(ctx context.Context, dir string) error {
	return s.watch(s.db.CopyTo(ctx, filepath.Join(dir, fileName)))
}

// Close closes the store and releases the directory.
func (s *Store) Close() (err error) {
	defer tried.To(&err, "close store")
	return s.db.Close()
}

// Collection is a stored collection. Keys ascend in the order of creation.
type Collection struct {
	Key    uint64 `db:"key"`
	Schema []byte `db:"schema"`
}

// Collections lists all collections.
func (s *Store) Collections() (out []Collection, err error) {
	defer tried.To(&err, "read collections")
	ctx := context.Background()
	err = s.watch(s.db.Read(ctx).Select(ctx, &out, "SELECT key, schema FROM collections ORDER BY key"))
	return out, err
}

// documents returns the name of the table of a collection.
func documents(key uint64) string { return "documents_" + strconv.FormatUint(key, 10) }

// Create stores a new collection and returns its key.
func (s *Store) Create(schema []byte) (key uint64, err error) {
	defer tried.To(&err, "create collection")
	err = s.write(func(ctx context.Context, tx *store.Tx) error {
		if err := tx.Get(ctx, &key, "UPDATE collection_keys SET next_key = next_key + 1 WHERE id = 1 RETURNING next_key - 1"); err != nil {
			return err
		}
		return create(ctx, tx, Collection{key, schema}, 0)
	})
	return key, err
}

func create(ctx context.Context, tx *store.Tx, c Collection, next uint64) error {
	if _, err := tx.Exec(ctx, "INSERT INTO collections (key, schema, next_number, commits) VALUES (?, ?, ?, 0)", c.Key, c.Schema, next); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, createDocuments(c.Key))
	return err
}

// Drop deletes a collection with its documents.
func (s *Store) Drop(key uint64) (err error) {
	defer tried.To(&err, "drop collection")
	return s.write(func(ctx context.Context, tx *store.Tx) error {
		if n, err := tx.Exec(ctx, "DELETE FROM collections WHERE key = ?", key); err != nil || n == 0 {
			return errors.Join(err, ErrNoCollection)
		}
		if _, err := tx.Exec(ctx, "DELETE FROM changes WHERE collection = ?", key); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DROP TABLE "+documents(key))
		return err
	})
}

// Write runs fn in one transaction. When Write returns nil, everything is on disk.
func (s *Store) Write(key uint64, fn func(*Tx) error) error {
	return s.write(func(ctx context.Context, tx *store.Tx) error {
		t, err := open(ctx, tx, key)
		if err != nil {
			return err
		}
		t.tx = tx
		if err := fn(t); err != nil {
			return errors.Join(t.err, err)
		}
		return t.finish()
	})
}

// Read runs fn on a snapshot.
func (s *Store) Read(key uint64, fn func(*Tx) error) error {
	return s.watch(s.db.View(context.Background(), func(ctx context.Context, q store.Querier) error {
		t, err := open(ctx, q, key)
		if err != nil {
			return err
		}
		err = fn(t)
		return errors.Join(t.err, err)
	}))
}
