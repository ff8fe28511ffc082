package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// replica is one `fountain serve WORD` process that can be restarted.
type replica struct {
	t     *testing.T
	word  string // in a given family, the name of the service in the compose file
	given bool
	env   []string
	cmd   *exec.Cmd
	url   string
}

// newReplica starts a sequence service on a PostgreSQL database that it shares with others, or on SQLite if database is
// "".
func newReplica(t *testing.T, services map[string]string, issuer, database, enrolmentToken string, settings ...string) *replica {
	t.Helper()
	settings = append([]string{"ADDR=127.0.0.1:0", "SEARCH_URL=" + services["search"], "DRAIN_DELAY=1ms"}, settings...)
	if database != "" {
		settings = append(settings, "DATABASE_URL_FILE="+write(t, database))
	}
	return serve(t, "sequence", services["kms"], issuer, enrolmentToken, settings...)
}

// write writes a secret to a file.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// serve starts a service of a family. If a setting occurs twice, the later one applies.
func serve(t *testing.T, word, kms, issuer, enrolmentToken string, settings ...string) *replica {
	t.Helper()
	harness.Own(t, "it is about services that the test starts itself")
	r := &replica{t: t, word: word}
	for _, setting := range append([]string{
		"ADMIN_ADDR=127.0.0.1:0", "DATA_DIR=" + t.TempDir(), "ENROL_TOKEN_FILE=" + write(t, enrolmentToken), "ISSUER=" + issuer, "KMS_URL=" + kms,
		"JWKS_URL=" + kms + "/kms/v1/.well-known/jwks.json",
	}, settings...) {
		r.env = append(r.env, "FOUNTAIN_"+strings.ToUpper(word)+"_"+setting)
	}
	r.start()
	return r
}

func (r *replica) start() {
	r.t.Helper()
	if r.given {
		harness.Driver(r.t, "start", r.word)
		return
	}
	r.cmd = exec.Command(harness.Binary(r.t), "serve", r.word)
	r.cmd.Env = append(os.Environ(), r.env...)
	stdout, err := r.cmd.StdoutPipe()
	require.NoError(r.t, err)
	var stderr strings.Builder
	r.cmd.Stderr = &stderr
	require.NoError(r.t, r.cmd.Start())
	r.t.Cleanup(func() { _ = r.cmd.Process.Kill() }) // it has ended already, usually
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if addr, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			r.url = "http://" + addr
			return
		}
	}
	_ = r.cmd.Wait() // it failed, and stderr says why
	r.t.Fatalf("serve %s ended before it was ready: %s", r.word, stderr.String())
}

// stop stops the service as an operator does.
func (r *replica) stop() {
	r.t.Helper()
	if r.given {
		harness.Driver(r.t, "stop", r.word)
		return
	}
	require.NoError(r.t, r.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(r.t, r.cmd.Wait(), "SIGTERM drains and exits 0")
}

func (r *replica) kill() {
	r.t.Helper()
	if r.given {
		harness.Driver(r.t, "kill", r.word)
		return
	}
	require.NoError(r.t, r.cmd.Process.Signal(syscall.SIGKILL))
	_ = r.cmd.Wait() // it was killed, and says so
}

// TestKill_ofOneReplicaLosesNoNumberOnPostgreSQL appends through two replicas and kills one of them meanwhile, round
// after round.
func TestKill_ofOneReplicaLosesNoNumberOnPostgreSQL(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d rounds", seed, rounds())
	random := rand.New(rand.NewPCG(seed, 2))
	if harness.IsGiven() {
		h, replicas := givenHousehold(t, "sequence", "sequence-2")
		session := fountain.WithTokenSource(fountain.TokenSourceFunc(h.admin.Token))
		acknowledged := map[int64]string{}
		for round := range rounds() {
			victim := replicas[random.IntN(2)]
			appendThrough(t, h.gateway, session, replicas, fmt.Sprint(h.people, round), acknowledged, func() {
				time.Sleep(time.Duration(50+random.IntN(300)) * time.Millisecond) // the time of the kill is random
				victim.kill()
			})
			victim.start()
			checkNumbers(t, h.admin, acknowledged)
		}
		t.Logf("%d numbers acknowledged, all there", len(acknowledged))
		return
	}
	database := harness.Postgres(t)
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, "ada", password)
	services := p.Services()
	session := fountain.WithTokenSource(fountain.TokenSourceFunc(admin.Token)) // one session for all rounds: sign-ins are limited by address
	metadata, err := admin.KMS.GetServerMetadata(context.Background())
	require.NoError(t, err)
	replicas := []*replica{
		newReplica(t, services, metadata.Issuer, database, harness.EnrolmentToken(t, admin, "sequence")),
		newReplica(t, services, metadata.Issuer, database, harness.EnrolmentToken(t, admin, "sequence")),
	}
	acknowledged := map[int64]string{}
	for round := range rounds() {
		victim := replicas[random.IntN(2)]
		appendThrough(t, p.URL, session, replicas, fmt.Sprint("r", round), acknowledged, func() {
			time.Sleep(time.Duration(50+random.IntN(300)) * time.Millisecond) // the time of the kill is random
			victim.kill()
		})
		victim.start()
		checkNumbers(t, client(t, p, session, fountain.WithServiceURL("sequence", victim.url)), acknowledged)
	}
	t.Logf("%d numbers acknowledged, all there", len(acknowledged))
	for _, r := range replicas {
		r.stop()
	}
}

// appendThrough appends through all replicas until disturb has returned. Calls to a killed replica fail; the others
// continue.
func appendThrough(t *testing.T, gateway string, session fountain.Option, replicas []*replica, round string, acknowledged map[int64]string, disturb func()) {
	ctx, stop := context.WithCancel(context.Background())
	var mu sync.Mutex
	var wg sync.WaitGroup
	var last error
	working := make(chan struct{})
	first := sync.OnceFunc(func() { close(working) })
	for n, r := range replicas {
		c := clientOf(t, gateway, session, fountain.WithServiceURL("sequence", r.url))
		for i := range appenders / 2 {
			wg.Go(func() {
				for j := 0; ctx.Err() == nil; j++ {
					id := fmt.Sprintf("%s-n%d-a%d-%d", round, n, i, j)
					e, err := c.Sequence.CreateElement(ctx, "chaos", "line", sequence.ElementCreate{ID: &id, Data: json.RawMessage(`{"text":"x"}`)})
					mu.Lock()
					if err != nil {
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
	}
	await(t, working, func() error { mu.Lock(); defer mu.Unlock(); return last })
	disturb()
	stop()
	wg.Wait()
}
