package job_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

const workerVariable = "FOUNTAIN_SEARCH_TEST_JOB"

func TestMain(m *testing.M) {
	if text := os.Getenv(workerVariable); text != "" {
		dieWorking(text)
		return
	}
	os.Exit(m.Run())
}

func databaseIn(dir string) store.Config {
	return store.Config{Name: "search", Dir: filepath.Join(dir, "db"), Migrations: searchstore.Migrations, Log: slog.New(slog.DiscardHandler)}
}

// book writes IDs to a file, which outlives the process.
type book struct{ file *os.File }

// Sync implements job.Writer.
func (b book) Sync(_ context.Context, _ *owner.Collection, items []engine.Item) ([]engine.Outcome, error) {
	for _, item := range items {
		if _, err := fmt.Fprintln(b.file, item.ID); err != nil {
			return nil, err
		}
	}
	return make([]engine.Outcome, len(items)), nil
}

func openBook(t require.TestingT, dir string) book {
	file, err := os.OpenFile(filepath.Join(dir, "book"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	return book{file}
}

// dieWorking carries out jobs, and kills itself after a part is written and before that is recorded.
func dieWorking(text string) {
	var t audittest.Process
	dir, after, _ := strings.Cut(text, "|")
	parts, err := strconv.Atoi(after)
	require.NoError(t, err)
	db, err := store.Open(context.Background(), databaseIn(dir))
	require.NoError(t, err)
	rows := newRows(t, db, clock.System)
	require.NoError(t, rows.Alone(context.Background()))
	w := newWorker(rows, openBook(t, dir))
	w.Written = func(j *job.Job) {
		if j.Next == int64(parts) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	_ = w.Run(context.Background())
}

// A process is killed between the write of a part and the record of it. The next process continues there, loses no item, and repeats only
// that part.
func TestWorker_goesOnAfterAKill(t *testing.T) {
	dir := t.TempDir()
	const items = 4 * job.PartItems
	open := func() (*store.DB, *searchstore.Store) {
		db, err := store.Open(t.Context(), databaseIn(dir))
		require.NoError(t, err)
		return db, newRows(t, db, clock.System)
	}
	db, rows := open()
	c := makeCollection(t, rows)
	sent := send(t, rows, c, items, "x")
	require.NoError(t, db.Close())
	for _, part := range []int{0, 2} {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), workerVariable+"="+dir+"|"+strconv.Itoa(part))
		child.Stderr = os.Stderr
		var status *exec.ExitError
		require.ErrorAs(t, child.Run(), &status)
		require.Equal(t, syscall.SIGKILL, status.Sys().(syscall.WaitStatus).Signal())
	}
	db, rows = open()
	defer db.Close()
	require.NoError(t, rows.Alone(t.Context()))
	_, err := newWorker(rows, openBook(t, dir)).Once(t.Context())
	require.NoError(t, err)
	done := read(t, rows, c, sent.ID)
	require.Equal(t, job.Done, done.State)
	require.EqualValues(t, items, done.Succeeded)

	file, err := os.Open(filepath.Join(dir, "book"))
	require.NoError(t, err)
	defer file.Close()
	var got []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		got = append(got, lines.Text())
	}
	var want []string
	for _, part := range []int{0, 0, 1, 2, 2, 3} {
		for i := range job.PartItems {
			want = append(want, "d"+strconv.Itoa(part*job.PartItems+i))
		}
	}
	require.Equal(t, want, got)
}
