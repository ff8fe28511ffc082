package docstore

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/internal/store"
)

var quiet = slog.New(slog.DiscardHandler)

func opened(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, quiet)
	require.NoError(t, err)
	return s
}

// filled creates a store with a collection of n documents and closes it.
func filled(t testing.TB, dir string, n int) (key uint64) {
	t.Helper()
	s := opened(t, dir)
	key, err := s.Create([]byte("schema"))
	require.NoError(t, err)
	require.NoError(t, s.Write(key, func(tx *Tx) error {
		for i := range n {
			seq, err := tx.Next()
			require.NoError(t, err)
			require.NoError(t, tx.Put(seq, fmt.Sprint("id", i), document(i)))
		}
		return nil
	}))
	require.NoError(t, s.Close())
	return key
}

func document(i int) []byte { return bytes.Repeat(fmt.Append(nil, "document ", i, " "), 20) }

func TestWrite_behavesLikeAMap(t *testing.T) {
	s := opened(t, t.TempDir())
	defer s.Close()
	rapid.Check(t, func(t *rapid.T) {
		key, err := s.Create([]byte("x"))
		require.NoError(t, err)
		docs, numbers := map[string]string{}, map[string]uint64{}
		for range rapid.IntRange(1, 4).Draw(t, "transactions") {
			require.NoError(t, s.Write(key, func(tx *Tx) error {
				for range rapid.IntRange(0, 100).Draw(t, "writes") {
					id := fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "id"))
					seq, known := tx.Find(id)
					require.Equal(t, docs[id] != "", known)
					switch {
					case !known:
						seq, err = tx.Next()
						require.NoError(t, err)
					case rapid.IntRange(0, 3).Draw(t, "delete") == 0:
						require.Equal(t, docs[id], string(tx.Get(seq)))
						require.NoError(t, tx.Delete(seq, id))
						delete(docs, id)
						continue
					}
					docs[id], numbers[id] = rapid.StringN(1, 20, 80).Draw(t, "doc"), seq
					require.NoError(t, tx.Put(seq, id, []byte(docs[id])))
				}
				return nil
			}))
		}
		seen := 0
		require.NoError(t, s.Read(key, func(tx *Tx) error {
			for from, done := uint64(0), false; !done; {
				from, done, err = tx.Scan(from, 7, func(seq uint64, doc []byte) error { seen++; return nil })
				require.NoError(t, err)
			}
			for id, doc := range docs {
				seq, ok := tx.Find(id)
				require.True(t, ok)
				require.Equal(t, numbers[id], seq)
				require.Equal(t, doc, string(tx.Get(seq)))
			}
			return nil
		}))
		require.Equal(t, len(docs), seen)
		require.NoError(t, s.Drop(key))
		require.ErrorIs(t, s.Read(key, func(*Tx) error { return nil }), ErrNoCollection)
	})
}

func TestWrite_anErrorLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	key := filled(t, dir, 3)
	s := opened(t, dir)
	defer s.Close()
	failure := fmt.Errorf("no")
	require.ErrorIs(t, s.Write(key, func(tx *Tx) error {
		require.NoError(t, tx.Put(9, "nine", []byte("9")))
		return failure
	}), failure)
	require.NoError(t, s.Read(key, func(tx *Tx) error {
		_, ok := tx.Find("nine")
		require.False(t, ok)
		return nil
	}))
}

func TestChanges_tellWhatCommitsTouched(t *testing.T) {
	dir := t.TempDir()
	key := filled(t, dir, 3)
	s := opened(t, dir)
	defer s.Close()
	require.NoError(t, s.Write(key, func(tx *Tx) error { return tx.Delete(1, "id1") }))
	numbers, last, err := s.Changes(key, 0)
	require.NoError(t, err)
	require.Equal(t, []uint64{0, 1, 2}, numbers)
	require.EqualValues(t, 2, last)
	numbers, _, err = s.Changes(key, 1)
	require.NoError(t, err)
	require.Equal(t, []uint64{1}, numbers)
	require.NoError(t, s.Forget(key, 2))
	numbers, last, err = s.Changes(key, 0)
	require.NoError(t, err)
	require.Empty(t, numbers)
	require.EqualValues(t, 2, last)
}

func TestOpen_oneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	_, err := Open(dir, quiet)
	require.ErrorIs(t, err, ErrLocked)
	_, err = Repair(dir, quiet)
	require.ErrorIs(t, err, ErrLocked, "a repair under an open store would lose writes")
	require.NoError(t, s.Close())
}

// TestRepair_bringsBackWhatCanBeRead damages random parts of the file. A damaged store is an error and never a panic, and a repair keeps
// every document that is not in or close to the damaged part.
func TestRepair_bringsBackWhatCanBeRead(t *testing.T) {
	const documents, harm = 3000, 64 << 10
	r := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for round := range 8 {
		dir := t.TempDir()
		key := filled(t, dir, documents)
		path := filepath.Join(dir, fileName)
		info, err := os.Stat(path)
		require.NoError(t, err)
		noise := make([]byte, harm)
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		at := 64<<10 + r.Int64N(info.Size()-2*harm)
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = file.WriteAt(noise, at)
		require.NoError(t, err)
		require.NoError(t, file.Close())

		if s, err := Open(dir, quiet); err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			refused++
		} else {
			require.NoError(t, s.Close())
		}
		fixed, err := Repair(dir, quiet)
		require.NoError(t, err)
		require.Equal(t, 1, fixed.Collections)
		require.Greater(t, fixed.Documents, documents*7/10, "round %d: 64 KiB of %d KiB were harmed", round, info.Size()>>10)
		require.FileExists(t, fixed.Kept)
		s := opened(t, dir)
		seen := 0
		require.NoError(t, s.Read(key, func(tx *Tx) error {
			_, _, err := tx.Scan(0, documents, func(seq uint64, doc []byte) error {
				require.Equal(t, string(document(int(seq))), string(doc), "a document came back changed")
				seen++
				return nil
			})
			return err
		}))
		require.Equal(t, fixed.Documents, seen)
		require.NoError(t, s.Write(key, func(tx *Tx) error {
			next, err := tx.Next()
			require.GreaterOrEqual(t, next, uint64(documents), "a number is never given twice")
			return err
		}))
		require.NoError(t, s.Close())
	}
	require.Positive(t, refused, "the harm was never seen")
}

func TestRepair_keepsWhatEarlierOnesKept(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 3)
	first, err := Repair(dir, quiet)
	require.NoError(t, err)
	before, err := os.ReadFile(first.Kept)
	require.NoError(t, err)
	second, err := Repair(dir, quiet)
	require.NoError(t, err)
	require.NotEqual(t, first.Kept, second.Kept)
	after, err := os.ReadFile(first.Kept)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, 3, second.Documents)
}

func TestRepair_endsOneThatWasInterrupted(t *testing.T) {
	dir := t.TempDir()
	filled(t, dir, 3)
	path := filepath.Join(dir, fileName)
	require.NoError(t, os.Rename(path, filepath.Join(dir, repairedName+".db")))
	require.NoError(t, os.WriteFile(path+".damaged", nil, 0o600))
	require.NoError(t, os.WriteFile(path+"-wal", []byte("of the damaged one"), 0o600))
	_, err := Open(dir, quiet)
	require.ErrorIs(t, err, ErrDamaged)
	require.NoFileExists(t, path)
	fixed, err := Repair(dir, quiet)
	require.NoError(t, err)
	require.Equal(t, 3, fixed.Documents)
	require.FileExists(t, fixed.Kept+"-wal")
	require.NoError(t, opened(t, dir).Close())

	require.NoError(t, os.Remove(path))
	_, err = Open(dir, quiet)
	require.ErrorIs(t, err, ErrDamaged, "the documents are gone, and a damaged file says that there were some")
	_, err = Repair(dir, quiet)
	require.ErrorIs(t, err, ErrDamaged)
}

func TestGet_aChangedByteIsAnError(t *testing.T) {
	dir := t.TempDir()
	key := filled(t, dir, 100)
	path := filepath.Join(dir, fileName)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	at := bytes.Index(content, document(50))
	require.Positive(t, at)
	content[at+30] ^= 1
	require.NoError(t, os.WriteFile(path, content, 0o600))
	s := opened(t, dir)
	defer s.Close()
	require.NoError(t, s.Prove())
	require.ErrorIs(t, s.Read(key, func(tx *Tx) error {
		require.Nil(t, tx.Get(50))
		return nil
	}), ErrDamaged)
	require.ErrorIs(t, s.Prove(), ErrDamaged, "a store that was found broken is not ready")
}

func TestOpen_takesOverTheFileOfAnEarlierRelease(t *testing.T) {
	dir := t.TempDir()
	old, err := bbolt.Open(filepath.Join(dir, oldFile), 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, old.Update(func(tx *bbolt.Tx) error {
		root, err := tx.CreateBucket([]byte("collections"))
		require.NoError(t, err)
		require.NoError(t, root.SetSequence(7))
		b, err := root.CreateBucket([]byte{0, 0, 0, 0, 0, 0, 0, 5})
		require.NoError(t, err)
		require.NoError(t, b.Put([]byte("schema"), []byte("the schema")))
		docs, err := b.CreateBucket([]byte("docs"))
		require.NoError(t, err)
		ids, err := b.CreateBucket([]byte("ids"))
		require.NoError(t, err)
		require.NoError(t, docs.SetSequence(3))
		require.NoError(t, docs.Put([]byte{0, 0, 0, 0, 0, 0, 0, 2}, []byte("two")))
		return ids.Put([]byte("b"), []byte{0, 0, 0, 0, 0, 0, 0, 2})
	}))
	require.NoError(t, old.Close())
	s := opened(t, dir)
	list, err := s.Collections()
	require.NoError(t, err)
	require.Equal(t, []Collection{{5, []byte("the schema")}}, list)
	require.NoError(t, s.Write(5, func(tx *Tx) error {
		seq, ok := tx.Find("b")
		require.True(t, ok)
		require.Equal(t, "two", string(tx.Get(seq)))
		next, err := tx.Next()
		require.EqualValues(t, 3, next)
		return err
	}))
	key, err := s.Create([]byte("x"))
	require.NoError(t, err)
	require.EqualValues(t, 8, key, "a key is never given twice")
	require.NoError(t, s.Close())
	require.FileExists(t, filepath.Join(dir, oldFile+".old"))
	require.NoError(t, opened(t, dir).Close())
}

func TestOpen_aBrokenFileOfAnEarlierReleaseIsAnError(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, oldFile), bytes.Repeat([]byte("noise "), 10_000), 0o600))
	_, err := Open(dir, quiet)
	require.ErrorIs(t, err, ErrDamaged)
	require.FileExists(t, filepath.Join(dir, oldFile), "it is left alone")
}

// TestWrite_aFullDiskIsSaidAndRecovers makes SQLite believe that the disk is full.
func TestWrite_aFullDiskIsSaidAndRecovers(t *testing.T) {
	dir := t.TempDir()
	key := filled(t, dir, 10)
	s := opened(t, dir)
	defer s.Close()
	limit := func(pages int) {
		require.NoError(t, s.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			var now int
			return tx.Get(ctx, &now, fmt.Sprint("PRAGMA max_page_count = ", pages))
		}))
	}
	fill := func() error {
		return s.Write(key, func(tx *Tx) error { return tx.Put(100, "large", bytes.Repeat([]byte("large"), 100_000)) })
	}
	limit(1) // as many as there are
	require.ErrorIs(t, fill(), ErrDiskFull)
	require.NoError(t, s.Read(key, func(tx *Tx) error {
		_, ok := tx.Find("large")
		require.False(t, ok, "nothing of it was written")
		_, ok = tx.Find("id3")
		require.True(t, ok)
		return nil
	}))
	limit(1 << 30)
	require.NoError(t, fill())
	require.False(t, s.DiskFull())
}
