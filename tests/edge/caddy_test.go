//go:build edge

package edge

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

const (
	username = "ada"
	password = "a lamp nobody else has lit"
	noWait   = "FOUNTAIN_GATEWAY_WAIT=0" // where there is no gateway
)

// tlsConfig trusts Caddy's root alone and wants at least TLS 1.2.
func (e *edge) tlsConfig() *tls.Config {
	return &tls.Config{RootCAs: e.roots, ServerName: e.name, MinVersion: tls.VersionTLS12}
}

// dial reaches Caddy whatever the site is called.
func (e *edge) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, e.address)
}

// signIn makes the first administrator through the edge and returns an SDK client that signs in as it.
func signIn(t *testing.T, f family, e *edge) *fountain.Client {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(f.data, "kms", "bootstrap.token"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = e.sdk(t).KMS.BootstrapAdmin(t.Context(), kms.AdminBootstrap{
		Token: strings.TrimSpace(string(token)), Username: username, Password: password})
	if err != nil {
		t.Fatalf("bootstrap through the edge: %v", err)
	}
	return e.sdk(t, fountain.WithUser(username, password))
}

func TestEdge_signsInAndNumbersElementsOverTLS(t *testing.T) {
	f := startFamily(t)
	e := startEdge(t, "localhost", f.gateway)
	c := signIn(t, f, e)

	text, err := json.Marshal(map[string]string{"text": strings.Repeat("The light comes round. ", 100)}) // long enough to be compressed
	if err != nil {
		t.Fatal(err)
	}
	for n := int64(1); n <= 3; n++ {
		var answer fountain.Response
		element, err := c.Sequence.CreateElement(t.Context(), "ledger", "action",
			sequence.ElementCreate{Data: text}, fountain.WithResponse(&answer))
		if err != nil {
			t.Fatalf("append through the edge: %v", err)
		}
		if element.Number != n {
			t.Errorf("element has number %d, want %d", element.Number, n)
		}
		if answer.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Error("the answer did not come through Caddy")
		}
	}

	// An element has an ETag and must not be compressed, or If-Match would fail for ever.
	var read fountain.Response
	first := ""
	for element, err := range c.Sequence.Elements(t.Context(), "ledger", "action") {
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = element.ID
		}
	}
	if _, err := c.Sequence.GetElement(t.Context(), "ledger", "action", first, fountain.WithResponse(&read)); err != nil {
		t.Fatal(err)
	}
	changed, err := c.Sequence.CreateVersion(t.Context(), "ledger", "action", first, read.ETag,
		sequence.VersionCreate{Data: json.RawMessage(`{"text": "The light comes round again."}`)})
	if err != nil {
		t.Fatalf("change over the ETag %s that was read through the edge: %v", read.ETag, err)
	}
	if changed.Version != 2 {
		t.Errorf("version %d, want 2", changed.Version)
	}
}

func TestEdge_trustIsAskedFor(t *testing.T) {
	e := startEdge(t, "localhost", harness.FreeAddress(t), noWait)
	stranger, err := fountain.New(e.url(""), fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	var unknown *tls.CertificateVerificationError
	if _, err := stranger.Gateway.GetGatewayHealth(t.Context()); !errors.As(err, &unknown) {
		t.Errorf("a client that does not trust Caddy's root got: %v", err)
	}
}

// securityHeaders are on every answer.
var securityHeaders = map[string]string{
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
}

func checkSecurityHeaders(t *testing.T, path string, answer *http.Response) {
	t.Helper()
	for name, want := range securityHeaders {
		if got := answer.Header.Values(name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %s is %q, want %q once", path, name, got, want)
		}
	}
	if policy := answer.Header.Values("Content-Security-Policy"); len(policy) != 1 || !strings.HasPrefix(policy[0], "default-src 'none'") {
		t.Errorf("%s: Content-Security-Policy %q", path, policy)
	}
	for _, name := range []string{"Server", "Via", "X-Powered-By"} {
		if answer.Header.Get(name) != "" {
			t.Errorf("%s: the answer tells its %s", path, name)
		}
	}
}

func TestEdge_sendsSecurityHeaders(t *testing.T) {
	f := startFamily(t)
	e := startEdge(t, "localhost", f.gateway)
	for path, status := range map[string]int{
		"/gateway/v1/health": 200, "/docs": 200, "/docs/init.js": 200, "/console": 200, "/console/app.js": 200, "/twofactor/v1/enroll": 200, "/twofactor/v1/assets/main.js": 200, "/openapi/kms.yaml": 200, "/nowhere": 404, "/kms/v1/users": 401,
	} {
		answer := e.get(t, path)
		if answer.StatusCode != status {
			t.Errorf("%s: status %d, want %d", path, answer.StatusCode, status)
		}
		if answer.ProtoMajor != 2 {
			t.Errorf("%s: %s", path, answer.Proto)
		}
		if hsts := answer.Header.Get("Strict-Transport-Security"); hsts != "" {
			t.Errorf("%s: HSTS for localhost: %s", path, hsts)
		}
		checkSecurityHeaders(t, path, answer)
	}
	for _, page := range []string{"/docs", "/console", "/twofactor/v1/enroll"} {
		if policy := e.get(t, page).Header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") {
			t.Errorf("the page %s has not its own policy but %q", page, policy)
		}
	}
	script := e.get(t, "/docs/swagger-ui-bundle.js", "Accept-Encoding", "gzip")
	if encoding := script.Header.Get("Content-Encoding"); encoding != "gzip" {
		t.Errorf("a script of 1.7 MB is sent with encoding %q", encoding)
	}
	if again := e.get(t, "/docs/swagger-ui-bundle.js", "Accept-Encoding", "gzip", "If-None-Match", script.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("a script that the browser has is sent again: %d", again.StatusCode)
	}
}

func TestEdge_sendsHSTSForAPublicName(t *testing.T) {
	e := startEdge(t, "fountain.test", harness.FreeAddress(t), noWait, "FOUNTAIN_TLS=tls internal")
	answer := e.get(t, "/")
	if hsts := answer.Header.Get("Strict-Transport-Security"); hsts != "max-age=31536000" {
		t.Errorf("HSTS is %q", hsts)
	}
	own := startEdge(t, "fountain.test", harness.FreeAddress(t), noWait, "FOUNTAIN_TLS=tls internal", "FOUNTAIN_HSTS=max-age=60; includeSubDomains")
	if hsts := own.get(t, "/").Header.Get("Strict-Transport-Security"); hsts != "max-age=60; includeSubDomains" {
		t.Errorf("HSTS is %q, not what the environment says", hsts)
	}
}

func TestEdge_redirectsToHTTPS(t *testing.T) {
	e := startEdge(t, "localhost", harness.FreeAddress(t), noWait)
	_, port, _ := net.SplitHostPort(e.redirect)
	plain := &http.Transport{}
	defer plain.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodGet, "http://localhost:"+port+"/docs", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := plain.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if got, want := response.Header.Get("Location"), e.url("/docs"); response.StatusCode != http.StatusPermanentRedirect || got != want {
		t.Errorf("%d to %q, want 308 to %q", response.StatusCode, got, want)
	}
}

// A code, a token and a cookie reach neither the access log nor the log of faults, whatever becomes of the request.
func TestEdge_logsNoCredential(t *testing.T) {
	const code, misspelt, bearer, cookie, query = "271828", "314159", "bearer-of-secrets", "cookie-of-secrets", "query-of-secrets"
	f := startFamily(t)
	for name, gateway := range map[string]string{"a family": f.gateway, "nothing": harness.FreeAddress(t)} {
		t.Run("in front of "+name, func(t *testing.T) {
			e := startEdge(t, "localhost", gateway, noWait)
			for _, path := range []string{"/kms/v1/users?token=" + query, "/nowhere?x=" + query} {
				e.get(t, path, "X-OTP", code, "X-OPT", misspelt, "Authorization", "Bearer "+bearer, "Cookie", "s="+cookie)
			}
			e.stop(t) // so that every line is written
			log := e.stdout.text() + e.stderr.text()
			if n := strings.Count(log, `"handled request"`); n != 2 {
				t.Fatalf("%d requests were logged, want 2", n)
			}
			if !strings.Contains(log, `"requestId":"`) || !strings.Contains(log, `"status":`) {
				t.Error("the log does not say what an access log is for")
			}
			for _, secret := range []string{code, misspelt, bearer, cookie, query} {
				if strings.Contains(log, secret) {
					t.Errorf("the log contains %s", secret)
				}
			}
		})
	}
}

// The gateway goes on with the traces of a proxy that it trusts, so that one must not pass on a stranger's.
func TestEdge_passesNoTraceOn(t *testing.T) {
	got := make(chan http.Header, 1)
	gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" { // what Caddy asks for health is no request of a client
			got <- r.Header
		}
	}))
	t.Cleanup(gateway.Close)
	e := startEdge(t, "localhost", gateway.Listener.Addr().String())
	e.get(t, "/", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Tracestate", "a=b", "Accept-Language", "de")
	header := <-got
	if header.Get("Accept-Language") != "de" || header.Get("Traceparent") != "" || header.Get("Tracestate") != "" {
		t.Errorf("the gateway got %v", header)
	}
}

// A refusal of Caddy's own is a problem too, so that clients need one way to read errors.
func TestEdge_refusesWithAProblem(t *testing.T) {
	e := startEdge(t, "localhost", harness.FreeAddress(t), noWait)
	tests := []struct {
		name   string
		body   io.Reader
		status int
		code   string
	}{
		{"no gateway", nil, http.StatusServiceUnavailable, "upstream_unavailable"},
		{"large body", bytes.NewReader(make([]byte, 18<<20)), http.StatusRequestEntityTooLarge, "body_too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodPost, e.url("/sequence/v1/x"), tt.body)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := e.client(t).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			var problem common.Problem
			if err := json.NewDecoder(answer.Body).Decode(&problem); err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != tt.status || problem.Status != int32(tt.status) || problem.Code != tt.code || problem.RequestID == "" ||
				answer.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s: %+v", answer.StatusCode, answer.Header.Get("Content-Type"), problem)
			}
			page := filepath.Join(root(), "docs/problems", problem.Code+".md")
			if _, err := os.Stat(page); err != nil || problem.Type != "/problems/"+problem.Code {
				t.Errorf("type %s: %v", problem.Type, err)
			}
			checkSecurityHeaders(t, tt.name, answer)
		})
	}
	_, err := e.sdk(t, fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1})).Gateway.GetGatewayHealth(t.Context())
	if p := refusal(t, err); !errors.Is(err, fountain.ErrUnavailable) || p.Status != http.StatusServiceUnavailable {
		t.Errorf("the SDK reads Caddy's refusal as %v", err)
	}
}

// A client whose body breaks off must not look like a fault of the gateway.
func TestEdge_callsABrokenBodyTheClients(t *testing.T) {
	f := startFamily(t)
	e := startEdge(t, "localhost", f.gateway)
	for _, body := range []string{"zz\r\n", "5\r\n{\"aaaXX\r\n", "5\n{\"aaa\r\n0\r\n\r\n", "ffffffffffffffffffff\r\n"} {
		connection, err := tls.Dial("tcp", e.address, e.tlsConfig())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		fmt.Fprintf(connection, "POST /kms/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%s", body)
		answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		var problem common.Problem
		if err := json.NewDecoder(answer.Body).Decode(&problem); err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusBadRequest || problem.Status != http.StatusBadRequest || problem.Code != "malformed_body" {
			t.Errorf("%q: %d %+v", body, answer.StatusCode, problem)
		}
	}
}

// Whatever is reverse proxied goes to the gateway.
func TestCaddyfile_knowsTheGatewayOnly(t *testing.T) {
	adapt := exec.Command(os.Getenv("CADDY"), "adapt", "--config", filepath.Join(root(), "Caddyfile"), "--adapter", "caddyfile")
	out, err := adapt.Output()
	if err != nil {
		t.Fatal(err)
	}
	var config any
	if err := json.Unmarshal(out, &config); err != nil {
		t.Fatal(err)
	}
	if got := slices.Compact(upstreams(config)); !slices.Equal(got, []string{"gateway:8002"}) {
		t.Errorf("upstreams %v", got)
	}
}

// upstreams collects every address that a configuration dials.
func upstreams(v any) []string {
	var found []string
	switch v := v.(type) {
	case map[string]any:
		if address, ok := v["dial"].(string); ok {
			found = append(found, address)
		}
		for _, inner := range v {
			found = append(found, upstreams(inner)...)
		}
	case []any:
		for _, inner := range v {
			found = append(found, upstreams(inner)...)
		}
	}
	return found
}
