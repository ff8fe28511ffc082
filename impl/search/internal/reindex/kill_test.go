package reindex_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/reindex"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/store"
)

const workerVariable = "FOUNTAIN_SEARCH_TEST_REINDEX"

// death says when a child process kills itself.
type death struct {
	Dir   string
	State reindex.State
	Held  bool
}

func TestMain(m *testing.M) {
	if text := os.Getenv(workerVariable); text != "" {
		dieWorking(text)
		return
	}
	if dir := os.Getenv(versionsVariable); dir != "" {
		dieCounting(dir)
		return
	}
	os.Exit(m.Run())
}

func databaseIn(dir string) store.Config {
	return store.Config{Name: "search", Dir: filepath.Join(dir, "db"), Migrations: searchstore.Migrations, Log: slog.New(slog.DiscardHandler)}
}

// dieWorking works on a reindex while it writes, prints what it attempts and what was acknowledged, and kills itself in a state.
func dieWorking(text string) {
	var t audittest.Process
	var d death
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		panic(err)
	}
	ctx := context.Background()
	db, err := store.Open(ctx, databaseIn(d.Dir))
	if err != nil {
		panic(err)
	}
	e, _ := localEngine(t, d.Dir)
	r := newRig(t, db, e)
	if err := r.rows.Alone(ctx); err != nil {
		panic(err)
	}
	if _, err := r.replica.Beat(ctx); err != nil {
		panic(err)
	}
	var told sync.Mutex
	tell := func(what string) func(string, int) {
		return func(id string, number int) {
			told.Lock()
			defer told.Unlock()
			fmt.Printf("%s %s %d\n", what, id, number)
		}
	}
	acked := make(chan struct{}, 1000)
	r.worker.Reached = func(of *reindex.Reindex, held bool) {
		if of.State == d.State && held == d.Held {
			if !held { // with writes under way
				for range 10 {
					<-acked
				}
			}
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	go func() { _ = r.replica.Run(ctx, func(err error) { panic(err) }) }()
	c := r.collection(t)
	for i := range 2 {
		go load{prefix: fmt.Sprintf("w%d-", i), each: 10, tried: tell("try"), acked: func(id string, number int) {
			tell("ack")(id, number)
			select {
			case acked <- struct{}{}:
			default:
			}
		}}.run(ctx, t, r, c)
	}
	_ = r.worker.Run(ctx)
}

// ledger holds the values that a document may have after a kill: the last acknowledged one, and those attempted since.
type ledger map[string]map[int]bool

func (l ledger) read(t *testing.T, out []byte) {
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		part := strings.Fields(lines.Text())
		if len(part) != 3 {
			continue // the last line may be cut
		}
		number, err := strconv.Atoi(part[2])
		require.NoError(t, err)
		if l[part[1]] == nil {
			l[part[1]] = map[int]bool{-1: true}
		}
		if part[0] == "ack" {
			l[part[1]] = map[int]bool{}
		}
		l[part[1]][number] = true
	}
}

// A process is killed in any state of a reindex, during writes. The next process completes the reindex, and has every write that was
// acknowledged.
func TestWorker_goesOnAfterAKillInEachState(t *testing.T) {
	for _, d := range []death{
		{State: reindex.Created}, {State: reindex.Copying}, {State: reindex.Verifying}, {State: reindex.Swapping}, {State: reindex.Swapping, Held: true}, {State: reindex.Done},
		{State: reindex.RollingBack}, {State: reindex.RollingBack, Held: true},
	} {
		t.Run(fmt.Sprintf("%s held %t", d.State, d.Held), func(t *testing.T) {
			d.Dir = t.TempDir()
			open := func() (*rig, func()) {
				db, err := store.Open(t.Context(), databaseIn(d.Dir))
				require.NoError(t, err)
				e, closeEngine := localEngine(t, d.Dir)
				r := newRig(t, db, e)
				require.NoError(t, r.rows.Alone(t.Context()))
				_, err = r.replica.Beat(t.Context())
				require.NoError(t, err)
				return r, func() { closeEngine(); require.NoError(t, db.Close()) }
			}
			r, done := open()
			r.make(t, howMany()/4)
			begun := r.start(t, time.Hour)
			if d.State == reindex.RollingBack {
				stop := r.run(t)
				r.await(t, begun.ID, reindex.Done)
				stop()
				_, err := r.rows.Rollback(t.Context(), r.collection(t), begun.ID, change)
				require.NoError(t, err)
			}
			done()

			text, err := json.Marshal(d)
			require.NoError(t, err)
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), workerVariable+"="+string(text))
			child.Stderr = os.Stderr
			out, err := child.Output()
			var status *exec.ExitError
			require.ErrorAs(t, err, &status)
			require.Equal(t, syscall.SIGKILL, status.Sys().(syscall.WaitStatus).Signal())
			told := ledger{}
			told.read(t, out)

			r, done = open()
			stop := r.run(t)
			end := reindex.Done
			if d.State == reindex.RollingBack {
				end = reindex.RolledBack
			}
			r.await(t, begun.ID, end)
			for id, may := range told {
				require.Contains(t, may, r.number(t, id), id)
			}
			for i := 0; i < howMany()/4; i += 13 {
				require.Zero(t, r.number(t, "d"+strconv.Itoa(i)))
			}
			physical := map[reindex.State]string{reindex.Done: begun.Target, reindex.RolledBack: "plays"}[end]
			require.Equal(t, physical, r.collection(t).Engine())
			require.NoError(t, r.put(t.Context(), r.collection(t), itemOf("d1", 7)))
			require.Equal(t, 7, r.number(t, "d1"))
			stop()
			done()
		})
	}
}
