//go:build edge

package edge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/tests/harness"
)

// restarts is how often the gateway is restarted: twice in CI, 30 for a proof (`make prove`).
func restarts() int {
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		return 30
	}
	return 2
}

// gateways are processes of `fountain serve gateway` that can be started again at their addresses.
type gateways struct {
	t         *testing.T
	env       [][]string
	addresses []string
	processes []*process
}

// startGateways starts some in front of a family's services. They trust Caddy, as the gateway of the compose file does.
func startGateways(t *testing.T, n int, services map[string]string, issuer string, admin *fountain.Client, drainDelay string) *gateways {
	t.Helper()
	g := &gateways{t: t, processes: make([]*process, n)}
	for i := range n {
		token := filepath.Join(t.TempDir(), "token")
		require.NoError(t, os.WriteFile(token, []byte(harness.EnrolmentToken(t, admin, "gateway")), 0o600))
		g.addresses = append(g.addresses, harness.FreeAddress(t))
		var env []string
		for _, setting := range []string{
			"ADDR=" + g.addresses[i], "ADMIN_ADDR=127.0.0.1:0", "DATA_DIR=" + t.TempDir(), "ENROL_TOKEN_FILE=" + token, "ISSUER=" + issuer,
			"KMS_URL=" + services["kms"], "JWKS_URL=" + services["kms"] + "/kms/v1/.well-known/jwks.json", "TWOFACTOR_URL=" + services["twofactor"],
			"SEARCH_URL=" + services["search"], "SEQUENCE_URL=" + services["sequence"], "TRUSTED_PROXIES=127.0.0.0/8", "DRAIN_DELAY=" + drainDelay,
		} {
			env = append(env, "FOUNTAIN_GATEWAY_"+setting)
		}
		g.env = append(g.env, env)
		g.start(i)
	}
	return g
}

func (g *gateways) start(i int) {
	g.t.Helper()
	g.processes[i] = start(g.t, g.env[i], program, "serve", "gateway")
	_, ok := g.processes[i].stdout.line("ready ")
	require.True(g.t, ok, "the gateway ended before it was ready")
}

// stop ends one as an operator does.
func (g *gateways) stop(i int) {
	g.t.Helper()
	g.processes[i].stop(g.t)
	require.True(g.t, g.processes[i].cmd.ProcessState.Success(), "SIGTERM drains and exits 0")
}

// The only gateway is restarted under load, and stays away for a while every other time: Caddy lets requests wait for it, and none fails.
func TestRestart_ofTheOnlyGatewayFailsNoRequest(t *testing.T) {
	restartUnderLoad(t, 1, 2*time.Second)
}

// One of two gateways is restarted after the other, and stays away for a while every other time: the other one takes the requests, and none fails.
func TestRestart_ofTwoGatewaysInTurnFailsNoRequest(t *testing.T) {
	restartUnderLoad(t, 2, 2*time.Second)
}

func restartUnderLoad(t *testing.T, n int, away time.Duration) {
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, username, password)
	metadata, err := admin.KMS.GetServerMetadata(t.Context())
	require.NoError(t, err)
	g := startGateways(t, n, p.Services(), metadata.Issuer, admin, "2500ms")
	e := startEdge(t, "localhost", strings.Join(g.addresses, " "))
	c := e.sdk(t, fountain.WithTokenSource(fountain.TokenSourceFunc(admin.Token)), fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1}))
	traffic := harness.StartTraffic(t, c, 8)
	var longest time.Duration
	for round := range restarts() {
		traffic.AwaitMore(50)
		began := time.Now()
		g.stop(round % n)
		if round%2 == 1 {
			time.Sleep(away) // what an upgrade or a slow start takes
		}
		g.start(round % n)
		longest = max(longest, time.Since(began))
	}
	traffic.AwaitMore(50)
	done, slowest := traffic.Stop()
	t.Logf("%d restarts, the longest took %s; %d requests, the slowest took %s", restarts(), longest, done, slowest)
}
