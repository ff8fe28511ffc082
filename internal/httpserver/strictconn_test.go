package httpserver

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

type badHead struct {
	head, code string
	status     int
}

// badHeads are refused before net/http sees them.
var badHeads = map[string]badHead{
	"bad escape in the path":      {"GET /a%zz HTTP/1.1\r\nHost: x\r\n\r\n", "malformed_target", 400},
	"escape cut off":              {"GET /a% HTTP/1.1\r\nHost: x\r\n\r\n", "malformed_target", 400},
	"no path":                     {"GET a/b HTTP/1.1\r\nHost: x\r\n\r\n", "malformed_target", 400},
	"bad port in a URL":           {"GET http://x:y/ HTTP/1.1\r\nHost: x\r\n\r\n", "malformed_target", 400},
	"length and chunked":          {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed_request", 400},
	"chunked and length":          {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\ncontent-length: 0\r\n\r\n", "malformed_request", 400},
	"length twice":                {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n", "malformed_request", 400},
	"list of lengths":             {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\n", "malformed_request", 400},
	"signed length":               {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n", "malformed_request", 400},
	"empty length":                {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", "malformed_request", 400},
	"hexadecimal length":          {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x4\r\n\r\n", "malformed_request", 400},
	"length beyond numbers":       {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999\r\n\r\n", "malformed_request", 400},
	"coding twice":                {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed_request", 400},
	"chunked in 1.0":              {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "malformed_request", 400},
	"folded":                      {"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n", "malformed_request", 400},
	"folded with a tab":           {"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\tc\r\n\r\n", "malformed_request", 400},
	"folded at the first line":    {"GET / HTTP/1.1\r\n Host: x\r\n\r\n", "malformed_request", 400},
	"space before the colon":      {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "malformed_request", 400},
	"no colon":                    {"GET / HTTP/1.1\r\nHost: x\r\nX-A\r\n\r\n", "malformed_request", 400},
	"empty name":                  {"GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n", "malformed_request", 400},
	"odd name":                    {"GET / HTTP/1.1\r\nHost: x\r\nX(A): a\r\n\r\n", "malformed_request", 400},
	"NUL in a value":              {"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n", "malformed_request", 400},
	"CR in a value":               {"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\rContent-Length: 4\r\n\r\n", "malformed_request", 400},
	"bare LF":                     {"GET / HTTP/1.1\nHost: x\n\n", "malformed_request", 400},
	"bare LF later":               {"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\nX-B: b\r\n\r\n", "malformed_request", 400},
	"no host":                     {"GET / HTTP/1.1\r\n\r\n", "malformed_request", 400},
	"two hosts":                   {"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "malformed_request", 400},
	"odd host":                    {"GET / HTTP/1.1\r\nHost: x/y@z\r\n\r\n", "malformed_request", 400},
	"two spaces":                  {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "malformed_request", 400},
	"space in the target":         {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "malformed_request", 400},
	"no version":                  {"GET /\r\nHost: x\r\n\r\n", "malformed_request", 400},
	"odd version":                 {"GET / HTTP/1.1.1\r\nHost: x\r\n\r\n", "malformed_request", 400},
	"not HTTP":                    {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", "malformed_request", 400},
	"version 2":                   {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http_version_unsupported", 505},
	"version 1.2":                 {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", "http_version_unsupported", 505},
	"unknown coding":              {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", "transfer_coding_unsupported", 501},
	"codings":                     {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "transfer_coding_unsupported", 501},
	"expectation":                 {"POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 4\r\n\r\n", "expectation_failed", 417},
	"endless target":              {"GET /" + strings.Repeat("a", 32<<10), "target_too_long", 414},
	"endless field":               {"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 32<<10), "headers_too_large", 431},
	"endless fields":              {"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: aaaaaaaaaaaaaaaa\r\n", 2000), "headers_too_large", 431},
	"endless fields of few bytes": {"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A:\r\n", 8<<10), "headers_too_large", 431},
}

func TestStrictConn_answersABadHeadAndCloses(t *testing.T) {
	certFile, keyFile := writeCertificate(t, t.TempDir(), 1)
	for door, c := range map[string]struct {
		options ServeOptions
		dial    func(*serving, *testing.T) (net.Conn, *bufio.Reader)
	}{
		"plain": {ServeOptions{}, (*serving).dial},
		"TLS":   {ServeOptions{CertFile: certFile, KeyFile: keyFile}, (*serving).dialTLS},
	} {
		for name, bad := range badHeads {
			t.Run(door+" "+name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				conn, r := c.dial(serve(t, w, c.options), t)
				answersABadHead(t, w, conn, r, bad)
			})
		}
	}
}

// answersABadHead sends a bad head on a connection that had a good request before. It checks the problem, the end of the connection, the log line and
// the metric.
func answersABadHead(t *testing.T, w *world, conn net.Conn, r *bufio.Reader, bad badHead) {
	t.Helper()
	const good = "GET /sample/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
	_, err := io.WriteString(conn, good)
	require.NoError(t, err)
	res, _ := answer(t, r)
	require.Equal(t, 204, res.StatusCode)
	_, err = io.WriteString(conn, bad.head+good)
	require.NoError(t, err)
	res, body := answer(t, r)
	require.Equal(t, bad.status, res.StatusCode, body)
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	require.Contains(t, body, `"code":"`+bad.code+`"`)
	require.Contains(t, body, res.Header.Get("X-Request-Id"))
	require.True(t, res.Close)
	_, err = r.ReadByte()
	require.Error(t, err, "nothing follows")
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return len(w.lines()) == 2 }, 5*time.Second, time.Millisecond)
	line := w.lines()[1]
	require.EqualValues(t, bad.status, line["status"])
	require.Equal(t, "connection", line["refusedBy"])
	require.Equal(t, bad.code, line["code"])
	require.Equal(t, "INFO", line["level"])
	require.Equal(t, "127.0.0.1", line["client"])
	require.Contains(t, w.metrics(), fmt.Sprintf("operation:unmatched status:%d", bad.status))
}

// A request is answered completely before its connection ends because of what follows the request.
func TestStrictConn_answersWhatCameBeforeABadHead(t *testing.T) {
	w := newWorld(t)
	leave := make(chan struct{})
	w.handlers["getHealth"] = func(rw http.ResponseWriter, _ *http.Request) { <-leave; rw.WriteHeader(http.StatusNoContent) }
	s := serve(t, w, ServeOptions{})
	conn, r := s.dial(t)
	_, err := io.WriteString(conn, "GET /sample/v1/health HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n")
	require.NoError(t, err)
	time.Sleep(20 * time.Millisecond) // the bad head has been seen
	close(leave)
	res, _ := answer(t, r)
	require.Equal(t, 204, res.StatusCode)
	res, _ = answer(t, r)
	require.Equal(t, 400, res.StatusCode)
	require.Eventually(t, func() bool { return len(w.lines()) == 2 }, 5*time.Second, time.Millisecond)
	require.EqualValues(t, 204, w.lines()[0]["status"], "the first was not disturbed")
}

// net/http answers nothing by itself: OPTIONS * is refused by the guard, like any target that is not a path, and is logged and counted.
func TestServe_answersNoOptionsBesideTheDoor(t *testing.T) {
	w := newWorld(t)
	conn, r := serve(t, w, ServeOptions{}).dial(t)
	_, err := io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	res, body := answer(t, r)
	require.Equal(t, 400, res.StatusCode)
	require.Contains(t, body, "malformed_target")
	require.Eventually(t, func() bool { return len(w.lines()) == 1 }, 5*time.Second, time.Millisecond)
	require.Equal(t, "guard", w.lines()[0]["refusedBy"])
	require.Contains(t, w.metrics(), "operation:unmatched status:400")
}

// A client that sends all of a large head before it reads still gets the answer: the connection is not reset.
func TestStrictConn_answersAClientThatIsStillSending(t *testing.T) {
	s := serve(t, newWorld(t), ServeOptions{})
	for range 20 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+"/sample/v1/health", nil)
		require.NoError(t, err)
		r.Header.Set("X-A", strings.Repeat("a", 1<<20))
		res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, 431, res.StatusCode)
		require.NoError(t, res.Body.Close())
	}
}

func TestStrictConn_answersASlowHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := serve(t, w, ServeOptions{})
	conn, r := s.dial(t)
	_, err := io.WriteString(conn, "GET /sample/v1/health HTTP/1.1\r\nHost")
	require.NoError(t, err)
	res, body := answer(t, r)
	require.Equal(t, 408, res.StatusCode)
	require.Contains(t, body, `"code":"request_timeout"`)
	require.Eventually(t, func() bool { return len(w.lines()) == 1 }, 5*time.Second, time.Millisecond)
}

func TestStrictConn_checksTLSToo(t *testing.T) {
	certFile, keyFile := writeCertificate(t, t.TempDir(), 1)
	w := newWorld(t)
	schemes := make(chan string, 1)
	w.handlers["getHealth"] = func(_ http.ResponseWriter, r *http.Request) { schemes <- exchangeOf(r.Context()).Scheme }
	s := serve(t, w, ServeOptions{CertFile: certFile, KeyFile: keyFile})
	dial := func() (net.Conn, *bufio.Reader) {
		conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", s.address) //nolint:gosec // a certificate of its own
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		return conn, bufio.NewReader(conn)
	}
	conn, r := dial()
	_, err := io.WriteString(conn, badHeads["length and chunked"].head)
	require.NoError(t, err)
	res, _ := answer(t, r)
	require.Equal(t, 400, res.StatusCode)
	conn, _ = dial()
	_, err = io.WriteString(conn, "GET /sample/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	require.Equal(t, "https", <-schemes)
}

// pieces is a connection whose bytes arrive a few at a time.
type pieces struct {
	net.Conn
	rest []byte
	size int
}

func (p *pieces) Read(to []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(to[:min(len(to), p.size)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pieces) Close() error { return nil }

// follow has net/http read all requests of a connection through a strictConn. It fails when net/http sees a request that the strictConn has not
// checked as one.
func follow(t testing.TB, text []byte, size int) (requests int, refused *problem.Error) {
	c := &strictConn{Conn: &pieces{rest: text, size: size}, refused: func(_ *strictConn, e *problem.Error) { refused = e }}
	r := bufio.NewReaderSize(c, 16)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			if refused == nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && c.state == atStart {
				t.Logf("net/http alone refuses: %v", err)
			}
			return requests, refused
		}
		requests++
		if len(req.TransferEncoding) > 0 && req.Header.Get("Content-Length") != "" {
			t.Fatalf("two lengths: %q", text)
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return requests, refused // net/http closes the connection
		}
		if size == 1 && r.Buffered() == 0 && c.state != atStart {
			t.Fatalf("net/http is at the end of request %d, the strictConn is not (state %d): %q", requests, c.state, text)
		}
	}
}

func TestStrictConn_followsMessagesAsNetHTTPDoes(t *testing.T) {
	const get, length = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345"
	const chunked = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=\"x\"\r\n12345\r\n00a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
	for _, size := range []int{1, 2, 3, 7, 16, 4096} {
		requests, refused := follow(t, []byte(strings.Repeat(get+length+chunked, 3)), size)
		require.Nil(t, refused)
		require.Equal(t, 9, requests, "%d bytes at a time", size)
	}
}

// A body that net/http might read differently ends in an error, never in another request.
func TestStrictConn_refusesOddChunks(t *testing.T) {
	const head = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	const smuggled = "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, body := range []string{
		"5\n12345\r\n0\r\n\r\n", "5\r12345\r\n0\r\n\r\n", "5\r\n12345\n0\r\n\r\n", "5\r\n12345X\r\n0\r\n\r\n", "\r\n0\r\n\r\n", ";x\r\n0\r\n\r\n", "-1\r\n\r\n", "+5\r\n12345\r\n0\r\n\r\n",
		"0x5\r\n12345\r\n0\r\n\r\n", "5_0\r\n", "fffffffffffffffff\r\n", "0\n\n", "0\r\n\n", "0\r\nA: b\n\r\n", "5;\x00\r\n12345\r\n0\r\n\r\n", "5;" + strings.Repeat("a", 2000) + "\r\n12345\r\n0\r\n\r\n",
		"0\r\n" + strings.Repeat("A: b\r\n", 4000) + "\r\n",
	} {
		for _, size := range []int{1, 4096} {
			requests, _ := follow(t, []byte(head+body+smuggled), size)
			require.Equal(t, 1, requests, "%.60q", body)
		}
	}
}

func FuzzStrictConn(f *testing.F) {
	for _, bad := range badHeads {
		f.Add([]byte(bad.head), byte(1))
	}
	f.Add([]byte("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;ext\r\n12345\r\n0\r\nT: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n"), byte(1))
	f.Add([]byte("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n12345\r\nGET /a HTTP/1.0\r\n\r\n"), byte(1))
	f.Fuzz(func(t *testing.T, text []byte, size byte) {
		requests, _ := follow(t, text, int(size)+1)
		one, _ := follow(t, text, 1)
		if requests != one {
			t.Fatalf("%d requests in pieces of %d, %d byte by byte: %q", requests, int(size)+1, one, text)
		}
	})
}

func BenchmarkCheckHead(b *testing.B) {
	head := []byte("POST /sequence/v1/scopes/s/line/elements HTTP/1.1\r\nHost: localhost:8002\r\nUser-Agent: fountain-go/0.1\r\nContent-Length: 300\r\nAccept: application/json\r\nAuthorization: Bearer " +
		strings.Repeat("x", 700) + "\r\nContent-Type: application/json\r\nIdempotency-Key: 0123456789abcdef\r\n\r\n")
	body := bytes.Repeat([]byte("x"), 300)
	c := &strictConn{}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.scan(head); err != nil || c.fault != nil {
			b.Fatal(err, c.fault)
		}
		if _, err := c.scan(body); err != nil {
			b.Fatal(err)
		}
	}
}
