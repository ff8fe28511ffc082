//go:build edge

package gateway

import (
	"bufio"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each event of a stream reaches the client before the service sends the next one: neither Caddy nor the gateway buffers it, for every HTTP version and
// coding of the client. The durations are printed for docs/performance.md.
func TestEdge_passesEachEventAsItComes(t *testing.T) {
	pieces := make(chan string)
	_, gateway := streaming(t, "30s", "text/event-stream", pieces)
	url, roots := startCaddy(t, strings.TrimPrefix(gateway, "http://"))
	for _, c := range []struct {
		protocol, coding string
	}{{"HTTP/1.1", "identity"}, {"HTTP/2.0", "identity"}, {"HTTP/1.1", "gzip"}, {"HTTP/2.0", "gzip"}} {
		t.Run(c.protocol+" "+c.coding, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: c.protocol == "HTTP/2.0", DisableCompression: true}
			t.Cleanup(transport.CloseIdleConnections)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/sequence/v1/events", nil)
			require.NoError(t, err)
			r.Header.Set("Accept-Encoding", c.coding)
			res, err := transport.RoundTrip(r)
			require.NoError(t, err)
			defer res.Body.Close()
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.Equal(t, c.protocol, res.Proto)
			require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
			if c.coding == "gzip" {
				require.Equal(t, "gzip", res.Header.Get("Content-Encoding"), "Caddy compresses text")
			}
			took := readEvents(t, res, pieces)
			slices.Sort(took)
			t.Logf("%d events: half within %s, the slowest %s", len(took), took[len(took)/2], took[len(took)-1])
		})
	}
}

// readEvents makes the service send 200 events, each when the previous one was read, and returns the duration of each.
func readEvents(t *testing.T, res *http.Response, pieces chan<- string) (took []time.Duration) {
	var body io.Reader = res.Body
	var lines *bufio.Reader
	for range 200 {
		sent := time.Now()
		pieces <- "data: {\"n\":1}\n"
		if lines == nil { // compression begins with the first event
			if res.Header.Get("Content-Encoding") == "gzip" {
				unzipped, err := gzip.NewReader(body)
				require.NoError(t, err)
				body = unzipped
			}
			lines = bufio.NewReader(body)
		}
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "data: {\"n\":1}\n", line)
		took = append(took, time.Since(sent))
	}
	return took
}

// startCaddy runs the Caddy binary in CADDY with the repository's Caddyfile in front of a gateway. It returns the site's URL and the CAs to trust.
func startCaddy(t *testing.T, gateway string) (url string, roots *x509.CertPool) {
	t.Helper()
	home, site, redirect := t.TempDir(), unused(t), unused(t)
	cmd := exec.Command(os.Getenv("CADDY"), "run", "--config", filepath.Join("..", "..", "Caddyfile"), "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "HOME="+home, "FOUNTAIN_SITE=localhost:"+site, "FOUNTAIN_HTTPS_PORT="+site,
		"FOUNTAIN_HTTP_PORT="+redirect, "FOUNTAIN_GATEWAY="+gateway, "FOUNTAIN_EDGE_OPTIONS=default_bind 127.0.0.1")
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start(), "CADDY names no binary; run: make edge")
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // the error says that it was killed
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() && !strings.Contains(lines.Text(), "certificate obtained successfully") {
	}
	go func() {
		_, _ = io.Copy(io.Discard, log) // otherwise Caddy blocks on its log
	}()
	certificate, err := os.ReadFile(filepath.Join(home, "caddy", "pki", "authorities", "local", "root.crt"))
	require.NoError(t, err)
	roots = x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certificate))
	require.Eventually(t, func() bool { // it logs the certificate shortly before it serves it
		c, err := tls.Dial("tcp", "localhost:"+site, &tls.Config{RootCAs: roots})
		return err == nil && c.Close() == nil
	}, 30*time.Second, 10*time.Millisecond)
	return "https://localhost:" + site, roots
}

// unused returns a port of this machine on which nothing listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}
