package main

import (
	"bytes"
	"context"
	"errors"
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
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/recorder"
)

// asMain makes the test binary behave as the command itself.
const asMain = "FOUNTAIN_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command prepares a run of the binary with its own environment.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = []string{asMain + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir()}
	return cmd
}

// result is the result of a run.
type result struct {
	code           int
	stdout, stderr string
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func run(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, command(t, args...))
}

// sentenceOf returns the single line with which a failed command ends.
func (r result) sentenceOf(t *testing.T) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	var own []string
	for _, l := range lines {
		if !strings.HasPrefix(l, "{") { // the log
			own = append(own, l)
		}
	}
	require.Len(t, own, 1, r.stderr)
	require.True(t, strings.HasPrefix(own[0], "fountain: "), own[0])
	return strings.TrimPrefix(own[0], "fountain: ")
}

// up is a `fountain up` process.
type up struct {
	cmd    *exec.Cmd
	data   string
	url    string
	stdout *output
	stderr *output
	ended  chan struct{}
}

// output collects the output of a process.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // has one element if there is new output
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// startUp runs `fountain up` on a data directory until the test ends, and waits for its ready line.
func startUp(t *testing.T, data string, settings ...string) *up {
	t.Helper()
	u := &up{data: data, stdout: newOutput(), stderr: newOutput(), ended: make(chan struct{})}
	u.cmd = command(t, "up", "--data", data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	u.cmd.Env = append(u.cmd.Env, settings...)
	u.cmd.Stdout, u.cmd.Stderr = u.stdout, u.stderr
	require.NoError(t, u.cmd.Start())
	go func() { _ = u.cmd.Wait(); close(u.ended) }()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(u.stderr.String())
		}
		_ = u.cmd.Process.Kill() // may have ended
		<-u.ended
	})
	deadline := time.After(5 * time.Minute)
	for {
		line, rest, _ := strings.Cut(u.stdout.String(), "\n")
		if strings.HasPrefix(line, "ready ") && strings.Contains(u.stderr.String(), "\n  data ") { // two pipes, in any order
			require.Empty(t, rest)
			u.url = strings.TrimPrefix(line, "ready ")
			return u
		}
		select {
		case <-u.stdout.more:
		case <-u.stderr.more:
		case <-u.ended:
			t.Fatalf("up ended: %s", u.stderr)
		case <-deadline:
			t.Fatalf("up is not ready: %s", u.stderr)
		}
	}
}

// term stops the process and returns its exit code.
func (u *up) term(t *testing.T) int {
	t.Helper()
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-u.ended:
	case <-time.After(5 * time.Minute):
		t.Fatal("up did not end after SIGTERM")
	}
	return u.cmd.ProcessState.ExitCode()
}

// password writes a password for this test into a file.
func password(t *testing.T) (path, text string) {
	t.Helper()
	text = "a lamp for " + strings.ToLower(t.Name())
	path = filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path, text
}

// bootstrap creates the first administrator, ada.
func (u *up) bootstrap(t *testing.T, password string) {
	t.Helper()
	u.bootstrapInvited(t, password)
}

// bootstrapInvited creates the first administrator and returns the invitation for an authenticator.
func (u *up) bootstrapInvited(t *testing.T, password string) string {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(u.data, "kms", "bootstrap.token"))
	require.NoError(t, err)
	c, err := fountain.New(u.url, recorder.Option(t))
	require.NoError(t, err)
	made, err := c.KMS.BootstrapAdmin(context.Background(), kms.AdminBootstrap{Token: strings.TrimSpace(string(token)), Username: "ada", Password: password})
	require.NoError(t, err)
	return made.Invitation.Token
}
