package store_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// wire is a TCP connection to PostgreSQL that can be paused, as by a frozen server, and cut, as by one that stopped.
type wire struct {
	net.Listener
	target string
	mu     sync.Mutex
	conns  []net.Conn
	held   chan struct{}          // closed while bytes pass
	lose   atomic.Pointer[func()] // called with each answer that is lost; nil: none is
}

// answers are the messages from PostgreSQL to a client.
type answers struct {
	io.Writer
	w *wire
}

func (a answers) Write(p []byte) (int, error) {
	if lost := a.w.lose.Load(); lost != nil {
		(*lost)()
		return len(p), nil
	}
	return a.Writer.Write(p)
}

func newWire(t *testing.T, target string) *wire {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w := &wire{Listener: listener, target: target, held: make(chan struct{})}
	close(w.held)
	go w.accept()
	t.Cleanup(w.cut)
	return w
}

func (w *wire) accept() {
	for {
		client, err := w.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", w.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, client, server)
		w.mu.Unlock()
		go w.pass(answers{client, w}, server)
		go w.pass(server, client)
	}
}

func (w *wire) pass(to io.Writer, from io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		w.mu.Lock()
		held := w.held
		w.mu.Unlock()
		<-held
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (w *wire) hold() (release func()) {
	held := make(chan struct{})
	w.mu.Lock()
	w.held = held
	w.mu.Unlock()
	return func() { close(held) }
}

func (w *wire) cut() {
	_ = w.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
}

func TestProve_findsThatPostgreSQLStopped(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // SQLite has no server
		}
		address, err := url.Parse(c.URL)
		require.NoError(t, err)
		w := newWire(t, address.Host)
		address.Host = w.Addr().String()
		c.URL = address.String()
		db, err := store.Open(t.Context(), c)
		require.NoError(t, err)
		defer db.Close()
		prove := func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			return db.Prove(ctx)
		}
		require.NoError(t, prove())
		release := w.hold()
		require.Error(t, prove(), "it does not answer")
		release()
		require.Eventually(t, func() bool { return prove() == nil }, 5*time.Second, 50*time.Millisecond, "it answers again")
		w.cut()
		require.Error(t, prove(), "it is gone")
	})
}
