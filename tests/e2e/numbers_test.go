package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	impl "github.com/fountainai/fountain/impl/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

const appenders = 200

// appendOne appends an element and retries if it is refused because of overload, as on a slow machine; a refused call
// takes no number. It waits between attempts, because 200 appenders without a pause would exceed the request limit of
// one address.
func appendOne(c *fountain.Client, scope string, data json.RawMessage) (*sequence.Element, error) {
	for {
		e, err := c.Sequence.CreateElement(context.Background(), scope, "line", sequence.ElementCreate{Data: data})
		var refusal *fountain.Error
		if !errors.As(err, &refusal) || refusal.Code != fountain.CodeOverloaded {
			return e, err
		}
		time.Sleep(max(refusal.RetryAfter, time.Second))
	}
}

// appendAll appends from 200 goroutines through the clients in turn, and requires the numbers 1..N, each once.
func appendAll(t *testing.T, scope string, each int, clients ...*fountain.Client) {
	t.Helper()
	var mu sync.Mutex
	var numbers []int64
	var wg sync.WaitGroup
	for i := range appenders {
		wg.Go(func() {
			for j := range each {
				data := json.RawMessage(fmt.Sprintf(`{"text":"line %d of appender %d"}`, j, i))
				e, err := appendOne(clients[(i+j)%len(clients)], scope, data)
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				numbers = append(numbers, e.Number)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Len(t, numbers, appenders*each)
	slices.Sort(numbers)
	for i, n := range numbers {
		require.Equal(t, int64(i+1), n, "the numbers must be exactly 1..N")
	}
	stored, err := fountain.Collect(clients[0].Sequence.Elements(context.Background(), scope, "line"))
	require.NoError(t, err)
	require.Len(t, stored, appenders*each)
	require.Equal(t, int64(appenders*each), stored[len(stored)-1].Number)
}

func TestNumbers_are1toNUnder200AppendersOnSQLite(t *testing.T) {
	f := harness.Start(t)
	f.Bootstrap()
	appendAll(t, "contended", 5, f.Admin())
}

// TestNumbers_are1toNUnder200AppendersOnTwoReplicas runs two more sequence services on one PostgreSQL database,
// enrolled as a second and a third instance.
func TestNumbers_are1toNUnder200AppendersOnTwoReplicas(t *testing.T) {
	database := harness.Postgres(t)
	f := harness.Start(t)
	f.Bootstrap()
	admin := f.Admin()
	f.EnrolTOTP(admin)
	replicas := []*fountain.Client{replica(t, f, admin, database), replica(t, f, admin, database)}
	appendAll(t, "contended", 5, replicas...)
}

// replica starts one more instance of the sequence service and returns a client that calls it directly.
func replica(t *testing.T, f *harness.Family, admin *fountain.Client, database string) *fountain.Client {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(token, []byte(harness.EnrolmentToken(t, admin, "sequence")), 0o600))
	databaseFile := filepath.Join(dir, "database-url")
	require.NoError(t, os.WriteFile(databaseFile, []byte(database), 0o600))
	listener := harness.Listen(t)
	ready, ended := make(chan struct{}), make(chan error, 1)
	c := impl.Config{SearchURL: f.Info.Services["search"]}
	c.Listener, c.DataDir, c.DatabaseURLFile, c.EnrolTokenFile = listener, dir, databaseFile, token
	metadata, err := admin.KMS.GetServerMetadata(ctx)
	require.NoError(t, err)
	c.Issuer, c.KMSURL, c.JWKSURL = metadata.Issuer, f.Info.Services["kms"], f.Info.Services["kms"]+"/kms/v1/.well-known/jwks.json"
	c.Clock, c.DrainDelay, c.OnReady = f.Clock, time.Nanosecond, func() { close(ready) }
	go func() { ended <- impl.Run(ctx, c) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("the replica did not start: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("the replica was not ready in 30 s")
	}
	return f.Client(fountain.WithUser(harness.Username, f.Password), fountain.WithServiceURL("sequence", "http://"+listener.Addr().String()))
}
