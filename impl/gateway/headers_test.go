package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/httpserver"
)

// wire is a service that stores the bytes of every request as they arrive, and answers each with an element.
type wire struct {
	l  net.Listener
	mu sync.Mutex
	// The requests since the last take: a head up to its empty line, and a body delimited by Content-Length. What can't be parsed is stored as it is.
	heads  []string
	bodies []string
}

func newWire(t testing.TB) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{l: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test has ended
			}
			go w.serve(conn)
		}
	}()
	return w
}

const wireAnswer = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nETag: \"1\"\r\nContent-Length: %d\r\n\r\n%s"

func (w *wire) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		var head []byte
		for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			b, err := r.ReadByte()
			if err != nil {
				if len(head) > 0 {
					w.keep(string(head), "")
				}
				return
			}
			head = append(head, b)
		}
		_, length, _ := strings.Cut(string(head), "\r\nContent-Length: ")
		n, _ := strconv.Atoi(strings.SplitN(length, "\r\n", 2)[0]) // none is 0
		body := make([]byte, n)
		_, err := io.ReadFull(r, body)
		w.keep(string(head), string(body))
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(conn, wireAnswer, len(wireElement), wireElement); err != nil {
			return
		}
	}
}

const wireElement = `{"id":"a","scope":"s","elementType":"line","number":1,"status":"active","version":1,"data":{},"createdAt":"2026-11-23T10:00:00Z","updatedAt":"2026-11-23T10:00:00Z"}`

func (w *wire) keep(head, body string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heads, w.bodies = append(w.heads, head), append(w.bodies, body)
}

func (w *wire) take() (heads, bodies []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	heads, bodies = w.heads, w.bodies
	w.heads, w.bodies = nil, nil
	return heads, bodies
}

// wired is a gateway that listens, in front of a wire.
type wired struct {
	*house
	wire    *wire
	address string
}

func newWired(t testing.TB) *wired {
	h := newHouse(t)
	d := &wired{house: h, wire: newWire(t)}
	c := h.config(h.behind)
	c.SequenceURL = "http://" + d.wire.l.Addr().String()
	c.Log, c.Registerer = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	g, err := build(c, family(t), &http.Client{Timeout: callTimeout}, h)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	l, err := httpserver.Listen(ctx, "127.0.0.1:0")
	require.NoError(t, err)
	d.address = l.Addr().String()
	ended := make(chan error, 1)
	go func() {
		ended <- httpserver.Serve(ctx, l, g.handler(), httpserver.ServeOptions{Log: c.Log, Grace: time.Minute})
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return d
}

// send sends a request that creates an element, with additional header lines, and returns the status of the last answer: 0 for none.
func (d *wired) send(t testing.TB, lines, body string) (sent string, status int) {
	d.house.clock.Advance(time.Second) // as many as the limits allow
	sent = fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n%s\r\n%s",
		createPath, d.token(nil), len(body), lines, body)
	conn, err := net.Dial("tcp", d.address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, _ = io.WriteString(conn, sent) // it may be refused before it is read completely
	for r := bufio.NewReader(conn); ; {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			var late net.Error
			require.False(t, errors.As(err, &late) && late.Timeout(), "neither answered nor closed: %q", lines)
			return sent, status
		}
		_, _ = io.Copy(io.Discard, res.Body) // it may be truncated, which does not matter here
		status = res.StatusCode
	}
}

// fixed are the fields that the gateway sets, with their values; "" for one that varies.
var fixed = map[string]string{
	"accept-encoding": "identity", "x-forwarded-for": "127.0.0.1", "x-forwarded-host": "localhost", "x-forwarded-proto": "http", "x-request-id": "",
	"x-request-timeout": "", "host": "", "content-length": "",
}

// passes are the client's fields that may reach the service of createElement.
var passes = []string{"accept", "accept-language", "authorization", "content-type", "traceparent", "tracestate", "user-agent", "idempotency-key"}

// check sends a request and compares what has reached the service with it. It reports whether it reached the service.
func (d *wired) check(t testing.TB, lines, body string) bool {
	sent, status := d.send(t, lines, body)
	heads, bodies := d.wire.take()
	if len(heads) == 0 {
		require.True(t, status == 0 || status >= 400, "%d and nothing forwarded: %q", status, lines)
		return false
	}
	require.Len(t, heads, 1, "%q", lines)
	require.Equal(t, 201, status, "%q", lines)
	head, rest, _ := strings.Cut(sent, "\r\n\r\n")
	require.Equal(t, rest[:len(body)], bodies[0], "%q", lines)
	from, to := fieldsOf(t, head), fieldsOf(t, strings.TrimSuffix(heads[0], "\r\n\r\n"))
	require.Equal(t, strconv.Itoa(len(body)), strings.Join(to["content-length"], "|"))
	for name, values := range to {
		if own, ok := fixed[name]; ok {
			require.Len(t, values, 1, name)
			require.True(t, own == "" || own == values[0], "%s is %q: %q", name, values, lines)
			continue
		}
		require.Contains(t, passes, name, "%q", lines)
		require.Equal(t, from[name], values, "%s: %q", name, lines)
	}
	for _, name := range passes {
		require.Equal(t, len(from[name]), len(to[name]), "%s is lost: %q", name, lines)
	}
	return true
}

// fieldsOf parses a head strictly by RFC 9112: lines that end with CRLF, a token and a colon, and a value between optional white space.
func fieldsOf(t testing.TB, head string) map[string][]string {
	lines := strings.Split(head, "\r\n")
	require.Equal(t, "POST "+createPath+" HTTP/1.1", lines[0])
	out := map[string][]string{}
	for _, line := range lines[1:] {
		name, value, found := strings.Cut(line, ":")
		require.True(t, found, "%q", line)
		require.NotEmpty(t, name)
		require.Empty(t, strings.Trim(name, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), "%q", line)
		value = strings.Trim(value, " \t")
		require.Equal(t, -1, strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }), "%q", line)
		name = strings.ToLower(name)
		out[name] = append(out[name], value)
	}
	return out
}

var (
	someNames = []string{"Accept", "Accept-Language", "Idempotency-Key", "Traceparent", "Tracestate", "User-Agent", "Content-Type", "X-Request-Id", "X-Forwarded-For",
		"X-Forwarded-Host", "Forwarded", "X-Real-IP", "X-Request-Timeout", "Accept-Encoding", "X-Otp", "Cookie", "Origin", "Connection", "TE", "Trailer", "Upgrade", "Expect",
		"Transfer-Encoding", "Content-Length", "Content-Encoding", "Host", "Authorization", "Proxy-Authorization", "X-HTTP-Method-Override", "X-Original-URL", "Remote-User",
		"X_Request_Id", "Idempotency_Key", "X-Gw-Identity", "Via", "If-Match", "Keep-Alive", "Proxy-Connection", "Range", "Date", "Content-MD5"}
	someValues = []string{"", "*/*", "application/json", "application/json; charset=utf-8", "0123456789abcdef", "de, en;q=0.5", "close", "keep-alive, Idempotency-Key", "chunked", "5",
		"100-continue", "trailers", "h2c", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=b", "localhost", "évil", "\xff\xfe", "a\tb", "  a b  ", "a\x00b", "a\rb",
		"a\nX-B: c", "a\r\nX-B: c", "a\r\n folded", "\"quoted, \\\" text\"", "10.0.0.1", "DELETE", "identity", "gzip"}
)

// someLines generates header lines of a few fields, some of them invalid.
func someLines(r *rand.Rand) string {
	const alphabet = "abcXYZ019!#$%&'*+-.^_`|~ :\t\r\n\x00\x7f\x80,;=\"()"
	text := func(n int) string {
		out := make([]byte, r.IntN(n))
		for i := range out {
			out[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(out)
	}
	lines := ""
	if r.IntN(8) > 0 {
		lines = "Content-Type: application/json\r\n"
	}
	for range r.IntN(4) {
		name, value := someNames[r.IntN(len(someNames))], someValues[r.IntN(len(someValues))]
		if r.IntN(2) == 0 { // more often fields that pass
			name = someNames[r.IntN(6)]
		}
		switch r.IntN(8) {
		case 0:
			name = strings.ToUpper(name)
		case 1:
			name = text(12)
		case 2:
			value = text(24)
		}
		separator := []string{" : ", ":\t ", ":", ": "}[min(r.IntN(40), 3)]
		lines += name + separator + value + "\r\n"
	}
	return lines
}

// A service gets exactly what was validated, byte for byte, and what the contract allows, whatever a client sends.
func TestForward_headersAreThoseThatWereValidated(t *testing.T) {
	d := newWired(t)
	const requests = 2000
	reached := 0
	for seed := range uint64(requests) {
		r := rand.New(rand.NewPCG(seed, 1))
		if d.check(t, someLines(r), createBody) {
			reached++
		}
	}
	require.Greater(t, reached, requests/10, "enough pass to say something")
	require.Less(t, reached, requests*9/10)
}

func FuzzForward_headers(f *testing.F) {
	for _, value := range someValues {
		for _, name := range []string{"Accept", "Idempotency-Key", "X-Forwarded-For", "Connection", "Transfer-Encoding", "User-Agent"} {
			f.Add("Content-Type: application/json\r\n"+name+": "+value+"\r\n", "text", uint64(0))
		}
	}
	f.Add("Content-Type: application/json\r\n\r\n{}", "é\x00", uint64(1))
	d := newWired(f)
	f.Fuzz(func(t *testing.T, lines, text string, seed uint64) {
		if seed != 0 {
			lines += someLines(rand.New(rand.NewPCG(seed, 1)))
		}
		if len(lines) > 8<<10 || len(text) > 8<<10 {
			return // too large requests are tested elsewhere
		}
		if lines != "" && !strings.HasSuffix(lines, "\r\n") {
			lines += "\r\n" // otherwise the head has no end, and the gateway waits for it for a while
		}
		data, err := json.Marshal(map[string]any{"id": "a", "data": map[string]string{"text": text}})
		require.NoError(t, err)
		d.t = t // f must not read any input now
		d.check(t, lines, string(data))
	})
}
