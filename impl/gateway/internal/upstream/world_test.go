package upstream

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/servicetest"
)

// target is a server whose connections are served by a function of the test.
type target struct {
	t        *testing.T
	listener net.Listener
	conns    atomic.Int64
	requests atomic.Int64

	mu   sync.Mutex
	open []net.Conn
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// listen starts a target. serve answers one request; false closes the connection.
func listen(t *testing.T, serve func(c net.Conn, r *http.Request) bool) *target {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	made := &target{t: t, listener: l}
	t.Cleanup(made.stop)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			made.conns.Add(1)
			made.mu.Lock()
			made.open = append(made.open, c)
			made.mu.Unlock()
			go made.converse(c, serve)
		}
	}()
	return made
}

func (s *target) converse(c net.Conn, serve func(net.Conn, *http.Request) bool) {
	defer c.Close()
	from := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		s.requests.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		if !serve(c, r) {
			return
		}
	}
}

// stop closes the listener and every connection.
func (s *target) stop() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		_ = c.Close()
	}
}

func (s *target) url() *url.URL {
	u, err := url.Parse("http://" + s.listener.Addr().String())
	require.NoError(s.t, err)
	return u
}

// answering serves every request with this text.
func answering(text string) func(net.Conn, *http.Request) bool {
	return func(c net.Conn, _ *http.Request) bool {
		_, err := io.WriteString(c, text)
		return err == nil
	}
}

func hangUp(net.Conn, *http.Request) bool { return false }

// serviceOf makes a service of targets.
func serviceOf(t *testing.T, urls ...*url.URL) *Service {
	set := New(Options{Targets: map[string][]*url.URL{"x": urls}, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	return set.Service("x")
}

// nobody returns an address at which nothing listens.
func nobody(t *testing.T) *url.URL {
	return &url.URL{Scheme: "http", Host: servicetest.FreeAddress(t)}
}

func get() *Request { return &Request{Method: "GET", Target: "/a?b=%20", Repeatable: true, Repeats: 1} }

func post() *Request {
	return &Request{Method: "POST", Target: "/a", Body: []byte(`{"a":1}`), Fields: []Field{{"Content-Type", "application/json"}}, Repeats: 1}
}

// ask sends a request and reads the answer.
func ask(t *testing.T, s *Service, r *Request) (status int, body string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	res, err := s.Do(ctx, r)
	if err != nil {
		return 0, "", err
	}
	raw, err := res.ReadAll(1 << 20)
	return res.Status, string(raw), err
}

func mustAsk(t *testing.T, s *Service, r *Request) string {
	t.Helper()
	status, body, err := ask(t, s, r)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	return body
}
