package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/internal/problem"
)

// settleTime is how long connections that are being established when a listener closes still have to be accepted: some round trips within a data
// centre.
const settleTime = 100 * time.Millisecond

// Timeouts of a connection, whatever the contract says. A stream's own deadlines replace the last two.
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	readTimeout       = 2 * time.Minute
	writeTimeout      = 2 * time.Minute // from the end of the head: a client that reads more slowly must not occupy a handler
)

// ServeOptions configure how a listener is served and drained.
type ServeOptions struct {
	CertFile, KeyFile string // both or neither; TLS 1.2 and later; read again when they change
	Log               *slog.Logger
	Draining          func()        // called when the drain begins, so that readiness fails
	DrainDelay        time.Duration // between that and the end of accepting connections
	Announced         func() bool   // whether clients were told to send requests here; nil: yes. If not, there is no delay
	Grace             time.Duration // for requests in flight
}

type lineKey struct{}

// oneLine is the state that the consecutive requests of an HTTP/1 connection share.
type oneLine struct {
	conn    *strictConn // net/http only sees this type, and not whether it is TLS
	parting parting
}

// connContext makes the connection's state available to its requests.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if strict, ok := c.(*strictConn); ok {
		return context.WithValue(ctx, lineKey{}, &oneLine{conn: strict})
	}
	return ctx
}

// refusal returns the function that answers a request which does not reach the handler.
func refusal(h http.Handler) func(*strictConn, *problem.Error) {
	if d, ok := h.(*door); ok {
		return d.observer.refuseConnection
	}
	return func(c *strictConn, e *problem.Error) { c.lastAnswer(e, "") }
}

// farewell makes every answer close its connection while drains is set, so that no connection is idle when the server closes the idle ones: a request
// that a client sends at that moment would be lost (RFC 9112, section 9.6). It also applies to requests that were begun before.
func farewell(h http.Handler, drains *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if line, ok := r.Context().Value(lineKey{}).(*oneLine); ok {
			line.parting = parting{w, drains}
			w = &line.parting
		}
		h.ServeHTTP(w, r)
	})
}

// parting writes the answers of one HTTP/1 connection. It is allocated with the connection, so that a request needs no allocation.
type parting struct {
	http.ResponseWriter
	drains *atomic.Bool
}

// WriteHeader implements http.ResponseWriter. All answers of a server begin with it.
func (p *parting) WriteHeader(status int) {
	if p.drains.Load() {
		p.Header().Set("Connection", "close")
	}
	p.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (p *parting) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// Serve answers requests from the listener until ctx ends. Then it drains: it becomes not ready, waits, finishes the requests in flight and closes.
// It returns nil when the drain ended within Grace.
func Serve(ctx context.Context, l net.Listener, h http.Handler, o ServeOptions) error {
	silent := &silentConns{since: map[net.Conn]time.Time{}}
	raw := l
	var drains atomic.Bool
	server := &http.Server{
		Handler:           farewell(h, &drains),
		ConnState:         silent.track,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    2 * maxHead, // strictConn refuses earlier, with a problem
		ConnContext:       connContext,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true, // OPTIONS * goes through the same checks as everything else, and is logged
	}
	if o.CertFile != "" {
		certificate, err := loadCertificate(o.CertFile, o.KeyFile)
		if err != nil {
			_ = l.Close() // the certificate's error is returned
			return err
		}
		l = newTLSListener(l, tlsConfig(certificate), func(c net.Conn) net.Conn { return &strictConn{Conn: c, secured: true, refused: refusal(h)} })
	} else {
		l = &strictListener{l, refusal(h)}
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	drains.Store(true)
	return (&drain{o, server, l, raw, silent, failed}).run(ctx)
}

// tlsConfig is the TLS configuration of a listener of our own. It offers no HTTP/2: what net/http refuses there never reaches a handler, and so would
// appear in no log line, metric or problem. Caddy in front supports HTTP/2 and HTTP/3 (decision 61).
func tlsConfig(c *certificate) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"http/1.1"}}
}

// drain is the shutdown of a server.
type drain struct {
	ServeOptions
	server *http.Server
	l      net.Listener
	raw    net.Listener // the kernel listener below l
	silent *silentConns
	failed <-chan error // of the server
}

func (d *drain) run(ctx context.Context) error {
	if d.Draining != nil {
		d.Draining()
	}
	delay := d.DrainDelay
	if d.Announced != nil && !d.Announced() {
		delay = 0
	}
	select {
	case err := <-d.failed:
		return fmt.Errorf("serve %s: %w", d.l.Addr(), err)
	case <-time.After(delay):
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.Grace)
	defer cancel()
	if delay > 0 {
		keepOut(d.raw, min(delay, settleTime), d.Log)
	}
	_ = d.l.Close() // it ends, whatever Close returns
	if err := <-d.failed; !errors.Is(err, net.ErrClosed) {
		_ = d.server.Close() // the server's error is returned
		return fmt.Errorf("serve %s: %w", d.l.Addr(), err)
	}
	d.silent.settle(end, min(max(delay, leastSilence), mostSilence))
	if err := d.server.Shutdown(end); err != nil {
		_ = d.server.Close() // as above
		return fmt.Errorf("drain %s: %w", d.l.Addr(), err)
	}
	return nil
}
