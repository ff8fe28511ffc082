package httpserver

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A server that accepts slowly, as on a busy machine, still accepts every connection that was made before its listener closes.
func TestKeepOut_waitsUntilEveryConnectionIsAccepted(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	for range 2 {
		made, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer made.Close()
	}
	over := make(chan struct{})
	go func() {
		keepOut(l, 20*time.Millisecond, slog.New(slog.DiscardHandler))
		close(over)
	}()
	for range 2 {
		select {
		case <-over:
			t.Fatal("a connection waits to be accepted")
		case <-time.After(100 * time.Millisecond):
		}
		accepted, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, accepted.Close())
	}
	<-over
}
