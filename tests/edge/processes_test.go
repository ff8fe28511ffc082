//go:build edge

package edge

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

// program is the path of the fountain binary that TestMain builds.
var program string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tests/edge:", err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	for _, name := range []string{"CADDY", "COMPOSE"} {
		if os.Getenv(name) == "" {
			return 1, fmt.Errorf("%s does not name a binary; run: make edge", name)
		}
	}
	dir, err := os.MkdirTemp("", "fountain-edge")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "fountain")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./cmd/fountain")
	build.Dir = root()
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build cmd/fountain: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// root is the top of the repository; go test runs in the package's directory.
func root() string { return filepath.Join("..", "..") }

// process is a program that was started by a test and ends with it.
type process struct {
	cmd    *exec.Cmd
	stdout *output
	stderr *output
	done   chan struct{} // closed when it has ended
}

// start runs a program until the test ends; stop ends it earlier.
func start(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), stdout: newOutput(), stderr: newOutput(), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.cmd.Wait()
		p.stdout.end()
		p.stderr.end()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%s wrote:\n%s\n%s", filepath.Base(name), p.stdout.text(), p.stderr.text())
		}
	})
	return p
}

// stop asks the process to end and waits for it.
func (p *process) stop(t *testing.T) {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.cmd.Process.Kill()
		<-p.done
		t.Errorf("%s did not end within a minute of SIGTERM", filepath.Base(p.cmd.Path))
	}
}

// output collects what a process writes and wakes those who wait for a line.
type output struct {
	mu     sync.Mutex
	more   *sync.Cond
	buffer bytes.Buffer
	ended  bool
}

func newOutput() *output {
	o := &output{}
	o.more = sync.NewCond(&o.mu)
	return o
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.more.Broadcast()
	return o.buffer.Write(b)
}

func (o *output) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.more.Broadcast()
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buffer.String()
}

// line waits for a line that contains what and returns it; false when the process ends without one.
func (o *output) line(what string) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		scanner := bufio.NewScanner(bytes.NewReader(o.buffer.Bytes()))
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			if strings.Contains(scanner.Text(), what) {
				return scanner.Text(), true
			}
		}
		if o.ended {
			return "", false
		}
		o.more.Wait()
	}
}

// family is a running `fountain up`.
type family struct {
	gateway string // host:port
	data    string
}

func startFamily(t *testing.T, args ...string) family {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	p := start(t, nil, program, append([]string{"up", "--data", data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, args...)...)
	line, ok := p.stdout.line("ready ")
	if !ok {
		t.Fatal("fountain up ended before it was ready")
	}
	_, address, _ := strings.Cut(line, "ready http://")
	return family{gateway: strings.TrimSuffix(strings.TrimSpace(address), "/"), data: data}
}

// edge is a running Caddy with the repository's Caddyfile.
type edge struct {
	*process
	name     string // of the site, without the port
	address  string // host:port that it listens on
	redirect string // host:port of plain HTTP
	roots    *x509.CertPool
}

// url returns the address of a path of the site.
func (e *edge) url(path string) string {
	_, port, _ := net.SplitHostPort(e.address)
	return "https://" + net.JoinHostPort(e.name, port) + path
}

// startEdge starts Caddy for a site name in front of the gateway at host:port.
func startEdge(t *testing.T, name, gateway string, env ...string) *edge {
	t.Helper()
	home := t.TempDir()
	e := &edge{name: name, address: harness.FreeAddress(t), redirect: harness.FreeAddress(t)}
	_, port, _ := net.SplitHostPort(e.address)
	_, redirectPort, _ := net.SplitHostPort(e.redirect)
	e.process = start(t, append([]string{
		"XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home, "HOME=" + home,
		"FOUNTAIN_SITE=" + net.JoinHostPort(name, port),
		"FOUNTAIN_HTTPS_PORT=" + port,
		"FOUNTAIN_HTTP_PORT=" + redirectPort,
		"FOUNTAIN_GATEWAY=" + gateway,
		"FOUNTAIN_EDGE_OPTIONS=default_bind 127.0.0.1",
	}, env...), os.Getenv("CADDY"), "run", "--config", filepath.Join(root(), "Caddyfile"), "--adapter", "caddyfile")
	if _, ok := e.stderr.line("certificate obtained successfully"); !ok {
		t.Fatal("Caddy ended before it served")
	}
	e.roots = x509.NewCertPool()
	certificate, err := os.ReadFile(filepath.Join(home, "caddy", "pki", "authorities", "local", "root.crt"))
	if err != nil || !e.roots.AppendCertsFromPEM(certificate) {
		t.Fatalf("Caddy's root certificate: %v", err)
	}
	e.awaitCertificate(t)
	return e
}

// awaitCertificate returns when Caddy serves its certificate: it says that it has one a moment earlier.
func (e *edge) awaitCertificate(t *testing.T) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		connection, err := tls.Dial("tcp", e.address, e.tlsConfig())
		if err == nil {
			connection.Close()
			return
		}
		select {
		case <-again.C:
		case <-e.done:
			t.Fatal("Caddy ended before it served its certificate")
		case <-deadline:
			t.Fatalf("Caddy does not serve its certificate: %v", err)
		}
	}
}

// client returns an HTTP client that trusts Caddy's root alone, asks for no compression by itself, and follows no redirect.
func (e *edge) client(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: true, TLSClientConfig: e.tlsConfig(), DialContext: e.dial}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get asks for a path of the site and returns the answer with its body closed.
func (e *edge) get(t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, e.url(path), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := e.client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer
}

// sdk returns an SDK client through the edge that trusts Caddy's root alone.
func (e *edge) sdk(t *testing.T, options ...fountain.Option) *fountain.Client {
	t.Helper()
	c, err := fountain.New(e.url(""), append([]fountain.Option{fountain.WithRootCAs(e.roots), recorder.Option(t)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

// refusal returns the problem that an SDK call was refused with.
func refusal(t *testing.T, err error) *fountain.Error {
	t.Helper()
	var problem *fountain.Error
	if !errors.As(err, &problem) {
		t.Fatalf("error %v, want a problem", err)
	}
	return problem
}
