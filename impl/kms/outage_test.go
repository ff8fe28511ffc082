package kms_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// cable is a TCP connection to the database that can be interrupted.
type cable struct {
	listener net.Listener
	target   string
	mu       sync.Mutex
	out      bool
	open     map[net.Conn]bool
}

func newCable(t *testing.T, target string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cable{listener: listener, target: target, open: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = listener.Close(); c.pull() })
	go c.accept()
	return c
}

func (c *cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", c.target)
		if err != nil || !c.keep(near, far) {
			_ = near.Close()
			continue
		}
		go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
		go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
	}
}

func (c *cable) keep(both ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range both {
		if c.out {
			_ = conn.Close()
			continue
		}
		c.open[conn] = true
	}
	return !c.out
}

func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = true
	for conn := range c.open {
		_ = conn.Close()
	}
	clear(c.open)
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = false
}

// Without its database the kms is unavailable, but does nothing wrong: it answers 503 with Retry-After, still publishes its verification keys, leaves nothing
// half-written, and recovers when the database is back.
func TestRun_databaseGoesAndComes(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // SQLite has no connection to interrupt
		}
		address, err := url.Parse(c.URL)
		require.NoError(t, err)
		line := newCable(t, address.Host)
		address.Host = line.listener.Addr().String()
		config := databaseOf(t, store.Config{URL: address.String()})
		h := start(t, config)
		h.bootstrap()
		tokens := h.login(adminName, adminPassword)
		key := h.enrol("sequence")
		line.pull()

		login := h.attempt(adminName, adminPassword)
		require.Equal(t, http.StatusServiceUnavailable, login.StatusCode(), h.log.String())
		require.Equal(t, "unavailable", code(login.Body))
		require.NotEmpty(t, login.HTTPResponse.Header.Get("Retry-After"))
		require.Equal(t, http.StatusServiceUnavailable, h.refresh(*tokens.RefreshToken).StatusCode())
		asked := h.ask(key.APIKey.ID, key.Key, "search")
		require.Equal(t, http.StatusServiceUnavailable, asked.StatusCode(), string(asked.Body))
		jwks, err := h.client.GetJwksWithResponse(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, jwks.StatusCode(), "tokens can still be verified")
		require.Len(t, jwks.JSON200.Keys, 2)
		ready, err := h.client.GetKmsReadinessWithResponse(t.Context())
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, ready.StatusCode())
		health, err := h.client.GetKmsHealthWithResponse(t.Context())
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, health.StatusCode())

		line.plug()
		require.Eventually(t, func() bool {
			got, err := h.client.GetKmsReadinessWithResponse(t.Context())
			return err == nil && got.StatusCode() == http.StatusOK
		}, 20*time.Second, 20*time.Millisecond)
		require.Equal(t, http.StatusOK, h.refresh(*tokens.RefreshToken).StatusCode(), "the refused refresh had used nothing up")
		h.token(key, "search")
		h.login(adminName, adminPassword)
		require.NoError(t, os.WriteFile(config.DatabaseURLFile, []byte(c.URL), 0o600))
		require.NotEmpty(t, h.records())
	})
}
