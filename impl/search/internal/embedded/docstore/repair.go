package docstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/fountainai/fountain/internal/store"
)

// Repaired reports what a repair recovered.
type Repaired struct {
	Collections, Documents int
	// Broken is the number of documents that were found but could not be read. Documents below a damaged page in an upper level of the file
	// are not found, so that this is a minimum of what was lost.
	Broken int
	// Kept is the path of the damaged file after the repair. It is "" if there was no file and nothing was done.
	Kept string
}

// repairedName is the name of the database that a repair writes. When it is complete, the damaged file is moved away and the new one takes
// its place.
const repairedName = name + "-repaired"

// Repair creates a new store from what can be read of the one in dir, and keeps the old file beside it. If an earlier repair was
// interrupted, its result is put in place. Repair fails with ErrLocked while a process has the store open. It fails with ErrDamaged,
// without any change, if not even the list of collections can be read.
func Repair(dir string, log *slog.Logger) (Repaired, error) {
	var r Repaired
	path := filepath.Join(dir, fileName)
	there, err := exists(path)
	if err != nil {
		return r, fmt.Errorf("repair store: %w", err)
	}
	if !there && whole(dir) == nil {
		return r, nil
	}
	unlock, err := lock(filepath.Join(dir, name+".lock"))
	if err != nil {
		return r, fmt.Errorf("repair store: %w", err)
	}
	defer unlock()
	if there, err = exists(path); err != nil { // another repair may have finished in the meantime
		return r, fmt.Errorf("repair store: %w", err)
	}
	if there {
		if err = removeFiles(dir, repairedName); err == nil {
			err = r.copyReadable(dir, path, repairedName, log)
		}
	} else {
		err = r.count(dir, log)
	}
	if err != nil {
		return r, fmt.Errorf("repair store: %w", err)
	}
	if r.Kept, err = replace(dir, path); err != nil {
		return r, fmt.Errorf("put the repaired store in place: %w", err)
	}
	return r, nil
}

// replace moves the files of the damaged store to a name that no earlier repair has used, and the repaired one into their place. The
// write-ahead log is moved too; otherwise it would be taken for that of the repaired store.
func replace(dir, path string) (kept string, err error) {
	kept = path + ".damaged"
	for n := 2; ; n++ {
		taken := false
		for _, suffix := range []string{"", "-wal", "-shm"} {
			there, err := exists(kept + suffix)
			if err != nil {
				return "", err
			}
			taken = taken || there
		}
		if !taken {
			break
		}
		kept = fmt.Sprintf("%s.damaged.%d", path, n)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, kept+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return kept, rename(dir, repairedName, name)
}

// whole refuses a directory in which a repair was interrupted, or whose repaired documents are missing. An empty store in their place would
// hide the loss.
func whole(dir string) error {
	if there, err := exists(filepath.Join(dir, fileName)); err != nil || there {
		return err
	}
	if there, err := exists(filepath.Join(dir, repairedName+".db")); err != nil || there {
		return errors.Join(err, fmt.Errorf("%w: %s is missing, and %s.db of an interrupted repair is there: repair again", ErrDamaged, fileName, repairedName))
	}
	if there, err := exists(filepath.Join(dir, fileName+".damaged")); err != nil || there {
		return errors.Join(err, fmt.Errorf("%w: %s is missing, and %[2]s.damaged is there: bring %[2]s back, or move the other away to begin without documents",
			ErrDamaged, fileName))
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// count counts what an interrupted repair has recovered. The number of broken documents is no longer known.
func (r *Repaired) count(dir string, log *slog.Logger) error {
	if there, err := exists(filepath.Join(dir, repairedName+".db")); err != nil || !there {
		return errors.Join(err, cmp.Or(whole(dir), fs.ErrNotExist))
	}
	s, err := openFile(dir, repairedName, log)
	if err != nil {
		return err
	}
	list, err := s.Collections()
	for _, c := range list {
		n := 0
		ctx := context.Background()
		err = errors.Join(err, s.db.Read(ctx).Get(ctx, &n, "SELECT count(*) FROM "+documents(c.Key)))
		r.Collections, r.Documents = r.Collections+1, r.Documents+n
	}
	return errors.Join(err, s.Close())
}

// lock takes the same lock as internal/store.
func lock(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(ErrLocked, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

func (r *Repaired) copyReadable(dir, path, copyName string, log *slog.Logger) error {
	address := url.URL{Scheme: "file", Path: path, RawQuery: "_pragma=query_only(1)"}
	from, err := sql.Open("sqlite", address.String())
	if err != nil {
		return err
	}
	defer from.Close()
	from.SetMaxOpenConns(1)
	to, err := openFile(dir, copyName, log)
	if err != nil {
		return err
	}
	err = to.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error { return r.salvage(ctx, from, tx) })
	return errors.Join(err, to.Close())
}

// salvage copies every listed collection.
func (r *Repaired) salvage(ctx context.Context, from *sql.DB, tx *store.Tx) error {
	list, next, err := listed(ctx, from)
	if len(list) == 0 && err != nil {
		return fmt.Errorf("%w: the list of collections can't be read: %w", ErrDamaged, err)
	}
	highest := uint64(0)
	for i, c := range list {
		if err := create(ctx, tx, c, next[i]); err != nil {
			return err
		}
		t, err := open(ctx, tx, c.Key)
		if err != nil {
			return err
		}
		t.tx = tx
		if err := r.documents(ctx, from, t); err != nil {
			return err
		}
		r.Collections, highest = r.Collections+1, max(highest, c.Key)
	}
	_, err = tx.Exec(ctx, "UPDATE collection_keys SET next_key = ? WHERE id = 1", highest+1)
	return err
}

// listed reads the list of collections as far as it is readable.
func listed(ctx context.Context, from *sql.DB) (list []Collection, next []uint64, err error) {
	rows, err := from.QueryContext(ctx, "SELECT key, schema, next_number FROM collections ORDER BY key")
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c Collection
		var n uint64
		if err := rows.Scan(&c.Key, &c.Schema, &n); err != nil {
			return list, next, err
		}
		list, next = append(list, c), append(next, n)
	}
	return list, next, rows.Err()
}

// documents copies a collection's documents. It reads forward from the first and backward from the last until a page can't be read, and
// then the documents in between one by one by their numbers.
func (r *Repaired) documents(ctx context.Context, from *sql.DB, t *Tx) error {
	begin, end := uint64(0), t.next // documents in [begin, end) are still to be read
	keep := func(found row) error {
		if found.check() != nil {
			r.Broken++
			return nil
		}
		if _, taken := t.Find(found.ID); taken {
			r.Broken++
			return nil
		}
		r.Documents++
		t.next = max(t.next, found.Number+1)
		return t.Put(found.Number, found.ID, found.Document)
	}
	table := "SELECT number, id, sum, document FROM " + t.table
	whole, err := each(ctx, from, table+" ORDER BY number", func(found row) error {
		begin = found.Number + 1
		return keep(found)
	})
	if err != nil || whole {
		return errors.Join(err, t.finish())
	}
	if _, err = each(ctx, from, table+" WHERE number >= ? ORDER BY number DESC", func(found row) error {
		end = found.Number
		return keep(found)
	}, begin); err != nil {
		return err
	}
	for n := begin; n < end; n++ {
		readable, err := each(ctx, from, table+" WHERE number = ?", keep, n)
		if err != nil {
			return err
		}
		if !readable {
			r.Broken++
		}
	}
	return t.finish()
}

// each calls do for the rows of a query, and reports whether all could be read. The error is that of do.
func each(ctx context.Context, from *sql.DB, query string, do func(row) error, args ...any) (whole bool, err error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return false, nil
	}
	defer rows.Close()
	for rows.Next() {
		var found row
		if rows.Scan(&found.Number, &found.ID, &found.Sum, &found.Document) != nil {
			return false, nil
		}
		if err := do(found); err != nil {
			return false, err
		}
	}
	return rows.Err() == nil, nil
}
