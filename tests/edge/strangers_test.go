//go:build edge

package edge

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/tests/harness"
)

// raw sends a request as it is and returns the answer with its problem.
func raw(t *testing.T, connection net.Conn, request string) (*http.Response, common.Problem) {
	t.Helper()
	defer connection.Close()
	require.NoError(t, connection.SetDeadline(time.Now().Add(30*time.Second)))
	_, err := connection.Write([]byte(request))
	require.NoError(t, err)
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	var problem common.Problem
	if strings.HasPrefix(answer.Header.Get("Content-Type"), "application/problem+json") {
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&problem))
	}
	return answer, problem
}

// A name that is not the site's gets nothing of the family, on both ports, and is told so in the family's form.
func TestEdge_refusesAnUnknownName(t *testing.T) {
	var asked atomic.Int64
	gateway := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/health") {
			asked.Add(1)
		}
	}))
	t.Cleanup(gateway.Close)
	e := startEdge(t, "localhost", gateway.Listener.Addr().String())
	for _, host := range []string{"other.example", "localhost.other.example", "127.0.0.1", "xn--bcher-kva.example:443"} {
		secured, err := tls.Dial("tcp", e.address, e.tlsConfig())
		require.NoError(t, err)
		plain, err := net.Dial("tcp", e.redirect)
		require.NoError(t, err)
		for name, connection := range map[string]net.Conn{"https": secured, "http": plain} {
			answer, problem := raw(t, connection, "GET /kms/v1/users HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			require.Equal(t, http.StatusMisdirectedRequest, answer.StatusCode, "%s %s", name, host)
			require.Equal(t, "misdirected_request", problem.Code)
			require.EqualValues(t, 421, problem.Status)
			require.NotEmpty(t, problem.RequestID)
			require.Empty(t, answer.Header.Get("Location"))
			checkSecurityHeaders(t, name+" "+host, answer)
		}
	}
	require.Zero(t, asked.Load(), "the gateway got nothing")

	known, err := net.Dial("tcp", e.redirect)
	require.NoError(t, err)
	answer, _ := raw(t, known, "GET /docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	require.Equal(t, http.StatusPermanentRedirect, answer.StatusCode, "the site's own name is sent to HTTPS")
	require.Equal(t, e.url("/docs"), answer.Header.Get("Location"))

	// Another name in the handshake gets no certificate, so that there is nobody to trust.
	config := e.tlsConfig()
	config.ServerName = "other.example"
	_, err = tls.Dial("tcp", e.address, config)
	require.Error(t, err)
	e.stop(t)
	require.Contains(t, e.stdout.text(), `"status":421`, "a refusal is in the access log")
}

// Too large a header is refused in the family's form as long as the gateway gets to see it, and by a bare 431 above.
func TestEdge_refusesLargeHeaders(t *testing.T) {
	f := startFamily(t)
	e := startEdge(t, "localhost", f.gateway)
	for size, inWords := range map[int]bool{20 << 10: true, 40 << 10: true, 60 << 10: true, 90 << 10: false} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			config := e.tlsConfig()
			config.NextProtos = []string{protocol}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DialContext: e.dial, ForceAttemptHTTP2: protocol == "h2"}, Timeout: 30 * time.Second}
			r, err := http.NewRequest(http.MethodGet, e.url("/gateway/v1/health"), nil)
			require.NoError(t, err)
			r.Header.Set("X-Filler", strings.Repeat("a", size))
			answer, err := client.Do(r)
			if err != nil && !inWords { // a connection that is cut is a refusal too
				continue
			}
			require.NoError(t, err)
			require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode, "%d %s", size, protocol)
			if inWords {
				var problem common.Problem
				require.NoError(t, json.NewDecoder(answer.Body).Decode(&problem), "%d %s", size, protocol)
				require.Equal(t, "headers_too_large", problem.Code)
				require.NotEmpty(t, problem.RequestID)
			}
			answer.Body.Close()
			client.CloseIdleConnections()
		}
	}
}

// Of several gateways only those that say that they are ready get requests, and one that comes back gets them again.
func TestEdge_asksSeveralGatewaysWhetherTheyAreReady(t *testing.T) {
	var ready [2]atomic.Bool
	var gateways []string
	for i := range ready {
		ready[i].Store(true)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/gateway/v1/ready" && !ready[i].Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			fmt.Fprint(w, i)
		}))
		t.Cleanup(server.Close)
		gateways = append(gateways, server.Listener.Addr().String())
	}
	e := startEdge(t, "localhost", strings.Join(gateways, " "), "FOUNTAIN_GATEWAY_CHECK=health_uri /gateway/v1/ready")
	client := e.client(t)
	answeredBy := func() map[string]bool {
		by := map[string]bool{}
		for range 40 {
			answer, err := client.Get(e.url("/docs"))
			require.NoError(t, err)
			var who [1]byte
			_, err = answer.Body.Read(who[:])
			answer.Body.Close()
			if err != nil && who[0] == 0 {
				t.Fatal(err)
			}
			require.Equal(t, http.StatusOK, answer.StatusCode)
			by[string(who[:])] = true
		}
		return by
	}
	both := map[string]bool{"0": true, "1": true}
	require.Eventually(t, func() bool { return len(answeredBy()) == 2 }, time.Minute, 10*time.Millisecond)
	ready[1].Store(false)
	require.Eventually(t, func() bool { return !answeredBy()["1"] }, time.Minute, 10*time.Millisecond, "one that drains gets nothing")
	require.Equal(t, map[string]bool{"0": true}, answeredBy())
	ready[1].Store(true)
	require.Eventually(t, func() bool { return len(answeredBy()) == 2 }, time.Minute, 10*time.Millisecond)
	require.Equal(t, both, answeredBy())
}

// A gateway that is away takes no request from one that is there, though it has the fewest in flight: requests find the other one, however many it has already.
func TestEdge_passesByAGatewayThatIsAway(t *testing.T) {
	const atOnce = 8
	var arrived atomic.Int64
	all := make(chan struct{})
	there := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if arrived.Add(1) == atOnce {
			close(all)
		}
		<-all
	}))
	t.Cleanup(there.Close)
	e := startEdge(t, "localhost", harness.FreeAddress(t)+" "+there.Listener.Addr().String(), "FOUNTAIN_GATEWAY_WAIT=60s")
	client := e.client(t)
	statuses := make(chan int, atOnce)
	for range atOnce {
		go func() {
			answer, err := client.Get(e.url("/docs"))
			if err != nil {
				statuses <- 0
				return
			}
			answer.Body.Close()
			statuses <- answer.StatusCode
		}()
	}
	for range atOnce {
		require.Equal(t, http.StatusOK, <-statuses)
	}
}

// The port answers QUIC too: a packet of a version that nobody speaks is answered by those that are spoken (RFC 9000, section 6; RFC 8999).
func TestEdge_speaksHTTP3(t *testing.T) {
	e := startEdge(t, "localhost", harness.FreeAddress(t), noWait)
	_, port, _ := net.SplitHostPort(e.address)
	require.Contains(t, e.get(t, "/").Header.Get("Alt-Svc"), `h3=":`+port+`"`)
	connection, err := net.Dial("udp", e.address)
	require.NoError(t, err)
	defer connection.Close()
	packet := make([]byte, 1200) // the least that a server answers
	copy(packet, []byte{0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 4, 9, 9, 9, 9})
	answer := make([]byte, 1500)
	var n int
	for range 10 { // UDP loses packets
		_, err = connection.Write(packet)
		require.NoError(t, err)
		require.NoError(t, connection.SetReadDeadline(time.Now().Add(10*time.Second)))
		if n, err = connection.Read(answer); err == nil {
			break
		}
	}
	require.NoError(t, err)
	require.True(t, n > 20 && answer[0]&0x80 != 0 && bytes.Equal(answer[1:5], make([]byte, 4)), "a version negotiation packet: %x", answer[:n])
	require.True(t, bytes.Contains(answer[5:n], []byte{0, 0, 0, 1}), "version 1 is spoken: %x", answer[:n])
}

// Files of the documentation and the contracts are sent compressed, kept by browsers, and asked for again by their ETag.
func TestEdge_filesOfTheDocumentationAreKept(t *testing.T) {
	f := startFamily(t)
	e := startEdge(t, "localhost", f.gateway)
	for _, path := range []string{"/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/init.js", "/openapi/kms.bundled.yaml"} {
		first := e.get(t, path, "Accept-Encoding", "gzip")
		require.Equal(t, "gzip", first.Header.Get("Content-Encoding"), path)
		require.NotEmpty(t, first.Header.Get("ETag"), path)
		require.NotEmpty(t, first.Header.Get("Cache-Control"), path)
		require.NotContains(t, first.Header.Get("Cache-Control"), "no-store", path)
		again := e.get(t, path, "Accept-Encoding", "gzip", "If-None-Match", first.Header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, again.StatusCode, path)
	}
}

// The container's health check learns whether the gateway answers, on this machine and at no other name or path.
func TestEdge_tellsItsOwnHealth(t *testing.T) {
	f := startFamily(t)
	for status, gateway := range map[int]string{http.StatusOK: f.gateway, http.StatusServiceUnavailable: harness.FreeAddress(t)} {
		for site, hosts := range map[string]map[string]int{
			"localhost": {"127.0.0.1": status, "127.0.0.2": status, "other.example": http.StatusMisdirectedRequest},
			"127.0.0.1": {"127.0.0.1": http.StatusPermanentRedirect, "127.0.0.2": status, "other.example": http.StatusMisdirectedRequest}, // its own name goes to HTTPS
		} {
			e := startEdge(t, site, gateway, noWait)
			for host, want := range hosts {
				connection, err := net.Dial("tcp", e.redirect)
				require.NoError(t, err)
				answer, _ := raw(t, connection, "GET /healthz HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
				require.Equal(t, want, answer.StatusCode, "%s at %s", host, site)
			}
		}
	}
}
