package fountain_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
)

// fake is a fake server with handlers by pattern of http.ServeMux. It records every request.
type fake struct {
	*httptest.Server
	mux *http.ServeMux

	mu   sync.Mutex
	seen []seen
}

type seen struct {
	method, path, query string
	header              http.Header
	body                string
}

func newFake(t interface{ Cleanup(func()) }) *fake {
	f := &fake{mux: http.NewServeMux()}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.seen = append(f.seen, seen{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Clone(), string(body)})
		f.mu.Unlock()
		f.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// on sets the handler of a pattern. nth counts its requests from 1.
func (f *fake) on(pattern string, answer func(w http.ResponseWriter, r *http.Request, nth int)) {
	var mu sync.Mutex
	n := 0
	f.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		nth := n
		mu.Unlock()
		answer(w, r, nth)
	})
}

// count returns the number of requests.
func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}

// requests returns the requests to a path, in order.
func (f *fake) requests(path string) []seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []seen
	for _, s := range f.seen {
		if s.path == path {
			out = append(out, s)
		}
	}
	return out
}

// quick is a retry policy without noticeable waits.
var quick = fountain.RetryPolicy{MaxAttempts: 4, Base: time.Microsecond, MaxWait: 20 * time.Millisecond}

func (f *fake) client(t *testing.T, opts ...fountain.Option) *fountain.Client {
	t.Helper()
	c, err := fountain.New(f.URL, append([]fountain.Option{fountain.WithRetry(quick)}, opts...)...)
	require.NoError(t, err)
	return c
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code fountain.Code) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"type":"https://example.org/%s","title":"T","status":%d,"code":%q,"requestId":"req_1"}`, code, status, code)
}

func challenge(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_user_authentication", error_description="a \"second\" factor, please", acr_values="aal2 phr", max_age=300`)
	refuse(w, http.StatusUnauthorized, fountain.CodeInsufficientUserAuthentication)
}

// drop closes the connection without a response.
func drop(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err == nil {
		_ = conn.Close()
	}
}

func tokens(access, refresh string, seconds int) map[string]any {
	out := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": seconds, "scope": "elements:read"}
	if refresh != "" {
		out["refresh_token"] = refresh
	}
	return out
}

const element = `{"id":"e1","scope":"hamlet","elementType":"spokenWord","number":1,"status":"active","version":1,` +
	`"data":{"text":"Who's there?"},"createdAt":"2026-11-23T10:00:00Z","updatedAt":"2026-11-23T10:00:00Z"}`

func sendElement(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", `"1"`)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, element)
}

const (
	elementsPath = "/sequence/v1/scopes/hamlet/spokenWord/elements"
	reorderPath  = "/sequence/v1/scopes/hamlet/spokenWord/reorder"
	testKey      = "fk_live_01KBB6Q3Y5W1V9T2ZD0G7M4N8P_notarealsecret"
)
