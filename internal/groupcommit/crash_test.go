package groupcommit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const childVariable = "FOUNTAIN_GROUPCOMMIT_TEST_CHILD"

func TestMain(m *testing.M) {
	if where := os.Getenv(childVariable); where != "" {
		child(where)
	}
	os.Exit(m.Run())
}

// child takes numbers with several callers until it is killed, and prints each number after it was acknowledged.
func child(where string) {
	var c store.Config
	if err := json.Unmarshal([]byte(where), &c); err != nil {
		panic(err)
	}
	c.Migrations, c.Log = migrations, slog.New(slog.DiscardHandler)
	db, err := store.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	committer := groupcommit.New(db, groupcommit.Options{}, number)
	var group sync.WaitGroup
	var print sync.Mutex
	for caller := range 8 {
		group.Go(func() {
			for i := 0; ; i++ {
				n, err := committer.Do(context.Background(), fmt.Sprintf("%d-%d-%d", os.Getpid(), caller, i))
				if err != nil {
					panic(err)
				}
				print.Lock()
				fmt.Println(n)
				print.Unlock()
			}
		})
	}
	group.Wait()
}

func TestDo_keepsWhatItAcknowledgedThroughKill(t *testing.T) {
	storetest.EachConfig(t, migrations, func(t *testing.T, c store.Config) {
		seen := map[int64]bool{}
		for range 3 {
			for _, n := range numbersUntilKilled(t, c, 100) {
				require.False(t, seen[n], "the same number twice")
				seen[n] = true
			}
			db, err := store.Open(t.Context(), c)
			require.NoError(t, err)
			var numbers []int64
			require.NoError(t, db.Read(t.Context()).Select(t.Context(), &numbers, "SELECT n FROM numbers ORDER BY n"))
			for i, n := range numbers {
				require.EqualValues(t, i+1, n, "a gap")
			}
			for n := range seen {
				require.LessOrEqual(t, n, int64(len(numbers)), "an acknowledged number is lost")
			}
			requireGapFree(t, db, int64(len(numbers)))
			require.NoError(t, db.Close())
		}
	})
}

// numbersUntilKilled starts a child, kills it with SIGKILL after some acknowledgements and returns the numbers that it has printed.
func numbersUntilKilled(t *testing.T, c store.Config, acks int) (numbers []int64) {
	t.Helper()
	where, err := json.Marshal(map[string]any{"URL": c.URL, "Dir": c.Dir, "Name": c.Name})
	require.NoError(t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+string(where))
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			break // the line that the kill cut off
		}
		if numbers = append(numbers, n); len(numbers) == acks {
			require.NoError(t, command.Process.Kill())
		}
	}
	require.Error(t, command.Wait(), "killed")
	require.GreaterOrEqual(t, len(numbers), acks)
	return numbers
}

// BenchmarkDo reports how many requests share a commit when 64 callers wait at once. It should be near 64, not near half of that.
func BenchmarkDo(b *testing.B) {
	db := openSQLite(b)
	var batches, requests int
	c := groupcommit.New(db, groupcommit.Options{Observe: func(n int) { batches, requests = batches+1, requests+n }}, number)
	const callers = 64
	var group sync.WaitGroup
	b.ResetTimer()
	for caller := range callers {
		group.Go(func() {
			for i := range b.N/callers + 1 {
				if _, err := c.Do(context.Background(), fmt.Sprintf("%d-%d", caller, i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	c.Close()
	b.ReportMetric(float64(requests)/float64(batches), "requests/commit")
	b.ReportMetric(float64(requests)/b.Elapsed().Seconds(), "requests/s")
}
