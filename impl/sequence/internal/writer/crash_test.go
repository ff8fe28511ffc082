package writer_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const childVariable = "FOUNTAIN_SEQUENCE_TEST_CHILD"

func TestMain(m *testing.M) {
	if where := os.Getenv(childVariable); where != "" {
		child(where)
	}
	if where := os.Getenv(reorderChildVariable); where != "" {
		orderChild(where)
	}
	os.Exit(m.Run())
}

const childWriters = 64

// child is a replica whose writers append and revise until it is killed. Each prints what was acknowledged to it: number, version
// and id.
func child(where string) {
	var c database.Config
	if err := json.Unmarshal([]byte(where), &c); err != nil {
		panic(err)
	}
	c.Migrations, c.Log = migrations, slog.New(slog.DiscardHandler)
	db, err := database.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	key, err := seal.FromDataKey(dataKey)
	if err != nil {
		panic(err)
	}
	audittest.Open(audittest.Process{}, db)
	w := writer.New(writer.Options{
		DB: db, Keys: idempotency.New(key, key, clock.System), Clock: clock.System, Log: c.Log, Registerer: prometheus.NewRegistry(),
		Enqueue: searchsync.Enqueue, Committed: func(string) {},
	})
	var out sync.Mutex
	for n := range childWriters {
		go func() {
			for round := 0; ; round++ {
				r := create(lines, "")
				if n%2 == 0 {
					r = keyed(r, fmt.Sprintf("%d-%d-%d", os.Getpid(), n, round))
				}
				done, err := w.Do(context.Background(), r)
				if err != nil {
					panic(err)
				}
				e := done.Elements[0]
				if n%4 == 0 {
					done, err = w.Do(context.Background(), writer.Request{Revise: &domain.Revise{
						Ref: e.Ref, Expected: etag.Exactly(1), Data: []byte(`{"text":"revised"}`), Actor: author,
					}})
					if err != nil {
						panic(err)
					}
					e = done.Elements[0]
				}
				out.Lock()
				fmt.Println(e.Number, e.Version, e.ID)
				out.Unlock()
			}
		}()
	}
	select {}
}

// acknowledged has the number and version that were acknowledged to the children, by id.
type acknowledged map[string][2]int64

func TestDo_keepsWhatItAcknowledgedThroughKill(t *testing.T) {
	rounds := 3
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		rounds = 100
	}
	storetest.EachConfig(t, migrations, func(t *testing.T, c database.Config) {
		children := 1
		if c.URL != "" {
			children = 2
		}
		opened, err := database.Open(t.Context(), c)
		require.NoError(t, err)
		require.NoError(t, opened.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			_, err := store.PutFormat(ctx, tx, domain.Format{Group: lines, Prefix: "L-", Padding: 3, Reset: domain.ResetNever, TimeZone: "UTC"})
			return err
		}))
		require.NoError(t, opened.Close())
		told := acknowledged{}
		for range rounds {
			var group sync.WaitGroup
			var mu sync.Mutex
			for range children {
				group.Go(func() { killAtRandom(t, c, &mu, told) })
			}
			group.Wait()
			killed := time.Now()
			db, err := database.Open(t.Context(), c)
			require.NoError(t, err)
			awaitOrphans(t, db, killed)
			requireAcknowledged(t, db, told)
			require.NoError(t, db.Close())
		}
		t.Logf("%d acknowledged in %d rounds", len(told), rounds)
	})
}

// killAtRandom runs a child, kills it some time after its first acknowledgement, and records what it printed.
func killAtRandom(t *testing.T, c database.Config, mu *sync.Mutex, told acknowledged) {
	where, err := json.Marshal(map[string]any{"URL": c.URL, "Dir": c.Dir, "Name": c.Name})
	if err != nil {
		t.Error(err)
		return
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childVariable+"="+string(where))
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Error(err)
		return
	}
	if err := command.Start(); err != nil {
		t.Error(err)
		return
	}
	scanner := bufio.NewScanner(out)
	for first := true; scanner.Scan(); first = false {
		if first {
			time.AfterFunc(rand.N(100*time.Millisecond), func() { _ = command.Process.Kill() })
		}
		var number, version int64
		var name string
		if n, _ := fmt.Sscan(scanner.Text(), &number, &version, &name); n == 3 { // the last line may be cut
			mu.Lock()
			told[name] = [2]int64{number, version}
			mu.Unlock()
		}
	}
	if err := command.Wait(); err == nil || command.ProcessState.ExitCode() != -1 {
		t.Errorf("the child was not killed but ended: %v", err)
	}
}

// awaitOrphans waits until PostgreSQL has noticed that the children are dead, because it still makes a commit that it had received before.
func awaitOrphans(t *testing.T, db *database.DB, killed time.Time) {
	if db.Dialect() == database.SQLite {
		return
	}
	for orphans := 1; orphans > 0; {
		require.Less(t, time.Since(killed), 30*time.Second)
		require.NoError(t, db.Read(t.Context()).Get(t.Context(), &orphans, `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND backend_start < ?`, killed))
	}
}

func requireAcknowledged(t *testing.T, db *database.DB, told acknowledged) {
	all, err := store.New(db).List(t.Context(), lines, "", 0, 1_000_000)
	require.NoError(t, err)
	stored := make(map[string]domain.Element, len(all))
	for _, e := range all {
		stored[e.ID] = e
		require.Equal(t, fmt.Sprintf("L-%03d", e.Number), e.Formatted, "formatted numbers have no gap either")
	}
	for name, want := range told {
		e, ok := stored[name]
		require.True(t, ok, "an acknowledged element is lost")
		require.Equal(t, want[0], e.Number, name)
		require.GreaterOrEqual(t, e.Version, want[1], name)
	}
	requireWhole(t, db, lines, len(all))
	var keys []string
	require.NoError(t, db.Read(t.Context()).Select(t.Context(), &keys, "SELECT value FROM idempotency WHERE answer IS NULL"))
	require.Empty(t, keys, "a claim without its answer: "+strconv.Itoa(len(keys)))
}
