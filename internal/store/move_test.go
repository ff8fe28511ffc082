package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// movable has a table of each kind that services have: with a number as key, with several key columns, with bytes, without a key, and with a row that
// a migration inserted.
var movable = []fs.FS{fstest.MapFS{"00100_movable.sql": {Data: []byte(`-- +goose Up
CREATE TABLE plays (id TEXT PRIMARY KEY, title TEXT);
CREATE TABLE lines (play TEXT NOT NULL REFERENCES plays (id), number BIGINT NOT NULL, text TEXT, sealed BLOB, said BOOLEAN NOT NULL, PRIMARY KEY (play, number));
CREATE TABLE heads (id BIGINT PRIMARY KEY, hash BLOB);
CREATE TABLE keys (identity BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE notes (a TEXT, b BIGINT);
INSERT INTO heads (id) VALUES (1);
`)}}}

func fillMovable(t *testing.T, c store.Config) {
	t.Helper()
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	err = db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, id := range []string{"b", "B", "ä", "a", "a b", "z\U0001F3AD", ""} { // alphabetical order would differ from the order of the bytes
			if _, err := tx.Exec(ctx, "INSERT INTO plays (id, title) VALUES (?, ?)", id, "title of "+id); err != nil {
				return err
			}
		}
		for n := range int64(700) { // more than one INSERT statement takes
			var sealed []byte
			if n%3 > 0 {
				sealed = []byte{0, byte(n), 0xff}
			}
			if _, err := tx.Exec(ctx, "INSERT INTO lines (play, number, text, sealed, said) VALUES (?, ?, ?, ?, ?)", "ä", n-300, nil, sealed, n%2 == 0); err != nil {
				return err
			}
		}
		for _, b := range [][]byte{{0xff}, {0}, {}, {0, 0}} {
			if _, err := tx.Exec(ctx, "INSERT INTO keys (identity) VALUES (?)", b); err != nil {
				return err
			}
		}
		for _, a := range []any{nil, "x", nil, "x"} {
			if _, err := tx.Exec(ctx, "INSERT INTO notes (a, b) VALUES (?, ?)", a, nil); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "UPDATE heads SET hash = ?", []byte("the newest"))
		return err
	})
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// opens returns the error of a service that starts there.
func opens(t *testing.T, c store.Config) error {
	t.Helper()
	db, err := store.Open(t.Context(), c)
	if err != nil {
		return err
	}
	return db.Close()
}

// Every row is at the new place, on either database, and no service can open the old one.
func TestMove_bringsEveryRowAndClosesTheOldPlace(t *testing.T) {
	storetest.EachPair(t, movable, func(t *testing.T, from, to store.Config) {
		fillMovable(t, from)
		if from.URL != "" {
			from.Dir = t.TempDir() // as services have, whose other files lie there
		}
		there, err := store.Move(t.Context(), from, to, nil)
		require.NoError(t, err)
		rows := map[string]int64{}
		for _, table := range there {
			rows[table.Name] = table.Rows
			require.Len(t, table.SHA256, 64)
		}
		require.Equal(t, map[string]int64{"plays": 7, "lines": 700, "heads": 1, "keys": 4, "notes": 4, "store_proof": rows["store_proof"]}, rows)
		require.ErrorIs(t, opens(t, from), store.ErrMoved)
		_, err = store.Move(t.Context(), from, store.Config{Name: to.Name, Dir: t.TempDir(), Migrations: to.Migrations}, nil)
		require.ErrorIs(t, err, store.ErrMoved, "an old state is not moved again")
		require.NoError(t, opens(t, to))

		home := from
		home.URL, home.Dir = "", t.TempDir()
		back, err := store.Move(t.Context(), to, home, nil)
		require.NoError(t, err)
		require.Equal(t, there, back, "the digests of the way back are those of the way there")
		entries, err := os.ReadDir(home.Dir)
		require.NoError(t, err)
		for _, e := range entries {
			require.Contains(t, []string{"test.db", "test.lock"}, e.Name())
		}
		require.NoError(t, opens(t, home))

		file, err := os.Stat(filepath.Join(home.Dir, "test.db"))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), file.Mode())
		require.NoError(t, opens(t, home))
	})
}

// After a move, however it ended, the old place can be opened again only if the new one can't be opened.
func TestReopen_neverHasBothPlacesOpen(t *testing.T) {
	storetest.EachPair(t, movable, func(t *testing.T, from, to store.Config) {
		fillMovable(t, from)
		_, err := store.Move(t.Context(), from, to, nil)
		require.NoError(t, err)
		_, err = store.Reopen(t.Context(), from, nil)
		require.ErrorIs(t, err, store.ErrEnded)
		_, err = store.Reopen(t.Context(), from, &to)
		require.ErrorIs(t, err, store.ErrNotEmpty)
		home := store.Config{Name: to.Name, Dir: t.TempDir(), Migrations: to.Migrations}
		_, err = store.Move(t.Context(), to, home, nil)
		require.NoError(t, err)
		_, err = store.Reopen(t.Context(), from, &to)
		require.ErrorIs(t, err, store.ErrNotEmpty, "it is closed, because it was moved on")
		require.ErrorIs(t, opens(t, from), store.ErrMoved)

		if to.URL == "" {
			require.NoError(t, os.Remove(filepath.Join(to.Dir, "test.db")))
		} else { // as a kill in the last step leaves it
			db, err := sql.Open("pgx", to.URL)
			require.NoError(t, err)
			_, err = db.Exec("UPDATE goose_db_version SET version_id = 99999 WHERE version_id IN (99997, 99998)")
			require.NoError(t, err)
			require.NoError(t, db.Close())
		}
		was, err := store.Reopen(t.Context(), from, &to)
		require.NoError(t, err)
		require.True(t, was)
		require.NoError(t, opens(t, from))
		was, err = store.Reopen(t.Context(), from, nil)
		require.NoError(t, err)
		require.False(t, was)
	})
}

// What the move records at the new place is there when that opens. If it can't be recorded, nothing has changed.
func TestMove_notesItselfOrChangesNothing(t *testing.T) {
	storetest.EachPair(t, movable, func(t *testing.T, from, to store.Config) {
		fillMovable(t, from)
		note := func(refused error) func(ctx context.Context, tx *store.Tx, tables []store.MovedTable) error {
			return func(ctx context.Context, tx *store.Tx, tables []store.MovedTable) error {
				_, err := tx.Exec(ctx, "INSERT INTO notes (a, b) VALUES ('moved', ?)", len(tables))
				return errors.Join(err, refused)
			}
		}
		refused := errors.New("refused")
		_, err := store.Move(t.Context(), from, to, note(refused))
		require.ErrorIs(t, err, refused)
		require.NoError(t, opens(t, from))
		require.NoError(t, store.Empty(t.Context(), to))
		there, err := store.Move(t.Context(), from, to, note(nil))
		require.NoError(t, err)
		db, err := store.Open(t.Context(), to)
		require.NoError(t, err)
		var n int
		require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, "SELECT b FROM notes WHERE a = 'moved'"))
		require.Len(t, there, n)
		require.NoError(t, db.Close())
	})
}

// A move that is impossible is refused before anything changes: the old place can be opened, and the new one is unchanged.
func TestMove_refusesWhatIsInUseOrNotEmpty(t *testing.T) {
	storetest.EachPair(t, movable, func(t *testing.T, from, to store.Config) {
		fillMovable(t, from)
		service, err := store.Open(t.Context(), from)
		require.NoError(t, err)
		_, err = store.Move(t.Context(), from, to, nil)
		require.ErrorIs(t, err, store.ErrLocked)
		require.NoError(t, service.Ping(t.Context()))
		require.NoError(t, service.Close())
		require.NoError(t, opens(t, from), "a refusal leaves it open")
		require.NoError(t, store.Empty(t.Context(), to))

		newer := from
		newer.Migrations = append([]fs.FS{fstest.MapFS{"00101_more.sql": {Data: []byte("-- +goose Up\nCREATE TABLE more (id BIGINT PRIMARY KEY);\n")}}}, movable...)
		_, err = store.Move(t.Context(), newer, to, nil)
		require.ErrorIs(t, err, store.ErrOlder)
		require.NoError(t, store.Empty(t.Context(), to))
		older, nowhere := from, store.Config{Name: "test", URL: "postgres://test@127.0.0.1:1/test", Migrations: movable}
		older.Migrations = nil
		for want, c := range map[error]store.Config{store.ErrOlder: newer, store.ErrNewer: older} {
			_, err = store.Move(t.Context(), c, nowhere, nil)
			require.ErrorIs(t, err, want, "before the new place is asked")
		}
		require.NoError(t, opens(t, from))
		require.NoError(t, opens(t, to))
		_, err = store.Move(t.Context(), from, to, nil)
		require.ErrorIs(t, err, store.ErrNotEmpty)
		require.NoError(t, opens(t, from))
		_, err = store.Move(t.Context(), from, from, nil)
		require.ErrorIs(t, err, store.ErrNotEmpty, "nor onto itself")
	})
}

// A SQLite place in which a service starts meanwhile is not taken from it, and remaining files of another database do not become part of the copy.
func TestMove_refusesAPlaceWithRests(t *testing.T) {
	from := store.Config{Name: "test", Dir: t.TempDir(), Migrations: movable}
	fillMovable(t, from)
	to := from
	to.Dir = t.TempDir()
	rest := filepath.Join(to.Dir, "test.db-wal")
	require.NoError(t, os.WriteFile(rest, []byte("of another one"), 0o600))
	_, err := store.Move(t.Context(), from, to, nil)
	require.ErrorIs(t, err, store.ErrNotEmpty)
	require.NoError(t, os.Remove(rest))
	service, err := store.Open(t.Context(), to)
	require.NoError(t, err)
	_, err = store.Move(t.Context(), from, to, nil)
	require.ErrorIs(t, err, store.ErrLocked)
	require.NoError(t, service.Close())
	require.NoError(t, opens(t, from))
}

// A copy that differs from its source is deleted, and the old place stays in use. Here a trigger changes the inserted rows.
func TestMove_throwsAwayACopyThatDiffers(t *testing.T) {
	from := store.Config{Name: "test", Dir: t.TempDir(), Migrations: []fs.FS{fstest.MapFS{"00100_things.sql": {Data: []byte(`-- +goose Up
CREATE TABLE things (id BIGINT PRIMARY KEY, n BIGINT NOT NULL);
-- +goose StatementBegin
CREATE TRIGGER counts AFTER INSERT ON things BEGIN UPDATE things SET n = n + 1 WHERE id = NEW.id; END;
-- +goose StatementEnd
`)}}}}
	db, err := store.Open(t.Context(), from)
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO things (id, n) VALUES (1, 1)")
		return err
	}))
	require.NoError(t, db.Close())
	to := from
	to.Dir = t.TempDir()
	_, err = store.Move(t.Context(), from, to, nil)
	require.ErrorIs(t, err, store.ErrDiffers)
	require.ErrorContains(t, err, "things")
	require.NoError(t, store.Empty(t.Context(), to))
	require.NoDirExists(t, filepath.Join(to.Dir, ".move"))
	require.NoError(t, opens(t, from))
}

// A killed move leaves the old place closed and nothing at the new one that can be opened. The operator can reopen the old one and move it again.
func TestMove_afterAKillNeitherPlaceIsOpenUntilItIsSaid(t *testing.T) {
	storetest.EachConfig(t, movable, func(t *testing.T, from store.Config) {
		fillMovable(t, from)
		db, err := store.Open(t.Context(), from)
		require.NoError(t, err)
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99998, ?)", true)
			return err
		}))
		require.NoError(t, db.Close())
		to := store.Config{Name: from.Name, Dir: t.TempDir(), Migrations: from.Migrations}
		half := filepath.Join(to.Dir, ".move")
		require.NoError(t, os.Mkdir(half, 0o700))
		raw, err := sql.Open("sqlite", filepath.Join(half, "test.db"))
		require.NoError(t, err)
		_, err = raw.Exec("CREATE TABLE plays (id TEXT)")
		require.NoError(t, err)
		require.NoError(t, raw.Close())

		require.ErrorIs(t, opens(t, from), store.ErrMoved)
		require.NoError(t, store.Empty(t.Context(), to))
		was, err := store.Reopen(t.Context(), from, nil)
		require.NoError(t, err)
		require.True(t, was)
		_, err = store.Move(t.Context(), from, to, nil)
		require.NoError(t, err)
		require.NoError(t, opens(t, to))
	})
}

// A move that is cancelled changes nothing.
func TestMove_thatIsStoppedChangesNothing(t *testing.T) {
	storetest.EachConfig(t, movable, func(t *testing.T, from store.Config) {
		fillMovable(t, from)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		to := store.Config{Name: from.Name, Dir: t.TempDir(), Migrations: from.Migrations}
		_, err := store.Move(ctx, from, to, nil)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, opens(t, from))
		require.NoError(t, store.Empty(t.Context(), to))
	})
}

const killedMoveVariable = "FOUNTAIN_STORE_TEST_KILL_MOVE"

// A process that is killed after all rows are copied and before the new place is opened leaves the old place closed and nothing at the new one that
// can be opened. The operator can reopen the old one.
func TestMove_killedBeforeItsLastStepLeavesTheOldPlaceToReopen(t *testing.T) {
	if where := os.Getenv(killedMoveVariable); where != "" {
		moveAndDie(t, where)
	}
	storetest.EachPair(t, movable, func(t *testing.T, from, to store.Config) {
		fillMovable(t, from)
		where, err := json.Marshal([]map[string]string{{"URL": from.URL, "Dir": from.Dir, "Name": from.Name}, {"URL": to.URL, "Dir": to.Dir, "Name": to.Name}})
		require.NoError(t, err)
		child := exec.Command(os.Args[0], "-test.run", "^TestMove_killedBeforeItsLastStepLeavesTheOldPlaceToReopen$")
		child.Env = append(os.Environ(), killedMoveVariable+"="+string(where))
		out, err := child.CombinedOutput()
		require.Equal(t, -1, child.ProcessState.ExitCode(), "%v %s", err, out)

		require.ErrorIs(t, opens(t, from), store.ErrMoved)
		if to.URL == "" {
			require.NoError(t, store.Empty(t.Context(), to))
		} else {
			require.ErrorIs(t, opens(t, to), store.ErrUnfinished)
		}
		require.Eventually(t, func() bool { // PostgreSQL needs a moment to notice
			was, err := store.Reopen(t.Context(), from, nil)
			return was && err == nil
		}, time.Minute, 50*time.Millisecond)
		require.NoError(t, opens(t, from))
		if to.URL == "" {
			_, err = store.Move(t.Context(), from, to, nil)
			require.NoError(t, err, "what was left there is in nobody's way")
		}
	})
}

// moveAndDie is the child process.
func moveAndDie(t *testing.T, where string) {
	var c []store.Config
	require.NoError(t, json.Unmarshal([]byte(where), &c))
	c[0].Migrations, c[1].Migrations = movable, movable
	_, err := store.Move(t.Context(), c[0], c[1], func(context.Context, *store.Tx, []store.MovedTable) error {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	})
	require.NoError(t, err)
}
