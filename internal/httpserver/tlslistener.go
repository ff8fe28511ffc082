package httpserver

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// handshakeTime is how long a TLS handshake may take.
const handshakeTime = 5 * time.Second

// tlsListener completes the TLS handshake before it returns a connection: a client that speaks no TLS, or too slowly, does not count as a refused
// request, and a strictConn only has to read HTTP.
type tlsListener struct {
	net.Listener
	config *tls.Config
	strict func(net.Conn) net.Conn

	ready chan net.Conn
	done  chan struct{} // closed when nothing more is accepted
	start sync.Once
	over  sync.Once
	err   error // why done is closed; written before, and only once
}

func newTLSListener(l net.Listener, config *tls.Config, strict func(net.Conn) net.Conn) *tlsListener {
	return &tlsListener{Listener: l, config: config, strict: strict, ready: make(chan net.Conn), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (t *tlsListener) Accept() (net.Conn, error) {
	t.start.Do(func() { go t.accept() })
	select {
	case conn := <-t.ready:
		return conn, nil
	case <-t.done:
		return nil, t.err
	}
}

// end makes Accept return err. Close and the failure of the raw listener, which Close causes, may call it at the same time: the first error stays.
func (t *tlsListener) end(err error) {
	t.over.Do(func() {
		t.err = err
		close(t.done)
	})
}

// Close implements net.Listener. Running handshakes end by their own timeout.
func (t *tlsListener) Close() error {
	err := t.Listener.Close()
	t.end(net.ErrClosed)
	return err
}

func (t *tlsListener) accept() {
	for {
		conn, err := t.Listener.Accept()
		if err != nil {
			if temporary(err) {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			t.end(err)
			return
		}
		go t.shake(tls.Server(conn, t.config))
	}
}

// temporary reports whether accepting may succeed again: the process has too many open files, or the client has disconnected at once.
func temporary(err error) bool {
	again, ok := err.(interface{ Temporary() bool })
	return ok && again.Temporary()
}

func (t *tlsListener) shake(conn *tls.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // it speaks no TLS, or no supported version
		return
	}
	select {
	case t.ready <- t.strict(conn):
	case <-t.done:
		_ = conn.Close() // the server ends
	}
}
