package search

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const (
	issuer       = "https://fountain.test"
	signingKey   = "test-key"
	serviceToken = "token-of-the-service"
)

// fakeKMS publishes one key for access tokens, enrols the service and keeps its secrets.
type fakeKMS struct {
	*httptest.Server
	key  ed25519.PrivateKey
	down atomic.Bool

	mu      sync.Mutex
	secrets map[string]string
	puts    int
}

func newKMS(t *testing.T) *fakeKMS {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	k := &fakeKMS{key: key, secrets: map[string]string{}}
	mux := http.NewServeMux()
	answer := func(status int, body any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { send(w, status, body) }
	}
	x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	mux.HandleFunc("GET /jwks.json", answer(200, map[string]any{"keys": []any{map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": signingKey, "x": x}}}))
	now, dataKey := time.Now().UTC(), seal.NewDataKey()
	mux.HandleFunc("POST /kms/v1/services/enrol", answer(201, map[string]any{
		"apiKey": map[string]any{"id": "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "createdAt": now, "expiresAt": now.Add(time.Hour)}, "key": "fk_live_test",
	}))
	mux.HandleFunc("POST /kms/v1/oauth2/token", answer(200, map[string]any{"access_token": serviceToken, "token_type": "Bearer", "expires_in": 900}))
	mux.HandleFunc("POST /kms/v1/keyrings/search/data-keys", answer(201, map[string][]byte{"plaintext": dataKey, "wrapped": []byte("wrapped")}))
	mux.HandleFunc("POST /kms/v1/keyrings/search/unwrap", answer(200, map[string][]byte{"plaintext": dataKey, "wrapped": []byte("wrapped")}))
	mux.HandleFunc("GET /kms/v1/secrets/{name}", k.getSecret)
	mux.HandleFunc("PUT /kms/v1/secrets/{name}", k.putSecret)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(k.Close)
	return k
}

func send(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (k *fakeKMS) getSecret(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	value, ok := k.secrets[r.PathValue("name")]
	if !ok || r.Header.Get("Authorization") != "Bearer "+serviceToken {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	send(w, 200, map[string]any{"name": r.PathValue("name"), "value": value, "version": k.puts})
}

func (k *fakeKMS) putSecret(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var body struct{ Value string }
	_, exists := k.secrets[r.PathValue("name")]
	if exists || r.Header.Get("If-None-Match") != "*" || json.NewDecoder(r.Body).Decode(&body) != nil || r.Header.Get("Authorization") != "Bearer "+serviceToken {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	k.secrets[r.PathValue("name")] = body.Value
	k.puts++
	send(w, 201, map[string]any{"name": r.PathValue("name"), "version": 1})
}

func (k *fakeKMS) secret(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.secrets[name]
}

// world is the running service with what stands round it.
type world struct {
	t        *testing.T
	kms      *fakeKMS
	logs     *syncBuffer
	base     string
	contract *contract.Contract
	ready    chan struct{}
	stop     func()
	settings Config
}

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

// each runs f against a ready service on every database.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		w := newWorld(t, c)
		w.start(t)
		<-w.ready
		f(t, w)
	})
}

func newWorld(t *testing.T, c store.Config) *world {
	t.Helper()
	document, err := contract.Load("search")
	require.NoError(t, err)
	w := &world{t: t, kms: newKMS(t), logs: &syncBuffer{}, contract: document}
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	require.NoError(t, os.WriteFile(token, []byte("enrolment-token\n"), 0o600))
	w.settings = Config{Service: config.Service{
		DataDir: filepath.Join(dir, "data"), Issuer: issuer, JWKSURL: w.kms.URL + "/jwks.json", KMSURL: w.kms.URL, EnrolTokenFile: token,
		Log: slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})), DrainDelay: time.Millisecond,
	}}
	if c.URL != "" {
		w.settings.DatabaseURLFile = filepath.Join(dir, "url")
		require.NoError(t, os.WriteFile(w.settings.DatabaseURLFile, []byte(c.URL+"\n"), 0o600))
	}
	return w
}

// start runs the service until the test ends or stop is called; it may be started again.
func (w *world) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ready := make(chan struct{})
	w.base, w.ready = "http://"+listener.Addr().String(), ready
	settings := w.settings
	settings.Listener, settings.OnReady = listener, func() { close(ready) }
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, settings) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended, "an asked-for end is no error")
	})
	t.Cleanup(w.stop)
}

// someone is an administrator with a token.
func (w *world) someone(change ...func(*auth.Claims)) string {
	now := time.Now()
	c := &auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: id.New("usr"), Audience: jwt.ClaimStrings{"search"}, ID: id.New("tok"),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
		},
		ClientID: "fountain", Scope: "collections:read collections:write documents:write documents:search", Roles: []string{"admin"},
		Principal: auth.KindUser, SessionID: id.New("ses"), ACR: "aal1", AMR: []string{"pwd"}, AuthTime: now.Unix(),
	}
	for _, f := range change {
		f(c)
	}
	token, err := auth.Sign(auth.TypeAccess, signingKey, "EdDSA", w.kms.key, c)
	require.NoError(w.t, err)
	return token
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal(a.body, &object), "%s", a.body)
	return object
}

// call sends a request and holds the answer against the contract.
func (w *world) call(t *testing.T, token, method, path, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.base+"/search/v1"+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if match, err := w.contract.Match(method, request.URL.EscapedPath()); err == nil {
		require.NoError(t, match.Operation.CheckResponse(response.StatusCode, response.Header, content), "%s %s: %d %s", method, path, response.StatusCode, content)
	}
	return answer{response.StatusCode, response.Header, content}
}

func (w *world) must(t *testing.T, status int, token, method, path, body string, headers ...string) answer {
	t.Helper()
	a := w.call(t, token, method, path, body, headers...)
	require.Equal(t, status, a.status, "%s %s: %s", method, path, a.body)
	return a
}

// refused checks status and problem code.
func refused(t *testing.T, a answer, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	require.Equal(t, code, a.json(t)["code"], "%s", a.body)
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
}

func upserts(docs ...string) string {
	items := make([]string, len(docs))
	for i, d := range docs {
		items[i] = fmt.Sprintf(`{"op":"upsert","id":"%d","document":%s}`, i+1, d)
	}
	return `{"items":[` + strings.Join(items, ",") + `]}`
}
