package httpserver

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Close and the failure of the raw listener that it causes happen at the same time. The race detector sees whether both write the error.
func TestTLSListener_closesWhileItAccepts(t *testing.T) {
	for range 500 {
		raw, err := Listen(t.Context(), "127.0.0.1:0")
		require.NoError(t, err)
		l := newTLSListener(raw, tlsConfig(nil), func(c net.Conn) net.Conn { return c })
		var accepting sync.WaitGroup
		accepting.Go(func() {
			for range 2 { // net/http accepts again after an error that it takes for a temporary one
				_, err := l.Accept()
				assert.ErrorIs(t, err, net.ErrClosed)
			}
		})
		_ = l.Close() // a raw listener that is not accepting yet is closed all the same
		accepting.Wait()
	}
}

// brokenListener fails to accept.
type brokenListener struct{ net.Listener }

var errBroken = net.UnknownNetworkError("broken")

func (brokenListener) Accept() (net.Conn, error) { return nil, errBroken }

func TestTLSListener_returnsTheErrorOfTheRawListener(t *testing.T) {
	raw, err := Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	l := newTLSListener(brokenListener{raw}, tlsConfig(nil), func(c net.Conn) net.Conn { return c })
	_, err = l.Accept()
	require.ErrorIs(t, err, errBroken)
	require.NoError(t, l.Close())
	_, err = l.Accept()
	require.ErrorIs(t, err, errBroken, "the first error stays")
}
