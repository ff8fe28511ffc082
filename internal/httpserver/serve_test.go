package httpserver

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serving is a world that listens.
type serving struct {
	*world
	address string
	stop    context.CancelFunc
	ended   chan error
}

func serve(t *testing.T, w *world, o ServeOptions) *serving {
	t.Helper()
	l, err := Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	o.Log = slog.New(slog.DiscardHandler)
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
	s := &serving{world: w, address: l.Addr().String(), stop: stop, ended: make(chan error, 1)}
	go func() { s.ended <- Serve(ctx, l, w.Handler, o) }()
	t.Cleanup(stop)
	return s
}

func (s *serving) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn, bufio.NewReader(conn)
}

func answer(t *testing.T, r *bufio.Reader) (*http.Response, string) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res, string(body)
}

func TestServe_finishesWhatIsInFlight(t *testing.T) {
	w := newWorld(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	w.handlers["getHealth"] = func(rw http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		rw.WriteHeader(http.StatusNoContent)
	}
	var draining atomic.Bool
	s := serve(t, w, ServeOptions{DrainDelay: 100 * time.Millisecond, Draining: func() { draining.Store(true) }})
	got := make(chan error, 1)
	go func() {
		res, err := http.Get("http://" + s.address + "/sample/v1/health") //nolint:noctx // the test is about the end of the server
		if err == nil {
			err = res.Body.Close()
		}
		got <- err
	}()
	<-entered
	s.stop()
	require.Eventually(t, draining.Load, 5*time.Second, time.Millisecond)
	w.handlers["getHealth"] = nil
	res, err := http.Get("http://" + s.address + "/sample/v1/health") //nolint:noctx // during the delay the door is still open
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", s.address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	}, 5*time.Second, 5*time.Millisecond, "then it closes")
	close(leave)
	require.NoError(t, <-got)
	require.NoError(t, <-s.ended)
}

func TestServe_reportsADrainThatTookTooLong(t *testing.T) {
	w := newWorld(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	defer close(leave)
	w.handlers["getHealth"] = func(http.ResponseWriter, *http.Request) { close(entered); <-leave }
	s := serve(t, w, ServeOptions{Grace: 20 * time.Millisecond})
	conn, _ := s.dial(t)
	_, err := fmt.Fprint(conn, "GET /sample/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-entered
	s.stop()
	require.ErrorIs(t, <-s.ended, context.DeadlineExceeded)
}

func TestServe_refusesAnUploadWithoutReadingIt(t *testing.T) {
	s := serve(t, newWorld(t), ServeOptions{})
	for name, framing := range map[string]string{"by length": "Content-Length: 67108864", "chunked": "Transfer-Encoding: chunked"} {
		t.Run(name, func(t *testing.T) {
			conn, r := s.dial(t)
			_, err := fmt.Fprintf(conn, "POST /sample/v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s\r\n\r\n", framing)
			require.NoError(t, err)
			res, body := answer(t, r) // nothing of the body was sent, and the answer is there
			require.Equal(t, 401, res.StatusCode, body)
			require.True(t, res.Close, "the connection ends instead of waiting for 64 MiB")
			_, err = r.ReadByte()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestServe_sendsNoContinueBeforeAuthorization(t *testing.T) {
	w := newWorld(t)
	s := serve(t, w, ServeOptions{})
	conn, r := s.dial(t)
	_, err := fmt.Fprintf(conn, "POST /sample/v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", len(thing))
	require.NoError(t, err)
	res, _ := answer(t, r)
	require.Equal(t, 401, res.StatusCode)

	// Authorized, it gets its 100. The token's times are those of the world's clock, which the verifier has too.
	conn, r = s.dial(t)
	_, err = fmt.Fprintf(conn, "POST /sample/v1/things HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nIdempotency-Key: 0123456789\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", w.token(), len(thing))
	require.NoError(t, err)
	res, _ = answer(t, r)
	require.Equal(t, 100, res.StatusCode)
	_, err = io.WriteString(conn, thing)
	require.NoError(t, err)
	res, _ = answer(t, r)
	require.Equal(t, 204, res.StatusCode)
}

func TestServe_endsAnUploadThatIsTooSlow(t *testing.T) {
	w := newWorld(t)
	w.contract.Operation("createThing").Policy.Timeout = 50 * time.Millisecond
	s := serve(t, w, ServeOptions{})
	conn, r := s.dial(t)
	_, err := fmt.Fprintf(conn, "POST /sample/v1/things HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nIdempotency-Key: 0123456789\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", w.token())
	require.NoError(t, err)
	res, body := answer(t, r)
	require.Equal(t, 408, res.StatusCode, body)
}

func TestServe_keepsAConnectionAfterABody(t *testing.T) {
	w := newWorld(t)
	w.contract.Operation("createThing").Policy.Timeout = 200 * time.Millisecond
	s := serve(t, w, ServeOptions{})
	conn, r := s.dial(t)
	for range 3 { // each later than the deadline of the one before
		_, err := fmt.Fprintf(conn, "POST /sample/v1/things HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nIdempotency-Key: 0123456789\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", w.token(), len(thing), thing)
		require.NoError(t, err)
		res, _ := answer(t, r)
		require.Equal(t, 204, res.StatusCode)
		<-time.After(250 * time.Millisecond)
	}
}

// dialTLS connects like a client that supports HTTP/2 and HTTP/1.1.
func (s *serving) dialTLS(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}}).DialContext(t.Context(), "tcp", s.address) //nolint:gosec // a certificate of its own
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn, bufio.NewReader(conn)
}

func TestServe_refusesLargeHeaders(t *testing.T) {
	s := serve(t, newWorld(t), ServeOptions{})
	for name, c := range map[string]struct {
		header string
		status int
	}{
		"one of 32 KiB":  {"X-A: " + strings.Repeat("a", 32<<10) + "\r\n", 431},
		"one of 17 KiB":  {"X-A: " + strings.Repeat("a", 17<<10) + "\r\n", 431},
		"65 fields":      {strings.Repeat("X-A: a\r\n", 65), 431},
		"dots as bearer": {"Authorization: Bearer " + strings.Repeat(".", 15<<10) + "\r\n", 401},
	} {
		conn, r := s.dial(t)
		_, err := fmt.Fprintf(conn, "GET /sample/v1/things HTTP/1.1\r\nHost: x\r\n%s\r\n", c.header)
		require.NoError(t, err)
		res, _ := answer(t, r)
		require.Equal(t, c.status, res.StatusCode, name)
	}
	conn, r := s.dial(t)
	_, err := fmt.Fprintf(conn, "GET /sample/v1/things?q=%s HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("a", MaxTarget))
	require.NoError(t, err)
	res, _ := answer(t, r)
	require.Equal(t, 414, res.StatusCode)
}

func TestServe_seesOneRequestOrNone(t *testing.T) {
	w := newWorld(t)
	var seen atomic.Int64
	w.handlers["getHealth"] = func(rw http.ResponseWriter, _ *http.Request) { seen.Add(1); rw.WriteHeader(http.StatusNoContent) }
	w.handlers["sendForm"] = w.handlers["getHealth"]
	s := serve(t, w, ServeOptions{})
	const smuggled = "GET /sample/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, request := range map[string]string{
		"length and chunked":     "POST /sample/v1/forms HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"two lengths":            "POST /sample/v1/forms HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n" + smuggled,
		"signed length":          "POST /sample/v1/forms HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n" + smuggled,
		"space before the colon": "POST /sample/v1/forms HTTP/1.1\r\nHost: x\r\nContent-Length : 44\r\n\r\n" + smuggled,
		"folded header":          "GET /sample/v1/things HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\nContent-Length : 44\r\n\r\n" + smuggled,
		"two hosts":              "GET /sample/v1/things HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + smuggled,
		"unknown coding":         "POST /sample/v1/forms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n" + smuggled,
		"body on a GET":          fmt.Sprintf("GET /sample/v1/things HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(smuggled), smuggled),
	} {
		t.Run(name, func(t *testing.T) {
			before := seen.Load()
			conn, r := s.dial(t)
			_, err := io.WriteString(conn, request)
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			all, _ := io.ReadAll(r) // a reset ends it too
			require.LessOrEqual(t, strings.Count(string(all), "HTTP/1.1 "), 1, "%s", all)
			require.Equal(t, before, seen.Load())
		})
	}
}

// writeCertificate writes a self-signed certificate for 127.0.0.1 with a serial number.
func writeCertificate(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	stamp := time.Unix(serial*1000, 0)
	require.NoError(t, os.Chtimes(certFile, stamp, stamp))
	require.NoError(t, os.Chtimes(keyFile, stamp, stamp))
	return certFile, keyFile
}

func TestServe_speaksTLS(t *testing.T) {
	certFile, keyFile := writeCertificate(t, t.TempDir(), 1)
	s := serve(t, newWorld(t), ServeOptions{CertFile: certFile, KeyFile: keyFile})
	conn, _ := s.dialTLS(t)
	state := conn.(*tls.Conn).ConnectionState()
	require.GreaterOrEqual(t, state.Version, uint16(tls.VersionTLS12))
	require.Equal(t, "http/1.1", state.NegotiatedProtocol, "HTTP/2 is left to Caddy")
	require.EqualValues(t, 1, state.PeerCertificates[0].SerialNumber.Int64())
	require.NoError(t, conn.Close())
	_, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}).DialContext(t.Context(), "tcp", s.address) //nolint:gosec // a certificate of its own
	require.Error(t, err, "a client that speaks HTTP/2 alone")
	_, err = (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}}).DialContext(t.Context(), "tcp", s.address) //nolint:gosec // it must be refused
	require.Error(t, err)
}

func TestServe_refusesToStartWithoutItsCertificate(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	err = Serve(t.Context(), l, http.NotFoundHandler(), ServeOptions{CertFile: "/nonexistent", KeyFile: "/nonexistent", Log: slog.New(slog.DiscardHandler)})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestCertificate_isReadAgainWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	serial := func(c *certificate) int64 {
		pair, err := c.get(nil)
		require.NoError(t, err)
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		require.NoError(t, err)
		return leaf.SerialNumber.Int64()
	}
	c, err := loadCertificate(writeCertificate(t, dir, 1))
	require.NoError(t, err)
	require.EqualValues(t, 1, serial(c))
	writeCertificate(t, dir, 2)
	require.EqualValues(t, 1, serial(c), "the files are looked at every few seconds only")
	c.checked = time.Time{}
	require.EqualValues(t, 2, serial(c))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cert.pem"), []byte("half of it"), 0o600))
	c.checked = time.Time{}
	require.EqualValues(t, 2, serial(c), "a broken file leaves the old certificate")
}

func TestServe_reportsAListenerThatFails(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.ErrorIs(t, Serve(t.Context(), l, http.NotFoundHandler(), ServeOptions{Log: slog.New(slog.DiscardHandler)}), net.ErrClosed)
}

// HTTP clients open connections in advance. http.Server alone waits 5 s for each of them at shutdown, in case a request is in flight.
func TestServe_waitsForNoConnectionThatNeverSpoke(t *testing.T) {
	s := serve(t, newWorld(t), ServeOptions{Grace: 4 * time.Second})
	_, silent := s.dial(t)
	res, err := http.Get("http://" + s.address + "/sample/v1/health") //nolint:noctx // it shows that the one dialled before was accepted
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	s.stop()
	require.NoError(t, <-s.ended, "it ends within its grace")
	_, err = silent.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}
