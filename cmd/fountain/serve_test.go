package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/tests/recorder"
)

// service is one service in its own process.
type service struct {
	word   string
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	ended  chan struct{}
}

// serve starts a service with settings by their names without the prefix.
func serve(t *testing.T, word string, settings map[string]string) *service {
	t.Helper()
	s := &service{word: word, cmd: command(t, "serve", word), stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	for name, value := range settings {
		s.cmd.Env = append(s.cmd.Env, "FOUNTAIN_"+strings.ToUpper(word)+"_"+name+"="+value)
	}
	s.cmd.Stdout, s.cmd.Stderr = s.stdout, s.stderr
	require.NoError(t, s.cmd.Start())
	go func() { _ = s.cmd.Wait(); close(s.ended) }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(word, s.stderr.String())
		}
		_ = s.cmd.Process.Kill() // may have ended
		<-s.ended
	})
	return s
}

func (s *service) awaitReady(t *testing.T) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !strings.HasPrefix(s.stdout.String(), "ready ") {
		select {
		case <-s.stdout.more:
		case <-s.ended:
			t.Fatalf("%s ended: %s", s.word, s.stderr)
		case <-deadline:
			t.Fatalf("%s is not ready after a minute: %s", s.word, s.stderr)
		}
	}
}

// TestServe_oneProcessPerServiceIsTheSameFamily starts the services in the order with the longest waits: the kms last.
func TestServe_oneProcessPerServiceIsTheSameFamily(t *testing.T) {
	dir := t.TempDir()
	addr := make(map[string]string)
	for _, word := range []string{"kms", "twofactor", "search", "sequence", "gateway"} {
		addr[word] = servicetest.FreeAddress(t)
	}
	settings := func(word string, more ...string) map[string]string {
		out := map[string]string{
			"ADDR": addr[word], "ADMIN_ADDR": "127.0.0.1:0", "DATA_DIR": filepath.Join(dir, word), "ISSUER": "https://fountain.example.org",
			"JWKS_URL": "http://" + addr["kms"] + "/kms/v1/.well-known/jwks.json", "KMS_URL": "http://" + addr["kms"],
			"ENROL_TOKEN_FILE": filepath.Join(dir, "enrol", word, "token"), "DRAIN_DELAY": "10ms", "LOG_LEVEL": "warn",
		}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	gateway := serve(t, "gateway", settings("gateway", "TWOFACTOR_URL", "http://"+addr["twofactor"], "SEARCH_URL", "http://"+addr["search"], "SEQUENCE_URL", "http://"+addr["sequence"]))
	numbers := serve(t, "sequence", settings("sequence", "SEARCH_URL", "http://"+addr["search"]))
	search := serve(t, "search", settings("search"))
	codes := serve(t, "twofactor", settings("twofactor"))
	keys := serve(t, "kms", settings("kms", "ENROL_DIR", filepath.Join(dir, "enrol"), "ROOT_KEY_FILE", filepath.Join(dir, "root-key", "root.key")))
	all := []*service{keys, codes, search, numbers, gateway}
	for _, s := range all {
		s.awaitReady(t)
	}

	u := &up{data: dir, url: "http://" + addr["gateway"]}
	_, pass := password(t)
	u.bootstrap(t, pass)
	c, err := fountain.New(u.url, fountain.WithUser("ada", pass), recorder.Option(t))
	require.NoError(t, err)
	for n := int64(1); n <= 5; n++ {
		e, err := c.Sequence.CreateElement(t.Context(), "hamlet", "action", sequence.ElementCreate{Data: json.RawMessage(`{"text":"Enter ghost."}`)})
		require.NoError(t, err)
		require.Equal(t, n, e.Number)
	}
	for _, s := range all {
		cmd := command(t, "healthcheck")
		cmd.Env = append(cmd.Env, "FOUNTAIN_"+strings.ToUpper(s.word)+"_ADDR="+addr[s.word])
		require.Zero(t, finish(t, cmd).code, s.word)
	}
	for i := len(all) - 1; i >= 0; i-- {
		require.NoError(t, all[i].cmd.Process.Signal(syscall.SIGTERM))
		select {
		case <-all[i].ended:
		case <-time.After(time.Minute):
			t.Fatalf("%s did not end within a minute of SIGTERM", all[i].word)
		}
		require.Zero(t, all[i].cmd.ProcessState.ExitCode(), "%s: %s", all[i].word, all[i].stderr)
	}
}
