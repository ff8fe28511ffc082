package httpserver

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
)

// endings are the revocations of a test.
type endings struct{ state atomic.Pointer[ending] }

type ending struct {
	revoked bool
	err     error
}

func (e *endings) Revoked(*auth.Principal) (bool, error) {
	if now := e.state.Load(); now != nil {
		return now.revoked, now.err
	}
	return false, nil
}

// A stream lasts as long as its context. It ends with the token, or the test hangs.
func TestStream_endsWithItsToken(t *testing.T) {
	for name, end := range map[string]func(w *world, e *endings){
		"expired":            func(w *world, _ *endings) { w.clock.Advance(10*time.Minute + auth.Leeway) },
		"revoked":            func(_ *world, e *endings) { e.state.Store(&ending{revoked: true}) },
		"nobody can tell it": func(_ *world, e *endings) { e.state.Store(&ending{err: errors.New("not heard of")}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, e := newWorld(t), &endings{}
			o := w.options()
			o.Verifier = auth.NewVerifier(auth.VerifierConfig{Revocations: e, Issuer: func() string { return "iss" }, Clock: w.clock,
				Keys: auth.StaticKeys{"k1": {Algorithm: "EdDSA", Key: w.key.Public()}}})
			o.Registerer = prometheus.NewRegistry()
			w.Handler = New(o)
			w.handlers["followEvents"] = func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(rw, "data: x\n\n")
				rw.(http.Flusher).Flush()
				<-r.Context().Done()
			}
			server := httptest.NewServer(w.Handler)
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/sample/v1/events", nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", w.token())
			res, err := server.Client().Do(r)
			require.NoError(t, err)
			defer res.Body.Close()
			require.Equal(t, http.StatusOK, res.StatusCode)
			buffer := make([]byte, len("data: x\n\n"))
			_, err = io.ReadFull(res.Body, buffer)
			require.NoError(t, err)
			end(w, e)
			rest, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Empty(t, rest)
			again, err := server.Client().Do(r)
			require.NoError(t, err)
			defer again.Body.Close()
			require.GreaterOrEqual(t, again.StatusCode, 400, "as a new request is refused")
		})
	}
}
