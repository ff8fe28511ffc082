package chaos

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/fountain/history"
	"github.com/fountainai/fountain/tests/harness"
)

// The only instance, on SQLite, is killed round after round while clients append and revise through a gateway and one
// client follows the feed. The recorded history must pass all checks.
func TestKill_ofTheOnlyInstanceLeavesAHistoryThatHolds(t *testing.T) {
	harness.Own(t, "there are two of each")
	recordThroughKills(t, "", 1)
}

// One of two replicas on PostgreSQL is killed in the same way.
func TestKill_ofOneReplicaLeavesAHistoryThatHolds(t *testing.T) {
	database := ""
	if !harness.IsGiven() {
		database = harness.Postgres(t)
	}
	recordThroughKills(t, database, 2)
}

func recordThroughKills(t *testing.T, database string, instances int) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d rounds", seed, rounds())
	random := rand.New(rand.NewPCG(seed, 3))
	if harness.IsGiven() {
		h, replicas := givenHousehold(t, "sequence", "sequence-2")
		r := record(t, h.admin, 16)
		killInTurn(r, random, replicas)
		r.end()
		return
	}
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, "ada", password)
	services := p.Services()
	metadata, err := admin.KMS.GetServerMetadata(context.Background())
	require.NoError(t, err)
	var replicas []*replica
	var addresses []string
	for range instances {
		at := harness.FreeAddress(t)
		replicas = append(replicas, newReplica(t, services, metadata.Issuer, database, harness.EnrolmentToken(t, admin, "sequence"), "ADDR="+at))
		addresses = append(addresses, "http://"+at)
	}
	gateway := serve(t, "gateway", services["kms"], metadata.Issuer, harness.EnrolmentToken(t, admin, "gateway"), "ADDR=127.0.0.1:0", "DRAIN_DELAY=1ms",
		"TWOFACTOR_URL="+services["twofactor"], "SEARCH_URL="+services["search"], "SEQUENCE_URL="+strings.Join(addresses, ","))
	r := record(t, client(t, p, fountain.WithTokenSource(fountain.TokenSourceFunc(admin.Token)), fountain.WithServiceURL("sequence", gateway.url)), recorders())
	killInTurn(r, random, replicas)
	r.end()
	gateway.stop()
	for _, one := range replicas {
		one.stop()
	}
}

// killInTurn kills the replicas in turn during a recording.
func killInTurn(r *recording, random *rand.Rand, replicas []*replica) {
	for range rounds() {
		r.await(10)
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond) // the time of the kill is random
		victim := replicas[random.IntN(len(replicas))]
		victim.kill()
		victim.start()
	}
	r.await(10)
}

// recorders is the number of clients that write: a few in CI, 64 for a proof.
func recorders() int {
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		return appenders
	}
	return 16
}

// recording is a history that is being recorded.
type recording struct {
	t            *testing.T
	began        time.Time
	stop         chan struct{}
	done         chan struct{}
	acknowledged atomic.Int64
	history      *history.History
	err          error
}

func record(t *testing.T, c *fountain.Client, clients int) *recording {
	r := &recording{t: t, began: time.Now(), stop: make(chan struct{}), done: make(chan struct{})}
	scope := "checked"
	if harness.IsGiven() { // where another test may have recorded
		scope += strconv.FormatUint(rand.Uint64(), 36)
	}
	go func() {
		defer close(r.done)
		r.history, r.err = history.Record(context.Background(), history.Options{
			Client: c, Scope: scope, Clients: clients, Appends: math.MaxInt32, For: 24 * time.Hour, Stop: r.stop, SearchWithin: 10 * time.Minute,
			Progress: func(n int) { r.acknowledged.Store(int64(n)) },
		})
	}()
	return r
}

// await waits until this number of further appends is acknowledged.
func (r *recording) await(more int64) {
	r.t.Helper()
	until := r.acknowledged.Load() + more
	deadline := time.Now().Add(2 * time.Minute)
	for r.acknowledged.Load() < until {
		select {
		case <-r.done:
			r.t.Fatalf("the recording ended: %v", r.err)
		case <-time.After(5 * time.Millisecond):
		}
		require.True(r.t, time.Now().Before(deadline), "nothing is acknowledged any more")
	}
}

// end ends the recording and requires that its history passes all checks. FOUNTAIN_HISTORY names a file to store it in.
func (r *recording) end() {
	r.t.Helper()
	close(r.stop)
	<-r.done
	require.NoError(r.t, r.err)
	if path := os.Getenv("FOUNTAIN_HISTORY"); path != "" {
		file, err := os.Create(path)
		require.NoError(r.t, err)
		require.NoError(r.t, history.Write(file, r.history))
		require.NoError(r.t, file.Close())
	}
	report := history.Check(r.history)
	outcomes := map[history.Outcome]int{}
	for _, c := range slices.Concat(r.history.Appends, r.history.Revisions) {
		outcomes[c.Outcome]++
	}
	looked := []string{}
	for _, one := range report.Results {
		looked = append(looked, fmt.Sprintf("%s %d", one.Name, one.Looked))
		if one.Name != "formatted numbers" {
			require.Positive(r.t, one.Looked, "%s: nothing was looked at", one.Name)
		}
	}
	r.t.Logf("changes %v; looked at %s; search had all after %s", outcomes, strings.Join(looked, ", "), r.history.SearchLag.Round(time.Millisecond))
	faults := report.Faults()
	require.Empty(r.t, faults[:min(len(faults), 20)], "%d faults", len(faults))
}
