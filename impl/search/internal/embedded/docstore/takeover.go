package docstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/fountainai/fountain/internal/store"
)

const (
	// oldFile is the store of releases up to 0.1, a bbolt file. After the conversion it is kept as oldFile+".old".
	oldFile = "typesense.db"
	oldWait = 200 * time.Millisecond
)

// takeOver converts the store of an earlier release. It is all or nothing: the copy gets its final name when it is complete.
func takeOver(dir string, log *slog.Logger) (err error) {
	old := filepath.Join(dir, oldFile)
	if _, err := os.Stat(old); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, fileName)); err == nil { // after a crash between the two renames
		return os.Rename(old, old+".old")
	}
	const copyName = name + "-new"
	if err := removeFiles(dir, copyName); err != nil {
		return err
	}
	s, err := openFile(dir, copyName, log)
	if err != nil {
		return err
	}
	if err := errors.Join(s.copyOld(old), s.Close()); err != nil {
		return err
	}
	if err := rename(dir, copyName, name); err != nil {
		return err
	}
	return os.Rename(old, old+".old")
}

// copyOld copies the documents from a bbolt file. bbolt panics over damaged pages. When the file is opened read-only, it panics only in
// this goroutine.
func (s *Store) copyOld(path string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: oldWait, ReadOnly: true})
	if errors.Is(err, berrors.ErrTimeout) {
		return ErrLocked
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer db.Close()
	return db.View(func(from *bbolt.Tx) error {
		root := from.Bucket([]byte("collections"))
		if root == nil {
			return nil
		}
		return s.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			last := root.Sequence()
			if _, err := tx.Exec(ctx, "UPDATE collection_keys SET next_key = ? WHERE id = 1", last+1); err != nil {
				return err
			}
			return root.ForEachBucket(func(k []byte) error { return copyBucket(ctx, tx, binary.BigEndian.Uint64(k), root.Bucket(k)) })
		})
	})
}

func copyBucket(ctx context.Context, tx *store.Tx, key uint64, from *bbolt.Bucket) error {
	docs := from.Bucket([]byte("docs"))
	if err := create(ctx, tx, Collection{key, bytes.Clone(from.Get([]byte("schema")))}, docs.Sequence()); err != nil {
		return err
	}
	t, err := open(ctx, tx, key)
	if err != nil {
		return err
	}
	t.tx = tx
	return errors.Join(from.Bucket([]byte("ids")).ForEach(func(id, seq []byte) error {
		n := binary.BigEndian.Uint64(seq)
		return t.Put(n, string(id), bytes.Clone(docs.Get(seq)))
	}), t.finish())
}

// besides lists the suffixes of a database's files, including those of SQLite and the lock.
var besides = []string{".db", ".db-wal", ".db-shm", ".lock"}

func removeFiles(dir, name string) error {
	for _, suffix := range besides {
		if err := os.RemoveAll(filepath.Join(dir, name+suffix)); err != nil {
			return err
		}
	}
	return nil
}

// rename renames a closed database, which has no other files than the lock.
func rename(dir, from, to string) error {
	if err := os.Rename(filepath.Join(dir, from+".db"), filepath.Join(dir, to+".db")); err != nil {
		return err
	}
	if err := removeFiles(dir, from); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes renames in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
