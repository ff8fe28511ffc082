package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

const surplus = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

// Surplus bytes after an answer never become the answer to another request, even if TLS has already read them from the socket.
func TestPool_usesNoTLSConnectionWithSurplusAgain(t *testing.T) {
	long := strings.Repeat("x", 2*readBuffer) // the body is larger than the read buffer
	for name, records := range map[string][]string{
		"in the record of the body": {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(long), long) + surplus},
		"in the next record":        {okAnswer, surplus},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := secured(t, records...)
			for range 5 {
				require.NotEqual(t, "evil", mustAsk(t, s, get()))
			}
		})
	}
}

// A TLS connection without surplus bytes is reused.
func TestPool_usesAQuietTLSConnectionAgain(t *testing.T) {
	s, conns := secured(t, okAnswer)
	for range 5 {
		require.Equal(t, "ok", mustAsk(t, s, get()))
	}
	require.EqualValues(t, 1, conns.Load())
}

// gathering is a connection that buffers what is written until it is told to send it.
type gathering struct {
	net.Conn
	out []byte
}

func (g *gathering) Write(p []byte) (int, error) {
	g.out = append(g.out, p...)
	return len(p), nil
}

func (g *gathering) Read(p []byte) (int, error) { // the handshake takes turns
	if err := g.flush(); err != nil {
		return 0, err
	}
	return g.Conn.Read(p)
}

func (g *gathering) flush() error {
	_, err := g.Conn.Write(g.out)
	g.out = nil
	return err
}

// secured is a service with one target over TLS, which answers every request with these records, sent at once. conns counts its connections.
func secured(t *testing.T, records ...string) (s *Service, conns *atomic.Int64) {
	certificates := httptest.NewUnstartedServer(nil)
	certificates.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	certificates.StartTLS()
	t.Cleanup(certificates.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certificates.Certificate())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	conns = &atomic.Int64{}
	go func() {
		for {
			plain, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = plain.Close() })
			conns.Add(1)
			go func() {
				c := tls.Server(&gathering{Conn: plain}, &tls.Config{Certificates: certificates.TLS.Certificates})
				request := make([]byte, 4<<10)
				for {
					if _, err := c.Read(request); err != nil {
						return
					}
					for _, record := range records {
						_, _ = io.WriteString(c, record)
					}
				}
			}()
		}
	}()
	set := New(Options{
		Targets: map[string][]*url.URL{"x": {{Scheme: "https", Host: l.Addr().String()}}}, TLS: &tls.Config{RootCAs: roots},
		Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	return set.Service("x"), conns
}
