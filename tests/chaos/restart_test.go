package chaos

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/tests/harness"
)

// restarts is how often a service is restarted: a few times in CI, 30 for a proof (`make prove`).
func restarts() int {
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		return 30
	}
	return 3
}

// freeAddress is an address that a service can be restarted on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Two replicas are restarted in turn under load: no request fails. What is written is sent with an Idempotency-Key, so that it may be repeated.
func TestRestart_ofReplicasInTurnFailsNoRequest(t *testing.T) {
	restartUnderLoad(t, harness.Postgres(t), 2, 16, 0, "100ms")
}

// The only instance is restarted under moderate load. It drains for longer than it takes to see that, and stays away for a while every other
// time: requests wait for it, and none fails.
func TestRestart_ofTheOnlyInstanceFailsNoRequest(t *testing.T) {
	restartUnderLoad(t, "", 1, 4, 3*time.Second, "2500ms")
}

func restartUnderLoad(t *testing.T, database string, instances, workers int, away time.Duration, drainDelay string) {
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, "ada", password)
	services := p.Services()
	metadata, err := admin.KMS.GetServerMetadata(context.Background())
	require.NoError(t, err)
	var replicas []*replica
	var addresses []string
	for range instances {
		at := freeAddress(t)
		token := harness.EnrolmentToken(t, admin, "sequence")
		replicas = append(replicas, newReplica(t, services, metadata.Issuer, database, token, "ADDR="+at, "DRAIN_DELAY="+drainDelay))
		addresses = append(addresses, "http://"+at)
	}
	gateway := serve(t, "gateway", services["kms"], metadata.Issuer, harness.EnrolmentToken(t, admin, "gateway"), "ADDR=127.0.0.1:0", "DRAIN_DELAY=1ms",
		"TWOFACTOR_URL="+services["twofactor"], "SEARCH_URL="+services["search"], "SEQUENCE_URL="+strings.Join(addresses, ","))
	load := harness.StartTraffic(t, client(t, p, fountain.WithTokenSource(fountain.TokenSourceFunc(admin.Token)), fountain.WithServiceURL("sequence", gateway.url)), workers)
	var longest time.Duration
	for round := range restarts() {
		load.AwaitMore(50)
		began := time.Now()
		r := replicas[round%len(replicas)]
		r.stop()
		if round%2 == 1 {
			time.Sleep(away) // what an upgrade or a slow start takes
		}
		r.start()
		longest = max(longest, time.Since(began))
	}
	load.AwaitMore(50)
	done, slowest := load.Stop()
	t.Logf("%d restarts, the longest took %s; %d requests, the slowest took %s", restarts(), longest, done, slowest)
	gateway.stop()
	for _, r := range replicas {
		r.stop()
	}
}
