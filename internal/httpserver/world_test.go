package httpserver

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a service with the contract of internal/contract/testdata/sample.yaml, whose handlers a test sets.
type world struct {
	t        testing.TB
	contract *contract.Contract
	key      ed25519.PrivateKey
	clock    *clock.Fake
	registry *prometheus.Registry
	log      *syncBuffer
	ready    error
	handlers map[string]http.HandlerFunc // by operationId
	Handler  http.Handler
}

// syncBuffer is a log that a test can read while the server writes.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c, err := contract.LoadFS(os.DirFS("../contract/testdata"), "sample")
	require.NoError(t, err)
	w := &world{t: t, contract: c, key: ed25519.NewKeyFromSeed(make([]byte, 32)), clock: clock.NewFake(noon), registry: prometheus.NewRegistry(),
		log: &syncBuffer{}, handlers: map[string]http.HandlerFunc{}}
	w.Handler = New(w.options())
	return w
}

func (w *world) options() Options {
	return Options{
		Contract: w.contract, Clock: w.clock, Registerer: w.registry, Log: slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Verifier: auth.NewVerifier(auth.VerifierConfig{Revocations: auth.NoRevocations{}, Issuer: func() string { return "iss" }, Clock: w.clock,
			Keys: auth.StaticKeys{"k1": {Algorithm: "EdDSA", Key: w.key.Public()}}}),
		Ready: func() error { return w.ready }, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Mount: func(r chi.Router) {
			for _, op := range w.contract.Operations {
				r.Method(op.Method, op.Path, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					h := w.handlers[op.ID]
					if h == nil {
						rw.WriteHeader(http.StatusNoContent)
						return
					}
					h(rw, r)
				}))
			}
		},
	}
}

// token returns a bearer header with an access token; change may make the token weaker.
func (w *world) token(change ...func(*auth.Claims)) string {
	c := &auth.Claims{RegisteredClaims: jwt.RegisteredClaims{Issuer: "iss", Subject: "usr_1", Audience: jwt.ClaimStrings{"sample"}, ID: "tok_1",
		IssuedAt: jwt.NewNumericDate(noon), ExpiresAt: jwt.NewNumericDate(noon.Add(10 * time.Minute))},
		ClientID: "fountain", Scope: "things:read things:write", Roles: []string{"admin"}, Principal: auth.KindUser, ACR: "aal2", AuthTime: noon.Unix()}
	for _, f := range change {
		f(c)
	}
	token, err := auth.Sign(auth.TypeAccess, "k1", "EdDSA", w.key, c)
	require.NoError(w.t, err)
	return "Bearer " + token
}

// untouchable is a body that fails the test when it is read.
type untouchable struct{ t testing.TB }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read before the caller was authorized")
	return 0, errors.New("read")
}

func (u untouchable) Close() error { return nil }

// creation returns a valid request to createThing.
func (w *world) creation(body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/sample/v1/things", body)
	r.Header.Set("Authorization", w.token())
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", "0123456789")
	return r
}

func (w *world) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.Handler.ServeHTTP(rec, r)
	return rec
}

func code(t testing.TB, rec *httptest.ResponseRecorder) string {
	t.Helper()
	_, rest, found := strings.Cut(rec.Body.String(), `"code":"`)
	require.True(t, found, "not a problem: %d %s", rec.Code, rec.Body)
	code, _, _ := strings.Cut(rest, `"`)
	return code
}
