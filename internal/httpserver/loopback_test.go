package httpserver

import (
	"context"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// To whichever address a client resolves the name localhost, it reaches the server; after the server's end no address is reachable.
func TestListenLoopback_servesEveryAddressOfTheName(t *testing.T) {
	l, err := ListenLoopback(t.Context(), "0")
	require.NoError(t, err)
	listeners := Listeners(l)
	require.Len(t, listeners, len(loopbacks), "the machine that tests this has both")
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, host := range append([]string{"localhost"}, loopbacks...) {
		answer, err := once.Get("http://" + net.JoinHostPort(host, port))
		require.NoError(t, err, host)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, "here", string(body), host)
	}
	require.NoError(t, server.Shutdown(context.Background()))
	require.ErrorIs(t, <-ended, http.ErrServerClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	for _, host := range loopbacks {
		again, err := net.Listen("tcp", net.JoinHostPort(host, port))
		require.NoError(t, err, "the port is free again")
		require.NoError(t, again.Close())
	}
}

// A port that another program has on one of the addresses is refused: clients that use the name could reach that program.
func TestListenLoopback_refusesAPortThatAnotherHasAtOneAddress(t *testing.T) {
	for _, host := range loopbacks {
		taken, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		require.NoError(t, err)
		_, port, err := net.SplitHostPort(taken.Addr().String())
		require.NoError(t, err)
		_, err = ListenLoopback(t.Context(), port)
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		var where *net.OpError
		require.ErrorAs(t, err, &where)
		require.Equal(t, taken.Addr().String(), where.Addr.String())
		require.NoError(t, taken.Close())
		l, err := ListenLoopback(t.Context(), port)
		require.NoError(t, err, "the other address was given back")
		require.NoError(t, l.Close())
	}
}

// given is a listener that has accepted one connection, and accepts no further one.
type given struct {
	net.Listener
	conn  chan net.Conn
	ended chan struct{}
}

func (g *given) Accept() (net.Conn, error) {
	select {
	case conn := <-g.conn:
		return conn, nil
	case <-g.ended:
		return nil, net.ErrClosed
	}
}

func (g *given) Close() error { close(g.ended); return nil }

// A connection that was accepted is passed on even if the listener was closed meanwhile, because its client is already connected.
func TestSeveral_losesNoConnectionWhenItCloses(t *testing.T) {
	conn, peer := net.Pipe()
	defer peer.Close()
	one, other := &given{conn: make(chan net.Conn), ended: make(chan struct{})}, &given{ended: make(chan struct{})}
	l := newSeveral([]net.Listener{one, other})
	one.conn <- conn
	require.NoError(t, l.Close())
	got, err := l.Accept()
	require.NoError(t, err)
	require.Equal(t, conn, got)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}
