package httpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// ServeOptions say how a listener is served and how it ends.
type ServeOptions struct {
	CertFile, KeyFile string // both or none; TLS 1.2 and later
	Log               *slog.Logger
	Draining          func()        // told when the end begins, so that readiness can say no
	DrainDelay        time.Duration // between that and the end of accepting
	Grace             time.Duration // for requests in flight
}

// Serve answers requests from the listener until ctx ends; then it drains: not ready, wait, finish what is in flight, close. It
// returns nil after a drain that ended in its grace.
func Serve(ctx context.Context, l net.Listener, h http.Handler, o ServeOptions) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    MaxHeaderBytes,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12},
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() {
		if o.CertFile != "" {
			failed <- server.ServeTLS(l, o.CertFile, o.KeyFile)
		} else {
			failed <- server.Serve(l)
		}
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	if o.Draining != nil {
		o.Draining()
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-time.After(o.DrainDelay):
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.Grace)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		_ = server.Close() // Shutdown's error is the one that counts
		return fmt.Errorf("drain %s: %w", l.Addr(), err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}
