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
	"net/url"
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

// stack is one deployment of the compose file, with its own containers and ports.
type stack struct {
	t           *testing.T
	env         []string
	project     string
	https, http string            // published ports
	site        string            // localhost:port
	secrets     string            // directory of the profiles' secrets
	known       map[string]string // secrets that must not appear anywhere, by name
	roots       *x509.CertPool
}

// newStack prepares a stack with its own secrets, and with the compose file's default settings or the given ones.
func newStack(t *testing.T, settings ...string) *stack {
	t.Helper()
	for _, name := range []string{"COMPOSE", "DOCKER"} {
		require.NotEmpty(t, os.Getenv(name), "%s names a binary: make compose-proof", name)
	}
	port := func() string {
		_, port, err := net.SplitHostPort(harness.FreeAddress(t))
		require.NoError(t, err)
		return port
	}
	s := &stack{t: t, project: "fountainproof" + os.Getenv("FOUNTAIN_COMPOSE_RUN") + strings.ToLower(rand.Text()[:8]), https: port(), http: port(), secrets: filepath.Join(t.TempDir(), "secrets"), known: map[string]string{}}
	s.site = "localhost:" + s.https
	for _, entry := range os.Environ() { // settings of the developer must not change the test
		if !strings.HasPrefix(entry, "COMPOSE_") && !strings.HasPrefix(entry, "FOUNTAIN_") {
			s.env = append(s.env, entry)
		}
	}
	if len(settings) == 0 {
		settings = []string{"COMPOSE_PROFILES="}
	}
	s.env = append(append(s.env, "COMPOSE_PROJECT_NAME="+s.project, "FOUNTAIN_SITE="+s.site, "FOUNTAIN_HTTPS_PORT="+s.https, "FOUNTAIN_HTTP_PORT="+s.http, "FOUNTAIN_SECRETS="+s.secrets), settings...)
	s.out("tools/secrets.sh", s.secrets)
	require.NoError(t, filepath.WalkDir(s.secrets, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(filepath.Base(path), ".") { // files with an extension are derived from the others
			return err
		}
		text, err := os.ReadFile(path)
		s.known[strings.TrimPrefix(path, s.secrets+"/")] = strings.TrimSpace(string(text))
		if at, err := url.Parse(strings.TrimSpace(string(text))); err == nil && at.User != nil {
			s.known["password of "+strings.TrimPrefix(path, s.secrets+"/")], _ = at.User.Password()
		}
		return err
	}))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.try("logs", "--tail", "40"))
		}
		t.Log(s.try("down", "-v", "--remove-orphans", "--timeout", "5"))
	})
	return s
}

// try runs a command of Compose, which may fail, and returns its output.
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
	s.roots = x509.NewCertPool()
	require.True(s.t, s.roots.AppendCertsFromPEM([]byte(s.file("caddy", "/data/caddy/pki/authorities/local/root.crt"))))
	return took
}

func (s *stack) url() string { return "https://" + s.site }

// container is the inspection of a service's container by the engine.
type container struct {
	RestartCount int
	State        struct {
		Pid    int
		Health struct{ Status string }
	}
	Name   string
	Config struct {
		Image  string
		Labels map[string]string
		Env    []string
	}
	NetworkSettings struct {
		Ports    map[string][]struct{ HostIP, HostPort string }
		Networks map[string]struct{ IPAddress string }
	}
}

func (s *stack) inspect(service string) container {
	s.t.Helper()
	out := s.containers(service)
	require.Len(s.t, out, 1)
	return out[0]
}

// containers returns the containers of the given services; of all without any.
func (s *stack) containers(services ...string) (out []container) {
	s.t.Helper()
	ids := strings.Fields(s.run(append([]string{"ps", "-a", "-q"}, services...)...))
	require.NotEmpty(s.t, ids)
	require.NoError(s.t, json.Unmarshal([]byte(s.docker(append([]string{"inspect"}, ids...)...)), &out))
	return out
}

// address returns the address of a container on one of the stack's networks.
func (s *stack) address(service, network string) string {
	s.t.Helper()
	at := s.inspect(service).NetworkSettings.Networks[s.project+"_"+network].IPAddress
	require.NotEmpty(s.t, at, "%s is on %s", service, network)
	return at
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

// logImages logs the images, and which of them are stand-ins.
func (s *stack) logImages() {
	s.t.Helper()
	for _, image := range slices.Compact(slices.Sorted(strings.FieldsSeq(s.run("config", "--images")))) {
		label := s.docker("image", "inspect", "-f", `{{index .Config.Labels "fountain.standin"}}`, image)
		size, err := strconv.ParseInt(s.docker("image", "inspect", "-f", "{{.Size}}", image), 10, 64)
		require.NoError(s.t, err)
		kind := "not a stand-in"
		if label != "" {
			kind = "a stand-in: " + label
		}
		s.t.Logf("%s: %s, %.1f MB", image, kind, float64(size)/1e6)
	}
}

// file returns the content of a file in a container.
func (s *stack) file(service, path string) string {
	s.t.Helper()
	to := filepath.Join(s.t.TempDir(), "file")
	s.run("cp", service+":"+path, to)
	text, err := os.ReadFile(to)
	require.NoError(s.t, err)
	return string(text)
}

// callUntrusting makes a call with a client that does not trust Caddy's certificate authority, and returns its error.
func (s *stack) callUntrusting() error {
	c, err := fountain.New(s.url())
	require.NoError(s.t, err)
	_, err = c.KMS.GetServerMetadata(context.Background())
	return err
}
