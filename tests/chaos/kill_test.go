// Package chaos kills the real binary with kill -9 while it works, and requires that everything it acknowledged is
// there afterwards.
package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

const (
	appenders = 64
	password  = "correct horse battery staple"
)

// rounds is how often a process is killed: a few times in CI, 100 for a proof (`make prove`), or FOUNTAIN_ROUNDS if a
// proof is made in parts.
func rounds() int {
	if given, err := strconv.Atoi(os.Getenv("FOUNTAIN_ROUNDS")); err == nil && given > 0 {
		return given
	}
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		return 100
	}
	return 5
}

func client(t *testing.T, p *harness.Process, opts ...fountain.Option) *fountain.Client {
	t.Helper()
	return clientOf(t, p.URL, opts...)
}

// clientOf returns a client of a gateway that does not retry.
func clientOf(t *testing.T, gateway string, opts ...fountain.Option) *fountain.Client {
	t.Helper()
	opts = append([]fountain.Option{recorder.Option(t), fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1})}, opts...)
	c, err := fountain.New(gateway, opts...)
	require.NoError(t, err)
	return c
}

func TestKill_everyAcknowledgedNumberIsThereOnceAndWithoutAGap(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d rounds", seed, rounds())
	random := rand.New(rand.NewPCG(seed, 1))

	p := harness.StartProcess(t, dir)
	token, err := os.ReadFile(filepath.Join(dir, "kms", "bootstrap.token"))
	require.NoError(t, err)
	_, err = client(t, p).KMS.BootstrapAdmin(context.Background(), kms.AdminBootstrap{Token: strings.TrimSpace(string(token)), Username: "ada", Password: password})
	require.NoError(t, err)

	acknowledged := map[int64]string{}
	for round := range rounds() {
		appendUntilKilled(t, p, round, time.Duration(100+random.IntN(600))*time.Millisecond, acknowledged)
		p = harness.StartProcess(t, dir)
		check(t, p, acknowledged)
	}
	t.Logf("%d numbers acknowledged, all there", len(acknowledged))
	p.Stop()
}

// appendUntilKilled appends from many goroutines and kills the process meanwhile.
func appendUntilKilled(t *testing.T, p *harness.Process, round int, life time.Duration, acknowledged map[int64]string) {
	c := client(t, p, fountain.WithUser("ada", password))
	_, err := c.Token(context.Background(), "sequence")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var mu sync.Mutex
	var wg sync.WaitGroup
	var last error
	working := make(chan struct{})
	first := sync.OnceFunc(func() { close(working) })
	for i := range appenders {
		wg.Go(func() {
			for j := 0; ctx.Err() == nil; j++ {
				id := fmt.Sprintf("r%d-a%d-%d", round, i, j)
				e, err := c.Sequence.CreateElement(ctx, "chaos", "line", sequence.ElementCreate{ID: &id, Data: json.RawMessage(`{"text":"x"}`)})
				mu.Lock()
				if err != nil { // the process has ended
					last = err
					mu.Unlock()
					return
				}
				if other, twice := acknowledged[e.Number]; twice {
					t.Errorf("number %d was given to %s and to %s", e.Number, other, id)
				}
				acknowledged[e.Number] = id
				mu.Unlock()
				first()
			}
		})
	}
	await(t, working, func() error { mu.Lock(); defer mu.Unlock(); return last })
	time.Sleep(life) // the time of the kill is random
	p.Kill()
	stop()
	wg.Wait()
}

// await waits for the first acknowledged number of a round, so that every kill comes in the middle of work.
func await(t *testing.T, working <-chan struct{}, last func() error) {
	t.Helper()
	select {
	case <-working:
	case <-time.After(time.Minute):
		t.Fatalf("no number was acknowledged within a minute: %v", last())
	}
}

// check requires the numbers 1..N without a gap, and every acknowledged number with its element.
func check(t *testing.T, p *harness.Process, acknowledged map[int64]string) {
	t.Helper()
	checkNumbers(t, client(t, p, fountain.WithUser("ada", password)), acknowledged)
}

func checkNumbers(t *testing.T, c *fountain.Client, acknowledged map[int64]string) {
	t.Helper()
	stored := map[int64]string{}
	next := int64(1)
	for e, err := range c.Sequence.Elements(context.Background(), "chaos", "line") {
		require.NoError(t, err)
		require.Equal(t, next, e.Number, "a gap, or a number twice")
		stored[e.Number] = e.ID
		next++
	}
	for number, id := range acknowledged {
		require.Equal(t, id, stored[number], "acknowledged number %d", number)
	}
}
