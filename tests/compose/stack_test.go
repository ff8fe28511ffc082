//go:build compose

package compose

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/tests/harness"
)

// stack is the family in containers of its own, on ports of its own.
type stack struct {
	t     *testing.T
	env   []string
	site  string // localhost:port
	roots *x509.CertPool
}

func newStack(t *testing.T) *stack {
	t.Helper()
	for _, name := range []string{"COMPOSE", "DOCKER"} {
		require.NotEmpty(t, os.Getenv(name), "%s names a binary: make compose-proof", name)
	}
	port := func() string {
		_, port, err := net.SplitHostPort(harness.FreeAddress(t))
		require.NoError(t, err)
		return port
	}
	https := port()
	s := &stack{t: t, site: "localhost:" + https}
	s.env = append(os.Environ(), "COMPOSE_PROJECT_NAME=fountainproof"+strings.ToLower(rand.Text()[:8]), "FOUNTAIN_SITE="+s.site, "FOUNTAIN_HTTPS_PORT="+https,
		"FOUNTAIN_HTTP_PORT="+port(), "FOUNTAIN_SECRETS="+t.TempDir(), "COMPOSE_PROFILES=")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.try("logs", "--tail", "40"))
		}
		t.Log(s.try("down", "-v", "--remove-orphans", "--timeout", "5"))
	})
	return s
}

// try runs a command of Compose and returns all that it wrote.
func (s *stack) try(args ...string) string {
	out, err := s.command(os.Getenv("COMPOSE"), args...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s\n%v", out, err)
	}
	return string(out)
}

func (s *stack) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), s.env
	return cmd
}

// run runs a command of Compose, which must succeed, and returns its standard output.
func (s *stack) run(args ...string) string {
	s.t.Helper()
	return s.out(os.Getenv("COMPOSE"), args...)
}

func (s *stack) docker(args ...string) string {
	s.t.Helper()
	return s.out(os.Getenv("DOCKER"), args...)
}

func (s *stack) out(name string, args ...string) string {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := s.command(name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(s.t, cmd.Run(), "%s %v: %s", name, args, &stderr)
	return strings.TrimSpace(stdout.String())
}

// up waits until every container is healthy.
func (s *stack) up() time.Duration {
	s.t.Helper()
	began := time.Now()
	s.run("up", "-d", "--wait", "--wait-timeout", "300", "--pull", "never", "--no-build")
	took := time.Since(began)
	file := filepath.Join(s.t.TempDir(), "root.crt")
	s.run("cp", "caddy:/data/caddy/pki/authorities/local/root.crt", file)
	root, err := os.ReadFile(file)
	require.NoError(s.t, err)
	s.roots = x509.NewCertPool()
	require.True(s.t, s.roots.AppendCertsFromPEM(root))
	return took
}

// trusting is an option of clients that verify Caddy's own authority.
func (s *stack) trusting() fountain.Option { return fountain.WithRootCAs(s.roots) }

func (s *stack) url() string { return "https://" + s.site }

// container is what the engine says of a service's container.
type container struct {
	RestartCount int
	State        struct {
		Pid    int
		Health struct{ Status string }
	}
	Config struct{ Labels map[string]string }
}

func (s *stack) inspect(service string) container {
	s.t.Helper()
	var out []container
	require.NoError(s.t, json.Unmarshal([]byte(s.docker("inspect", s.run("ps", "-q", service))), &out))
	require.Len(s.t, out, 1)
	return out[0]
}

// kill ends the process of a container from outside (`docker kill` would count as the operator's own stop), and waits until the engine has started it again.
func (s *stack) kill(service string) time.Duration {
	s.t.Helper()
	before := s.inspect(service)
	require.Greater(s.t, before.State.Pid, 1)
	began := time.Now()
	require.NoError(s.t, syscall.Kill(before.State.Pid, syscall.SIGKILL))
	require.Eventually(s.t, func() bool {
		now := s.inspect(service)
		return now.RestartCount > before.RestartCount && now.State.Pid != before.State.Pid && now.State.Health.Status == "healthy"
	}, 3*time.Minute, 200*time.Millisecond, "%s is healthy again", service)
	return time.Since(began)
}

// images tells which of them are stand-ins.
func (s *stack) images() {
	s.t.Helper()
	for _, image := range slices.Compact(slices.Sorted(strings.FieldsSeq(s.run("config", "--images")))) {
		label := s.docker("image", "inspect", "-f", `{{index .Config.Labels "fountain.standin"}}`, image)
		size, err := strconv.ParseInt(s.docker("image", "inspect", "-f", "{{.Size}}", image), 10, 64)
		require.NoError(s.t, err)
		what := "no stand-in"
		if label != "" {
			what = "a stand-in"
		}
		s.t.Logf("%s: %s, %.1f MB", image, what, float64(size)/1e6)
	}
}

// writeToken puts the token for the first administrator into a file.
func (s *stack) writeToken() string {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "token")
	require.NoError(s.t, os.WriteFile(file, []byte(s.run("exec", "-T", "kms", "/fountain", "bootstrap-token", "--show")), 0o600))
	return file
}

// stranger is a client that does not know Caddy's authority.
func (s *stack) stranger() error {
	c, err := fountain.New(s.url())
	require.NoError(s.t, err)
	_, err = c.KMS.GetServerMetadata(context.Background())
	return err
}
