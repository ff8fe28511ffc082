package audit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	process "os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const childVariable = "FOUNTAIN_AUDIT_CHILD"

// order is the input of a child process.
type order struct {
	URL, Dir, Name  string
	Appenders, Each int
	Remove          bool // remove archived events instead
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		child(text)
		return
	}
	os.Exit(m.Run())
}

// child appends as its order says, and prints a line for each durable event.
func child(text string) {
	var o order
	t := audittest.Process{}
	require.NoError(t, json.Unmarshal([]byte(text), &o))
	db, err := store.Open(context.Background(), store.Config{URL: o.URL, Dir: o.Dir, Name: o.Name, Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	chain := audittest.Open(t, db)
	if o.Remove {
		for more := true; more; {
			more, err = chain.RemoveSome(context.Background())
			require.NoError(t, err)
			fmt.Println("removed")
		}
		require.NoError(t, db.Close())
		return
	}
	recorder := &audit.Recorder{DB: db, Log: slog.New(slog.DiscardHandler)}
	var group sync.WaitGroup
	for a := range o.Appenders {
		group.Go(func() {
			for n := range o.Each {
				if n%4 == 0 { // with another change in the transaction, as most events have
					appendEvents(t, db, event(fmt.Sprintf("a%d", a)))
				} else {
					require.NoError(t, recorder.Record(context.Background(), event(fmt.Sprintf("a%d", a))))
				}
				fmt.Println(a)
			}
		})
	}
	group.Wait()
	require.NoError(t, recorder.Close())
	require.NoError(t, db.Close())
}

func start(t *testing.T, o order) (*process.Cmd, io.Reader) {
	t.Helper()
	text, err := json.Marshal(o)
	require.NoError(t, err)
	command := process.Command(os.Args[0], "-test.run", "^$")
	command.Env = append(os.Environ(), childVariable+"="+string(text))
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	return command, out
}

// acknowledged counts the lines of a child, and kills it after the given number; 0: never.
func acknowledged(t *testing.T, command *process.Cmd, out io.Reader, killAfter int) (n int) {
	t.Helper()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n++; n == killAfter {
			require.NoError(t, command.Process.Kill())
		}
	}
	_ = command.Wait() // a killed process ends with an error
	return n
}

func verifyWhole(t *testing.T, c store.Config, atLeast int) {
	t.Helper()
	db, err := store.Open(t.Context(), c)
	require.NoError(t, err)
	report, err := audittest.Open(t, db).Verify(t.Context(), audit.Verification{})
	require.NoError(t, err)
	require.True(t, report.Intact(), "%+v", report)
	require.GreaterOrEqual(t, report.Checked, int64(atLeast))
	require.NoError(t, db.Close())
}

// 64 concurrent appenders, on PostgreSQL in two processes, make one chain.
func TestAppend_makesOneChainOfTwoProcesses(t *testing.T) {
	each := 20
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		each = 500
	}
	storetest.EachConfig(t, migrations, func(t *testing.T, c store.Config) {
		processes := 1
		if c.URL != "" {
			processes = 2
		}
		o := order{URL: c.URL, Dir: c.Dir, Name: c.Name, Appenders: 64 / processes, Each: each}
		counts := make([]int, processes)
		var group sync.WaitGroup
		for p := range processes {
			command, out := start(t, o)
			group.Go(func() { counts[p] = acknowledged(t, command, out, 0) })
		}
		group.Wait()
		total := 0
		for _, n := range counts {
			total += n
		}
		require.Equal(t, 64*each, total)
		verifyWhole(t, c, total)
	})
}

// A process that is killed while it appends leaves an intact chain with all events that it has acknowledged.
func TestAppend_leavesAWholeChainThroughKill(t *testing.T) {
	rounds := 3
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		rounds = 100
	}
	storetest.EachConfig(t, migrations, func(t *testing.T, c store.Config) {
		total := 0
		for round := range rounds {
			command, out := start(t, order{URL: c.URL, Dir: c.Dir, Name: c.Name, Appenders: 16, Each: 100_000})
			total += acknowledged(t, command, out, 20+37*(round%7))
			verifyWhole(t, c, total)
		}
		t.Logf("%d acknowledged events in %d rounds", total, rounds)
	})
}

// BenchmarkRecord measures the recording of durable events, many in one commit.
func BenchmarkRecord(b *testing.B) {
	db, err := store.Open(b.Context(), store.Config{Dir: b.TempDir(), Name: "test", Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	defer db.Close()
	audittest.Open(b, db)
	recorder := &audit.Recorder{DB: db, Log: slog.New(slog.DiscardHandler)}
	e := event("getSecret")
	e.Detail = map[string]string{"version": "2", "scopes": "secrets:read", "credential": "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"}
	b.SetParallelism(256)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := recorder.Record(context.Background(), e); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	require.NoError(b, recorder.Close())
}

// BenchmarkVerify measures the verification of events.
func BenchmarkVerify(b *testing.B) {
	db, err := store.Open(b.Context(), store.Config{Dir: b.TempDir(), Name: "test", Migrations: migrations, Log: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	defer db.Close()
	chain := audittest.Open(b, db)
	const events = 50_000
	many := make([]audit.Event, events)
	for i := range many {
		many[i] = event("getSecret")
	}
	appendEvents(b, db, many...)
	for b.Loop() {
		report, err := chain.Verify(b.Context(), audit.Verification{})
		require.NoError(b, err)
		require.True(b, report.Intact())
	}
	b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
}
