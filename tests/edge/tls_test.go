//go:build edge

package edge

import (
	"bufio"
	"crypto/tls"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/tests/harness"
)

// Whatever a client offers, less than TLS 1.2 is not spoken, and of TLS 1.2 nothing without forward secrecy or authenticated encryption.
func TestTLS_isAtLeast12AndStrong(t *testing.T) {
	e := startEdge(t, "localhost", harness.FreeAddress(t), noWait)
	dial := func(change func(*tls.Config)) (tls.ConnectionState, error) {
		config := e.tlsConfig()
		change(config)
		connection, err := tls.Dial("tcp", e.address, config)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer connection.Close()
		return connection.ConnectionState(), nil
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		state, err := dial(func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
		if version < tls.VersionTLS12 {
			require.ErrorContains(t, err, "protocol version", tls.VersionName(version))
			continue
		}
		require.NoError(t, err, tls.VersionName(version))
		require.Equal(t, version, state.Version)
	}
	refused, taken := 0, 0
	for _, suite := range append(tls.InsecureCipherSuites(), tls.CipherSuites()...) {
		if suite.SupportedVersions[0] == tls.VersionTLS13 {
			continue
		}
		_, err := dial(func(c *tls.Config) { c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{suite.ID} })
		strong := strings.HasPrefix(suite.Name, "TLS_ECDHE_") && (strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "CHACHA20_POLY1305"))
		switch {
		case !strong:
			require.Error(t, err, suite.Name)
			refused++
		case strings.Contains(suite.Name, "_ECDSA_"): // Caddy's key
			require.NoError(t, err, suite.Name)
			taken++
		}
	}
	require.Greater(t, refused, 8)
	require.Equal(t, 3, taken)
}

// scan is the part of sslscan's report that is judged.
type scan struct {
	Test struct {
		Protocols []struct {
			Type    string `xml:"type,attr"`
			Version string `xml:"version,attr"`
			Enabled string `xml:"enabled,attr"`
		} `xml:"protocol"`
		Ciphers []struct {
			Version  string `xml:"sslversion,attr"`
			Cipher   string `xml:"cipher,attr"`
			Strength string `xml:"strength,attr"`
		} `xml:"cipher"`
		Compression struct {
			Supported string `xml:"supported,attr"`
		} `xml:"compression"`
		Renegotiation struct {
			Secure string `xml:"secure,attr"`
		} `xml:"renegotiation"`
		Heartbleed []struct {
			Vulnerable string `xml:"vulnerable,attr"`
		} `xml:"heartbleed"`
	} `xml:"ssltest"`
}

// A scanner of others finds the same: SSL and TLS 1.0 and 1.1 off, no weak cipher, no compression, no Heartbleed.
func TestTLS_isGoodToSSLScan(t *testing.T) {
	program, err := exec.LookPath("sslscan")
	if err != nil {
		require.NotContains(t, os.Getenv("FOUNTAIN_TEST_REQUIRE"), "sslscan", "it is not installed")
		t.Skip("there is no sslscan (Debian: sslscan)")
	}
	e := startEdge(t, "localhost", harness.FreeAddress(t), noWait)
	out, err := exec.Command(program, "--xml=-", "--no-colour", "--sni-name=localhost", e.address).Output()
	require.NoError(t, err)
	var found scan
	require.NoError(t, xml.Unmarshal(out, &found), "%s", out)
	enabled := map[string]string{}
	for _, p := range found.Test.Protocols {
		enabled[p.Type+p.Version] = p.Enabled
	}
	require.Equal(t, map[string]string{"ssl2": "0", "ssl3": "0", "tls1.0": "0", "tls1.1": "0", "tls1.2": "1", "tls1.3": "1"}, enabled)
	require.NotEmpty(t, found.Test.Ciphers)
	for _, c := range found.Test.Ciphers {
		require.Contains(t, []string{"strong", "acceptable"}, c.Strength, c.Cipher)
		require.Contains(t, []string{"TLSv1.2", "TLSv1.3"}, c.Version, c.Cipher)
		require.NotContains(t, c.Cipher, "CBC")
		require.NotContains(t, c.Cipher, "SHA1")
	}
	require.NotEqual(t, "1", found.Test.Compression.Supported) // an sslscan that can't compress does not say
	for _, h := range found.Test.Heartbleed {
		require.Equal(t, "0", h.Vulnerable)
	}
}

// What is too much or never ends is refused on the wire, and the connection closed: nothing of it is kept.
func TestTLS_limitsOnTheWire(t *testing.T) {
	f := startFamily(t)
	e := startEdge(t, "localhost", f.gateway)
	for name, tt := range map[string]struct {
		send   func(w io.Writer) error
		status []int // 0 for a connection that is closed without an answer
	}{
		"a line without an end": {func(w io.Writer) error {
			_, err := io.WriteString(w, "GET /"+strings.Repeat("a", 1<<20)+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
			return err
		}, []int{http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge, 0}},
		"headers without an end": {func(w io.Writer) error {
			_, err := io.WriteString(w, "GET / HTTP/1.1\r\nHost: localhost\r\n"+strings.Repeat("X-Filler: "+strings.Repeat("a", 100)+"\r\n", 10_000))
			return err
		}, []int{http.StatusRequestHeaderFieldsTooLarge, 0}},
		"a body that is too large, announced": {func(w io.Writer) error {
			_, err := io.WriteString(w, "POST /kms/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n{")
			return err
		}, []int{http.StatusRequestEntityTooLarge}},
		"the least body that is too large by its announcement, with zeros before it": {func(w io.Writer) error {
			_, err := io.WriteString(w, "POST /kms/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 0018000000\r\n\r\n")
			return err
		}, []int{http.StatusRequestEntityTooLarge}},
		"a body of any size behind an unknown path": {func(w io.Writer) error {
			_, err := io.WriteString(w, "PUT /nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9223372036854775807\r\n\r\n")
			return err
		}, []int{http.StatusRequestEntityTooLarge}},
		"a body that is too large, in chunks": {func(w io.Writer) error {
			_, err := io.WriteString(w, "POST /kms/v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
			for n := 0; err == nil && n < 24; n++ {
				_, err = fmt.Fprintf(w, "100000\r\n%s\r\n", strings.Repeat(" ", 1<<20))
			}
			return err
		}, []int{http.StatusRequestEntityTooLarge, 0}},
		"a request that is not finished": {func(w io.Writer) error {
			_, err := io.WriteString(w, "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
			return err
		}, []int{0}}, // after read_header of the Caddyfile
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connection, err := tls.Dial("tcp", e.address, e.tlsConfig())
			require.NoError(t, err)
			defer connection.Close()
			require.NoError(t, connection.SetDeadline(time.Now().Add(2*time.Minute)))
			sent := make(chan error, 1)
			go func() { sent <- tt.send(connection) }() // its error is the refusal, too
			status := 0
			if answer, err := http.ReadResponse(bufio.NewReader(connection), nil); err == nil {
				status = answer.StatusCode
				if slices.Equal(tt.status, []int{http.StatusRequestEntityTooLarge}) { // nothing was cut off: it is told in the family's form
					body, err := io.ReadAll(answer.Body)
					require.NoError(t, err)
					require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"))
					require.Contains(t, string(body), `"code":"body_too_large"`)
					_, err = connection.Read(make([]byte, 1))
					require.Error(t, err)
					require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection stays open")
				}
				answer.Body.Close()
			} else {
				require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the connection stays open")
			}
			require.Contains(t, tt.status, status)
			connection.Close()
			<-sent
		})
	}
}

// What is announced to be too large is refused over HTTP/2 as well, before anything of it was sent, and the connection serves on.
func TestTLS_refusesAnAnnouncedBodyOverHTTP2(t *testing.T) {
	f := startFamily(t)
	e := startEdge(t, "localhost", f.gateway)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: e.tlsConfig(), DialContext: e.dial, ForceAttemptHTTP2: true}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	for _, length := range []int64{18_000_000, 99_999_999, 1 << 40, 1<<63 - 1} {
		nothing, end := io.Pipe()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://localhost/kms/v1/auth/login", nothing)
		require.NoError(t, err)
		r.ContentLength = length
		r.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(r)
		require.NoError(t, err, "%d", length)
		require.Equal(t, 2, answer.ProtoMajor)
		require.Equal(t, http.StatusRequestEntityTooLarge, answer.StatusCode, "%d", length)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Contains(t, string(text), `"code":"body_too_large"`)
		require.NoError(t, end.Close())
	}
	answer, err := client.Get("https://localhost/gateway/v1/health")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
}
