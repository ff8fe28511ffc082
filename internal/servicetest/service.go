package servicetest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
)

// Log collects log output. It may be read while it is written.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns everything written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Settings returns the settings of a service at a kms, with a database of storetest (without one: SQLite in a directory of the test), logging
// everything to log.
func Settings(t testing.TB, kms *KMS, database store.Config, log *Log) config.Service {
	t.Helper()
	c := config.Service{
		DataDir: database.Dir, Issuer: Issuer, JWKSURL: kms.JWKSURL(), KMSURL: kms.URL, EnrolTokenFile: kms.EnrolToken(t),
		DatabaseURLFile: DatabaseURLFile(t, database), DrainDelay: time.Nanosecond,
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if c.DataDir == "" {
		c.DataDir = filepath.Join(t.TempDir(), "data")
	}
	return c
}

// DatabaseURLFile writes the URL of a PostgreSQL database to a file and returns its path; for SQLite it returns "".
func DatabaseURLFile(t testing.TB, database store.Config) string {
	t.Helper()
	if database.URL == "" {
		return ""
	}
	path := filepath.Join(t.TempDir(), "url")
	require.NoError(t, os.WriteFile(path, []byte(database.URL+"\n"), 0o600))
	return path
}

// Running is a service that runs until the test ends.
type Running struct {
	URL string // of its listener

	ready chan struct{}
	ended chan struct{}
	err   error // set before ended is closed
	stop  context.CancelFunc
}

// Start gives c, the settings that run will read, a listener, and starts run. The test fails when run ends with an error.
func Start(t testing.TB, c *config.Service, run func(ctx context.Context) error) *Running {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{URL: "http://" + listener.Addr().String(), ready: make(chan struct{}), ended: make(chan struct{}), stop: cancel}
	c.Listener, c.OnReady = listener, func() { close(r.ready) }
	go func() {
		defer close(r.ended)
		r.err = run(ctx)
	}()
	t.Cleanup(func() { r.Stop(t) })
	return r
}

// WaitReady waits until the service is ready for the first time.
func (r *Running) WaitReady(t testing.TB) {
	t.Helper()
	select {
	case <-r.ready:
	case <-r.ended:
		require.FailNow(t, "the service ended before it was ready", "%v", r.err)
	case <-time.After(time.Minute): // far longer than any start: a hang would otherwise end in the timeout of the whole run
		require.FailNow(t, "the service is not ready after a minute")
	}
}

// Stop ends the service and waits until it has ended; repeated calls are allowed.
func (r *Running) Stop(t testing.TB) {
	t.Helper()
	r.stop()
	<-r.ended
	require.NoError(t, r.err, "an asked-for end is no error")
}
