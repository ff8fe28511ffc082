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
	away atomic.Bool   // nobody answers at either door
	// Its second node: another door of the same engine, and whether nobody answers there alone.
	second string
	half   atomic.Bool
	picky  atomic.Bool // it refuses stopwords
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
	door, other := httptest.NewServer(e.door(behind, nil)), httptest.NewServer(e.door(behind, &e.half))
	t.Cleanup(door.Close)
	t.Cleanup(other.Close)
	t.Cleanup(e.letsPass) // else the doors would wait for who stands there
	e.second = other.URL
	e.EngineURL, e.EngineKeyFile = door.URL+","+other.URL, filepath.Join(t.TempDir(), "engine.key")
	require.NoError(t, os.WriteFile(e.EngineKeyFile, []byte(key), 0o600))
	return e
}

// door is a node of the engine, at which nobody answers while it is shut.
func (e *engine) door(behind http.Handler, shut *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case e.away.Load() || shut != nil && shut.Load():
			panic(http.ErrAbortHandler)
		case e.picky.Load() && r.Method == http.MethodPut && strings.Contains(path, "/stopwords/"):
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"message":"Not these."}`))
			return
		case strings.Contains(path, "plays") && strings.HasSuffix(path, "/documents/import"):
			<-e.passes()
		}
		behind.ServeHTTP(w, r)
	})
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
