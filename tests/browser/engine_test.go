//go:build browser

package browser

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search"
	"github.com/fountainai/fountain/impl/search/searchtest"
)

// engine is the Typesense of a theatre. Documents that are brought into collections of plays stand still at its door while the test wants it, and so does a reindex.
type engine struct {
	search.EngineAt
	mu   sync.Mutex
	open chan struct{} // closed: all pass
	away atomic.Bool   // nobody answers at the door
}

// newEngine starts one until the test ends.
func newEngine(t *testing.T) *engine {
	t.Helper()
	const key = "the key of the engine"
	e := &engine{open: make(chan struct{})}
	close(e.open)
	at, err := url.Parse(searchtest.Typesense(t, key))
	require.NoError(t, err)
	behind := httputil.NewSingleHostReverseProxy(at)
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.away.Load() {
			panic(http.ErrAbortHandler)
		}
		if strings.Contains(r.URL.Path, "plays") && strings.HasSuffix(r.URL.Path, "/documents/import") {
			<-e.passes()
		}
		behind.ServeHTTP(w, r)
	}))
	t.Cleanup(door.Close)
	t.Cleanup(e.letsPass) // else the door would wait for who stands there
	e.EngineURL, e.EngineKeyFile = door.URL, filepath.Join(t.TempDir(), "engine.key")
	require.NoError(t, os.WriteFile(e.EngineKeyFile, []byte(key), 0o600))
	return e
}

// passes is closed when who comes now may go on.
func (e *engine) passes() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.open
}

// holds lets nobody pass who comes from now on.
func (e *engine) holds() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.open = make(chan struct{})
}

// letsPass lets all go on who stand at the door, and who come.
func (e *engine) letsPass() {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.open:
	default:
		close(e.open)
	}
}

// leaves has the engine answer nobody, until it comes back.
func (e *engine) leaves() { e.away.Store(true) }

// comesBack has it answer again.
func (e *engine) comesBack() { e.away.Store(false) }
