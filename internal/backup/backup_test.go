package backup_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// tables is a schema with everything that a copy can get wrong: references against the alphabetical order of tables, all types of values, and a row
// that a migration inserted.
var tables = []fs.FS{fstest.MapFS{"00100_things.sql": {Data: []byte(`-- +goose Up
CREATE TABLE owners (id TEXT PRIMARY KEY, note TEXT, good BOOLEAN NOT NULL DEFAULT TRUE);
CREATE TABLE a_things (id BIGINT PRIMARY KEY, owner TEXT NOT NULL REFERENCES owners (id), body BLOB NOT NULL);
CREATE TABLE head (id BIGINT PRIMARY KEY, n BIGINT NOT NULL);
INSERT INTO head (id, n) VALUES (1, 0);
`)}}}

var later = append(append([]fs.FS{}, tables...), fstest.MapFS{"00101_more.sql": {Data: []byte("-- +goose Up\nALTER TABLE head ADD COLUMN more BIGINT NOT NULL DEFAULT 7;\n")}})

type world struct {
	*testing.T
	key *age.X25519Identity
}

func newWorld(t *testing.T) world {
	key, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return world{t, key}
}

func (w world) options() backup.Options {
	return backup.Options{Recipients: []age.Recipient{w.key.Recipient()}, Version: "v1", Clock: clock.System}
}

func (w world) archive(parts ...backup.Part) []byte {
	w.Helper()
	var out bytes.Buffer
	_, _, err := backup.Write(w.Context(), &out, parts, w.options())
	require.NoError(w, err)
	return out.Bytes()
}

func opens(archive []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
}

func (w world) restore(archive []byte, parts ...backup.Part) error {
	_, _, err := backup.Restore(w.Context(), opens(archive), parts, backup.RestoreOptions{Identities: []age.Identity{w.key}, Clock: clock.System})
	return err
}

func part(c store.Config) backup.Part { return backup.Part{Name: "test", Database: c} }

// filled inserts rows into a database and closes it.
func filled(t *testing.T, c store.Config, n int) {
	t.Helper()
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Exec(ctx, "UPDATE head SET n = ?", -1<<62); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO owners (id, note) VALUES ('ada', NULL), ('zoë \"quoted\"', '')"); err != nil {
			return err
		}
		for i := range n {
			if _, err := tx.Exec(ctx, "INSERT INTO a_things (id, owner, body) VALUES (?, 'ada', ?)", i, bytes.Repeat([]byte{0, byte(i), 0xff}, i)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// content returns all rows of the database as text.
func content(t *testing.T, c store.Config) (out []string) {
	t.Helper()
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Snapshot(t.Context(), func(ctx context.Context, s *store.Snapshot) error {
		found, err := s.Tables(ctx)
		if err != nil {
			return err
		}
		for _, table := range found {
			if table.Name == "store_proof" {
				continue
			}
			if err := s.Each(ctx, table, func(row []any) error { out = append(out, fmt.Sprint(table.Name, row)); return nil }); err != nil {
				return err
			}
		}
		return nil
	}))
	return out
}

// An archive of either database can be restored to either, and no row is lost or added.
func TestRestore_bringsBackEveryRowOnBothDatabases(t *testing.T) {
	storetest.EachConfig(t, tables, func(t *testing.T, from store.Config) {
		w := newWorld(t)
		filled(t, from, 1500)
		before := content(t, from)
		require.Len(t, before, 1503)
		archive := w.archive(part(from))
		storetest.EachConfig(t, tables, func(t *testing.T, to store.Config) {
			w.T = t
			to.Dir = filepath.Join(t.TempDir(), "data")
			require.NoError(t, w.restore(archive, part(to)))
			require.ElementsMatch(t, before, content(t, to))
			if to.URL == "" {
				entries, err := os.ReadDir(to.Dir)
				require.NoError(t, err)
				for _, e := range entries {
					require.NotContains(t, e.Name(), ".restore")
				}
				info, err := os.Stat(filepath.Join(to.Dir, "test.db"))
				require.NoError(t, err)
				require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
			}
		})
	})
}

// An archive of an older release is migrated to the present schema.
func TestRestore_migratesAnOlderArchive(t *testing.T) {
	storetest.EachConfig(t, tables, func(t *testing.T, c store.Config) {
		w := newWorld(t)
		from := store.Config{Name: "test", Dir: t.TempDir(), Migrations: tables}
		filled(t, from, 3)
		archive := w.archive(part(from))
		c.Migrations, c.Dir = later, filepath.Join(t.TempDir(), "data")
		require.NoError(t, w.restore(archive, part(c)))
		require.Contains(t, content(t, c), fmt.Sprint("head", []any{int64(1), int64(-1 << 62), int64(7)}))
	})
}

// A program does not back up a database that it has not migrated yet: its statements are for its own tables, and the archive would be no way back.
func TestWrite_refusesADatabaseOfAnOlderRelease(t *testing.T) {
	storetest.EachConfig(t, tables, func(t *testing.T, c store.Config) {
		w := newWorld(t)
		filled(t, c, 3)
		before := content(t, c)
		c.Migrations = later
		p := part(c)
		p.Facts = func(context.Context, store.Querier) (map[string]string, error) { return nil, io.ErrClosedPipe }
		_, _, err := backup.Write(t.Context(), io.Discard, []backup.Part{p}, w.options())
		require.ErrorIs(t, err, backup.ErrOlder)
		require.NotErrorIs(t, err, io.ErrClosedPipe, "its tables are not asked")
		c.Migrations = tables
		require.Equal(t, before, content(t, c))
	})
}

// A backup contains every write that was acknowledged before its instant. It is one consistent state, without half a transaction.
func TestWrite_underLoadHoldsEveryWriteAcknowledgedBeforeItsInstant(t *testing.T) {
	storetest.EachConfig(t, tables, func(t *testing.T, c store.Config) {
		w := newWorld(t)
		filled(t, c, 0)
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		type ack struct {
			id int64
			at time.Time
		}
		var mu sync.Mutex
		var acks []ack
		var next atomic.Int64
		done := make(chan struct{})
		var writers sync.WaitGroup
		for range 4 {
			writers.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					id := next.Add(2)
					err := db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error { // two rows that belong together
						_, err := tx.Exec(ctx, "INSERT INTO a_things (id, owner, body) VALUES (?, 'ada', ?), (?, 'ada', ?)", id, []byte("x"), id+1, []byte("x"))
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					acks = append(acks, ack{id, time.Now()})
					mu.Unlock()
				}
			})
		}
		some := func() bool { mu.Lock(); defer mu.Unlock(); return len(acks) > 50 }
		require.Eventually(t, some, time.Minute, time.Millisecond)
		var out bytes.Buffer
		m, _, err := backup.Write(t.Context(), &out, []backup.Part{part(c)}, w.options())
		require.NoError(t, err)
		atEnd := next.Load()
		require.Eventually(t, func() bool { return next.Load() > atEnd+20 }, time.Minute, time.Millisecond, "writers are not held up for ever")
		close(done)
		writers.Wait()
		require.NoError(t, db.Close())

		to := store.Config{Name: "test", Dir: t.TempDir(), Migrations: tables}
		require.NoError(t, w.restore(out.Bytes(), part(to)))
		restored, err := store.Open(t.Context(), to)
		require.NoError(t, err)
		defer restored.Close()
		var ids []int64
		require.NoError(t, restored.Read(t.Context()).Select(t.Context(), &ids, "SELECT id FROM a_things"))
		there := map[int64]bool{}
		for _, id := range ids {
			there[id] = true
		}
		held := 0
		for _, a := range acks {
			if a.at.Before(m.Parts[0].Instant) {
				held++
				require.True(t, there[a.id], "acknowledged before the instant")
			}
			require.Equal(t, there[a.id], there[a.id+1], "no half of a transaction")
		}
		require.Greater(t, held, 50)
	})
}

// Each refusal has its own error, and leaves the target unchanged.
func TestRestore_refusesAndTouchesNothing(t *testing.T) {
	w := newWorld(t)
	from := store.Config{Name: "test", Dir: t.TempDir(), Migrations: tables}
	filled(t, from, 50)
	archive := w.archive(part(from))
	other := newWorld(t)
	changed := func(at int) []byte {
		out := bytes.Clone(archive)
		out[at] ^= 1
		return out
	}
	newer := from
	newer.Dir, newer.Migrations = t.TempDir(), later
	filled(t, newer, 1)
	for name, c := range map[string]struct {
		archive []byte
		who     world
		want    error
	}{
		"another key":       {archive, other, backup.ErrWrongKey},
		"no archive":        {[]byte("no archive"), w, backup.ErrDamaged},
		"nothing":           {nil, w, backup.ErrDamaged},
		"cut at the end":    {archive[:len(archive)-1], w, backup.ErrDamaged},
		"cut in the middle": {archive[:len(archive)/2], w, backup.ErrDamaged},
		"changed":           {changed(len(archive) - 40), w, backup.ErrDamaged},
		"with more behind":  {append(bytes.Clone(archive), 0), w, backup.ErrDamaged},
		"newer":             {w.archive(part(newer)), w, backup.ErrNewer},
		"other parts":       {w.archive(backup.Part{Name: "other", Database: from}), w, backup.ErrOtherParts},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.EachConfig(t, tables, func(t *testing.T, to store.Config) {
				c.who.T = t
				to.Dir = filepath.Join(t.TempDir(), "data")
				require.ErrorIs(t, c.who.restore(c.archive, part(to)), c.want)
				require.NoDirExists(t, to.Dir)
				require.NoError(t, store.Empty(t.Context(), to))
			})
		})
	}
	t.Run("place that is not empty", func(t *testing.T) {
		storetest.EachConfig(t, tables, func(t *testing.T, to store.Config) {
			w.T = t
			filled(t, to, 1)
			before := content(t, to)
			require.ErrorIs(t, w.restore(archive, part(to)), backup.ErrNotEmpty)
			require.Equal(t, before, content(t, to))
		})
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "credential"), nil, 0o600))
		require.ErrorIs(t, w.restore(archive, part(store.Config{Name: "test", Dir: dir, Migrations: tables})), backup.ErrNotEmpty)
	})
	t.Run("mark that fails", func(t *testing.T) {
		storetest.EachConfig(t, tables, func(t *testing.T, to store.Config) {
			w.T = t
			to.Dir = filepath.Join(t.TempDir(), "data")
			p := part(to)
			p.Mark = func(context.Context, *store.Tx, *backup.Restored) error { return io.ErrClosedPipe }
			require.ErrorIs(t, w.restore(archive, p), io.ErrClosedPipe)
			require.NoDirExists(t, to.Dir)
			require.NoError(t, store.Empty(t.Context(), to))
			require.NoError(t, w.restore(archive, part(to)), "and the next one succeeds")
		})
	})
}

// A restore that is killed between writing the rows and removing the marks leaves nothing that a service would open.
func TestFill_isNotOpenedBeforeItsEnd(t *testing.T) {
	storetest.EachConfig(t, tables, func(t *testing.T, c store.Config) {
		f, err := store.Fill(t.Context(), c, []int64{1, 100}, func(context.Context, *store.Loader) error { return nil })
		require.NoError(t, err)
		require.NoError(t, f.DB().Close(), "as a kill would")
		_, err = store.Open(t.Context(), c)
		require.ErrorIs(t, err, store.ErrUnfinished)
	})
}

func TestVerify_tellsWhatIsInTheArchive(t *testing.T) {
	w := newWorld(t)
	from := store.Config{Name: "test", Dir: t.TempDir(), Migrations: tables}
	filled(t, from, 4)
	require.NoError(t, os.WriteFile(filepath.Join(from.Dir, "settings.json"), []byte("{}"), 0o600))
	p := part(from)
	p.Files = []string{"settings.json", "absent.json"}
	p.Facts = func(context.Context, store.Querier) (map[string]string, error) {
		return map[string]string{"rootKey": "r1"}, nil
	}
	archive := w.archive(p)
	m, sums, err := backup.Verify(bytes.NewReader(archive), []age.Identity{w.key})
	require.NoError(t, err)
	require.Equal(t, "r1", m.Parts[0].Facts["rootKey"])
	require.Equal(t, []string{"settings.json"}, m.Parts[0].Files)
	require.NotEmpty(t, m.Contracts["kms"])
	var rows int64
	for _, s := range sums {
		rows += s.Rows
	}
	require.EqualValues(t, 7, rows)
	p.Database.Dir = t.TempDir()
	require.NoError(t, w.restore(archive, p))
	text, err := os.ReadFile(filepath.Join(p.Database.Dir, "settings.json"))
	require.NoError(t, err)
	require.Equal(t, "{}", string(text))
}

// The mark is set before the first migration: an instance that starts while tables are created does not open them.
func TestFill_isMarkedBeforeItsFirstMigration(t *testing.T) {
	storetest.EachConfig(t, tables, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // the lock of the file keeps every other instance off
		}
		held, err := sql.Open("pgx", c.URL)
		require.NoError(t, err)
		defer held.Close()
		conn, err := held.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		const lock = 0x666f756e // of migrations, which wait for it
		_, err = conn.ExecContext(t.Context(), "SELECT pg_advisory_lock($1)", lock)
		require.NoError(t, err)
		var f *store.Filling
		done := make(chan error, 1)
		go func() {
			var err error
			f, err = store.Fill(context.Background(), c, []int64{1, 100}, func(context.Context, *store.Loader) error { return nil })
			done <- err
		}()
		require.Eventually(t, func() bool {
			var n int
			err := conn.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM goose_db_version WHERE version_id > 0").Scan(&n)
			return err == nil && n == 1
		}, 20*time.Second, time.Millisecond, "marked while the first migration waits")
		_, err = conn.ExecContext(t.Context(), "SELECT pg_advisory_unlock($1)", lock)
		require.NoError(t, err)
		require.NoError(t, <-done)
		_, err = store.Open(t.Context(), c)
		require.ErrorIs(t, err, store.ErrUnfinished)
		require.NoError(t, f.Finish(t.Context()))
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		require.NoError(t, db.Close())
	})
}
