package upstream

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/httpclient"
)

// The request arrives as given: the target byte for byte, every field, and the whole body.
func TestSend_sendsTheBytesThatItWasGiven(t *testing.T) {
	arrived := make(chan *http.Request, 1)
	s := serviceOf(t, listen(t, func(c net.Conn, r *http.Request) bool {
		arrived <- r
		return answering(okAnswer)(c, r)
	}).url())
	large := bytes.Repeat([]byte("0123456789"), 300_000)
	for _, r := range []*Request{
		{Method: "GET", Target: "/a%2fb//%41?x=%5B&y=a+b&"},
		{Method: "POST", Target: "/p", Body: []byte(`{}`)},
		{Method: "PUT", Target: "/p", Body: large},
		{Method: "POST", Target: "/p"},
		{Method: "POST", Target: "/p", Stream: bytes.NewReader(large), Length: int64(len(large))},
		{Method: "POST", Target: "/p", Stream: bytes.NewReader(large), Length: -1},
		{Method: "POST", Target: "/p", Stream: bytes.NewReader(nil), Length: -1},
	} {
		r.Fields = []Field{{"X-A", "1"}, {"X-A", "2"}, {"Content-Length", "77"}, {"Transfer-Encoding", "chunked"}, {"Host", "evil"}, {"Connection", "X-A"}}
		want := r.Body
		if r.Stream != nil {
			want, _ = io.ReadAll(r.Stream)
			r.Stream = bytes.NewReader(want)
		}
		require.Equal(t, "ok", mustAsk(t, s, r))
		seen := <-arrived
		body, _ := io.ReadAll(seen.Body)
		require.Equal(t, r.Target, seen.RequestURI)
		require.Equal(t, s.targets[0].URL.Host, seen.Host)
		require.Equal(t, http.Header{"X-A": {"1", "2"}}, without(seen.Header, "Content-Length"))
		require.True(t, bytes.Equal(want, body), r.Method)
	}
	for _, bad := range []*Request{
		{Method: "GET", Target: "/a b"}, {Method: "GET", Target: "/a\r\nX: y"}, {Method: "GET", Target: "a"}, {Method: "GET", Target: ""},
		{Method: "GET", Target: "/", Fields: []Field{{"X", "a\r\nY: b"}}}, {Method: "GET", Target: "/", Fields: []Field{{"X: y\r\nZ", "a"}}},
	} {
		_, _, err := ask(t, s, bad)
		require.ErrorIs(t, err, errUnsendable)
	}
}

func without(h http.Header, name string) http.Header {
	h = h.Clone()
	h.Del(name)
	return h
}

// A connection is reused only after an answer that was read to its end.
func TestPool_keepsOnlyConnectionsThatAreAtRest(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		method string
		read   bool
		conns  int64
	}{
		"whole":           {okAnswer, "GET", true, 1},
		"chunked":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n", "GET", true, 1},
		"no content":      {"HTTP/1.1 204 No Content\r\n\r\n", "GET", true, 1},
		"head":            {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "HEAD", true, 1},
		"interim":         {"HTTP/1.1 103 Early\r\n\r\n" + okAnswer, "GET", true, 1},
		"not read":        {okAnswer, "GET", false, 3},
		"says close":      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "GET", true, 3},
		"1.0":             {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "GET", true, 3},
		"bytes after it":  {okAnswer + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "GET", true, 3},
		"body after head": {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", "HEAD", true, 3},
		"protocols":       {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n", "GET", true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			there := listen(t, answering(c.answer))
			s := serviceOf(t, there.url())
			for range 3 {
				r := get()
				r.Method = c.method
				res, err := s.Do(context.Background(), r)
				require.NoError(t, err)
				if c.read {
					body, err := res.ReadAll(100)
					require.NoError(t, err)
					require.NotContains(t, string(body), "evil")
				} else {
					_ = res.Close()
				}
			}
			require.Equal(t, c.conns, there.conns.Load())
			open, idle := s.targets[0].pool.count()
			require.Equal(t, idle, open, "nothing is in use")
			require.Zero(t, s.targets[0].pending.Load())
		})
	}
}

// A peer that closes, or sends something unexpected, between two requests makes no request fail: this is detected before the connection is used.
func TestPool_seesThatAConnectionHasEnded(t *testing.T) {
	closed := make(chan struct{})
	there := listen(t, func(c net.Conn, r *http.Request) bool {
		_, _ = io.WriteString(c, okAnswer)
		if r.URL.Path == "/again" {
			return true
		}
		go func() {
			time.Sleep(time.Millisecond) // after the answer was read, mostly; both are right
			_ = c.Close()
			closed <- struct{}{}
		}()
		return true
	})
	s := serviceOf(t, there.url())
	for range 20 {
		mustAsk(t, s, post())
		<-closed
		time.Sleep(time.Millisecond) // its end travels through the kernel
		r := post()
		r.Target = "/again"
		mustAsk(t, s, r)
		s.targets[0].pool.sweep(0)
	}
}

// The end of the caller's time and its cancellation end the request at once, and the connection is not reused.
func TestDo_endsWithItsContext(t *testing.T) {
	there := listen(t, func(c net.Conn, r *http.Request) bool {
		if r.URL.Path == "/half" {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
		}
		_, _ = c.Read(make([]byte, 1)) // until the other side closes
		return false
	})
	s := serviceOf(t, there.url())
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err := s.Do(ctx, get())
	require.ErrorIs(t, err, context.Canceled)

	ctx, cancel = context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = s.Do(ctx, get())
	require.ErrorIs(t, err, context.DeadlineExceeded)

	ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	r := get()
	r.Target = "/half"
	res, err := s.Do(ctx, r)
	require.NoError(t, err)
	_, err = res.ReadAll(100)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	open, idle := s.targets[0].pool.count()
	require.Zero(t, open)
	require.Zero(t, idle)
	require.Zero(t, s.targets[0].pending.Load())
}

// An answer may come before the body was sent completely, and begin while it is being sent.
func TestDo_streamsInBothDirections(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		for buffer := make([]byte, 100); ; {
			n, err := r.Body.Read(buffer)
			_, _ = w.Write(buffer[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	}))
	defer echo.Close()
	u, _ := url.Parse(echo.URL)
	s := serviceOf(t, u)
	reader, writer := io.Pipe()
	res, err := s.Do(context.Background(), &Request{Method: "POST", Target: "/", Stream: reader, Length: -1})
	require.NoError(t, err)
	for i := range 10 {
		line := fmt.Sprintln("line", i)
		_, err := io.WriteString(writer, line)
		require.NoError(t, err)
		got := make([]byte, len(line))
		_, err = io.ReadFull(res, got)
		require.NoError(t, err)
		require.Equal(t, line, string(got))
	}
	require.NoError(t, writer.Close())
	rest, err := res.ReadAll(10)
	require.NoError(t, err)
	require.Empty(t, rest)

	broken := errors.New("the client's body broke")
	reader, writer = io.Pipe()
	go func() { _ = writer.CloseWithError(broken) }()
	res, err = s.Do(context.Background(), &Request{Method: "POST", Target: "/", Stream: reader, Length: 5})
	if err == nil { // the echo's head came first
		defer res.Close()
		_, err = res.ReadAll(10)
	}
	require.Error(t, err)
}

// What a service answers before it closes is used, even if it did not read the whole body.
func TestDo_readsAnAnswerThatCameInsteadOfTheReading(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, c)
	}()
	s := serviceOf(t, &url.URL{Scheme: "http", Host: l.Addr().String()})
	status, _, err := ask(t, s, &Request{Method: "POST", Target: "/", Body: bytes.Repeat([]byte("x"), 1<<20)})
	require.NoError(t, err)
	require.Equal(t, 413, status)
}

func TestReadAll_isBounded(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + strings.Repeat("x", 1000),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + strings.Repeat("x", 1000) + "\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 1000),
	} {
		there := listen(t, func(c net.Conn, r *http.Request) bool { answering(text)(c, r); return false })
		s := serviceOf(t, there.url())
		res, err := s.Do(context.Background(), get())
		require.NoError(t, err)
		_, err = res.ReadAll(999)
		require.ErrorIs(t, err, ErrTooLarge)
		res, err = s.Do(context.Background(), get())
		require.NoError(t, err)
		body, err := res.ReadAll(1000)
		require.NoError(t, err)
		require.Len(t, body, 1000)
	}
}

// The concurrent requests of a target are bounded by its maximum number of connections.
func TestPool_isBounded(t *testing.T) {
	s := serviceOf(t, listen(t, answering(okAnswer)).url())
	s.targets[0].pool.open = maxOpen
	_, _, err := ask(t, s, get())
	require.ErrorIs(t, err, ErrFull)
	s.targets[0].pool.open = maxOpen - 1
	mustAsk(t, s, get())
	require.Equal(t, maxOpen, s.targets[0].pool.open)
	mustAsk(t, s, get())
}

// https targets are verified against the configured CAs, and HTTP/1.1 is negotiated.
func TestDial_speaksTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	u, _ := url.Parse(server.URL)
	for ca, good := range map[string]bool{file: true, "": false} {
		config, err := httpclient.TLS(ca)
		require.NoError(t, err)
		set := New(Options{Targets: map[string][]*url.URL{"x": {u}}, TLS: config, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
		for range 3 {
			_, body, err := ask(t, set.Service("x"), get())
			if good {
				require.NoError(t, err)
				require.Equal(t, "HTTP/1.1", body)
				continue
			}
			var dial *DialError
			require.ErrorAs(t, err, &dial)
		}
		open, _ := set.Service("x").targets[0].pool.count()
		require.Equal(t, good, open == 1, "one connection for three requests")
	}
}
