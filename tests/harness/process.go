package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/recorder"
)

// Process is `fountain up` in a process of its own.
type Process struct {
	tb     testing.TB
	cmd    *exec.Cmd
	URL    string        // of the gateway
	Took   time.Duration // time from exec to the ready line
	stderr *lockedBuffer
	stdout *lockedBuffer
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// StartProcess runs `fountain up` on dir and waits for its ready line. The process is killed when the test ends.
func StartProcess(tb testing.TB, dir string, args ...string) *Process {
	tb.Helper()
	Own(tb, "it is about a process that the test starts itself")
	p := &Process{tb: tb, stderr: &lockedBuffer{}, stdout: &lockedBuffer{}}
	p.cmd = exec.Command(Binary(tb), append([]string{"up", "--data", dir, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, args...)...)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(tb, err)
	p.cmd.Stderr = p.stderr
	began := time.Now()
	require.NoError(tb, p.cmd.Start())
	tb.Cleanup(func() { _ = p.cmd.Process.Kill() }) // it has ended already, usually
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		_, _ = fmt.Fprintln(p.stdout, lines.Text())
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			p.URL, p.Took = url, time.Since(began)
			return p
		}
	}
	_ = p.cmd.Wait() // it failed, and stderr says why
	tb.Fatalf("fountain up ended before it was ready: %s", p.stderr)
	return nil
}

// Output returns everything that the process has printed.
func (p *Process) Output() string { return p.stdout.String() + p.stderr.String() }

// Kill kills the process as a power cut would.
func (p *Process) Kill() {
	p.tb.Helper()
	require.NoError(p.tb, p.cmd.Process.Signal(syscall.SIGKILL))
	_ = p.cmd.Wait() // it was killed, and says so
}

// Stop stops the process with SIGTERM. The test fails unless its exit status is 0.
func (p *Process) Stop() {
	p.tb.Helper()
	require.NoError(p.tb, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(p.tb, p.cmd.Wait(), "SIGTERM drains and exits 0: %s", p.stderr)
	require.NotContains(p.tb, p.Output(), "answer violates the contract", "the gateway holds every answer against the contract")
}

// RSS returns the resident memory in MiB, as the kernel counts it.
func (p *Process) RSS() float64 {
	p.tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(p.tb, err)
	for _, line := range strings.Split(string(status), "\n") {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	p.tb.Fatal("the kernel tells no VmRSS")
	return 0
}

// CPU returns the processor time that the process has used, which the kernel counts in hundredths of a second.
func (p *Process) CPU() time.Duration {
	p.tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	require.NoError(p.tb, err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the name before it may contain spaces
	require.Greater(p.tb, len(fields), 12)
	var ticks int64
	for _, f := range fields[11:13] { // user mode and kernel mode
		n, err := strconv.ParseInt(f, 10, 64)
		require.NoError(p.tb, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// AdminURL returns the base URL of the admin port.
func (p *Process) AdminURL() string {
	p.tb.Helper()
	told := regexp.MustCompile(`(http://[^ ]+)/services`).FindStringSubmatch(p.stderr.String())
	require.NotNil(p.tb, told, "the admin address is not told")
	return told[1]
}

// Services asks the admin port for the base URL of each service, by name.
func (p *Process) Services() map[string]string {
	p.tb.Helper()
	var list []struct{ Word, Address string }
	require.NoError(p.tb, json.Unmarshal(p.admin("/services"), &list))
	out := map[string]string{}
	for _, s := range list {
		out[s.Word] = s.Address
	}
	return out
}

// Metrics returns the Prometheus metrics of the admin port.
func (p *Process) Metrics() string {
	p.tb.Helper()
	return string(p.admin("/metrics"))
}

// admin reads a path of the admin port.
func (p *Process) admin(path string) []byte {
	p.tb.Helper()
	res, err := http.Get(p.AdminURL() + path)
	require.NoError(p.tb, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(p.tb, err)
	return body
}

// Bootstrap creates the first administrator of a process on dir and enrols an authenticator. It returns a client signed
// in as the administrator, which can answer one second-factor challenge for each service. It uses the machine's own
// clock, and confirms the authenticator with the code of the previous time step.
func (p *Process) Bootstrap(dir, username, password string, opts ...fountain.Option) *fountain.Client {
	p.tb.Helper()
	return Bootstrap(p.tb, p.URL, filepath.Join(dir, "kms", "bootstrap.token"), username, password, opts...)
}

// Administrator is Bootstrap that also returns the seed of the authenticator, for tests that sign in elsewhere.
func (p *Process) Administrator(dir, username, password string) (c *fountain.Client, seed string) {
	p.tb.Helper()
	return administrator(p.tb, p.URL, filepath.Join(dir, "kms", "bootstrap.token"), username, password)
}

// Bootstrap bootstraps any gateway, with the token file that the kms behind it has written.
func Bootstrap(tb testing.TB, gateway, tokenFile, username, password string, opts ...fountain.Option) *fountain.Client {
	tb.Helper()
	c, _ := administrator(tb, gateway, tokenFile, username, password, opts...)
	return c
}

func administrator(tb testing.TB, gateway, tokenFile, username, password string, opts ...fountain.Option) (c *fountain.Client, seed string) {
	tb.Helper()
	ctx := context.Background()
	token, err := os.ReadFile(tokenFile)
	require.NoError(tb, err)
	opts = append([]fountain.Option{recorder.Option(tb), fountain.WithUser(username, password), fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) {
		return totp.GenerateCode(seed, time.Now())
	})}, opts...)
	c, err = fountain.New(gateway, opts...)
	require.NoError(tb, err)
	made, err := c.KMS.BootstrapAdmin(ctx, kms.AdminBootstrap{Token: strings.TrimSpace(string(token)), Username: username, Password: password})
	require.NoError(tb, err)
	seed = Enrol(tb, c, &made.Invitation.Token)
	return c, seed
}

// Enrol enrols an authenticator for the client's user and returns its seed. It is confirmed with the code of the
// previous time step, so that the current code is still unused.
func Enrol(tb testing.TB, c *fountain.Client, invitation *string) (seed string) {
	tb.Helper()
	enrolment, err := c.Twofactor.EnrolTotp(context.Background(), twofactor.TotpEnrol{Invitation: invitation})
	require.NoError(tb, err)
	_, err = c.Twofactor.ConfirmTotp(context.Background(), enrolment.FactorID, twofactor.TotpConfirm{Code: StepBefore(tb, enrolment.Secret)})
	require.NoError(tb, err)
	return enrolment.Secret
}

// StepBefore returns an authenticator's code of the previous time step, so that the current code stays unused. It is
// accepted until the current step ends. If less than ten seconds of the step are left, StepBefore waits for the next
// step, because the machine may be busy.
func StepBefore(tb testing.TB, seed string) string {
	tb.Helper()
	const step, enough = 30 * time.Second, 10 * time.Second
	now := time.Now()
	if end := now.Truncate(step).Add(step); end.Sub(now) < enough {
		time.Sleep(time.Until(end)) // the process uses the machine's clock
	}
	code, err := totp.GenerateCode(seed, time.Now().Add(-step))
	require.NoError(tb, err)
	return code
}
