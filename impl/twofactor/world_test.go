package twofactor

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
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

	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
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

// fakeKMS publishes one key for access tokens and takes proof keys from the service alone.
type fakeKMS struct {
	*httptest.Server
	key       ed25519.PrivateKey
	down      atomic.Bool
	mu        sync.Mutex
	proofKeys auth.StaticKeys
}

func newKMS(t *testing.T) *fakeKMS {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	k := &fakeKMS{key: key, proofKeys: auth.StaticKeys{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": signingKey, "x": x}}})
	})
	mux.HandleFunc("PUT /kms/v1/proof-keys/{kid}", k.putProofKey)
	k.credentials(mux)
	k.Server = httptest.NewServer(mux)
	t.Cleanup(k.Close)
	return k
}

// credentials answers what internal/credential asks, for one service.
func (k *fakeKMS) credentials(mux *http.ServeMux) {
	dataKey := seal.NewDataKey()
	answer := func(status int, body any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(body)
		}
	}
	now := time.Now().UTC()
	mux.HandleFunc("POST /kms/v1/services/enrol", answer(http.StatusCreated, map[string]any{
		"apiKey": map[string]any{"id": "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "createdAt": now, "expiresAt": now.Add(time.Hour)}, "key": "fk_live_test",
	}))
	mux.HandleFunc("POST /kms/v1/oauth2/token", answer(http.StatusOK, map[string]any{"access_token": serviceToken, "token_type": "Bearer", "expires_in": 900}))
	mux.HandleFunc("POST /kms/v1/keyrings/twofactor/data-keys", answer(http.StatusCreated, map[string][]byte{"plaintext": dataKey, "wrapped": []byte("wrapped")}))
	mux.HandleFunc("POST /kms/v1/keyrings/twofactor/unwrap", answer(http.StatusOK, map[string][]byte{"plaintext": dataKey, "wrapped": []byte("wrapped")}))
}

func (k *fakeKMS) putProofKey(w http.ResponseWriter, r *http.Request) {
	var body struct{ Kty, Crv, X string }
	if k.down.Load() || r.Header.Get("Authorization") != "Bearer "+serviceToken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	x, err := base64.RawURLEncoding.DecodeString("")
	if json.NewDecoder(r.Body).Decode(&body) == nil {
		x, err = base64.RawURLEncoding.DecodeString(body.X)
	}
	if err != nil || len(x) != ed25519.PublicKeySize || body.Kty != "OKP" || body.Crv != "Ed25519" {
		w.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.proofKeys[r.PathValue("kid")] = auth.PublicKey{Algorithm: "EdDSA", Key: ed25519.PublicKey(x)}
	w.WriteHeader(http.StatusNoContent)
}

// fakeIdentity stands for the service's credential; its data key outlives restarts.
type fakeIdentity struct {
	dataKey []byte
	lost    atomic.Bool
}

func (f *fakeIdentity) Ready() error {
	if f.lost.Load() {
		return errors.New("it has no credential")
	}
	return nil
}

func (f *fakeIdentity) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (f *fakeIdentity) Token(context.Context, string) (string, error) { return serviceToken, nil }

func (f *fakeIdentity) Forget(string) {}

func (f *fakeIdentity) DataKey(context.Context, *store.DB) (*seal.Key, error) {
	return seal.FromDataKey(f.dataKey)
}

// world is the running service with what stands round it.
type world struct {
	t        *testing.T
	kms      *fakeKMS
	identity *fakeIdentity
	now      *clock.Fake
	logs     *syncBuffer
	base     string
	contract *contract.Contract
	ready    chan struct{}
	stop     func()
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
		w := newWorld(t)
		w.start(t, c)
		<-w.ready
		f(t, w)
	})
}

func newWorld(t *testing.T) *world {
	t.Helper()
	document, err := contract.Load("twofactor")
	require.NoError(t, err)
	return &world{
		t: t, kms: newKMS(t), identity: &fakeIdentity{dataKey: seal.NewDataKey()}, logs: &syncBuffer{}, contract: document,
		now: clock.NewFake(time.Unix(1_800_000_000, 0)),
	}
}

// start runs the service on a database until the test ends or stop is called.
func (w *world) start(t *testing.T, c store.Config) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.base, w.ready = "http://"+listener.Addr().String(), make(chan struct{})
	settings := Config{Service: config.Service{
		Listener: listener, DataDir: c.Dir, Issuer: issuer, JWKSURL: w.kms.URL + "/jwks.json", KMSURL: w.kms.URL, EnrolTokenFile: "unused",
		Clock: w.now, Log: slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		DrainDelay: time.Millisecond, OnReady: func() { close(w.ready) },
	}}
	if c.URL != "" {
		settings.DataDir = t.TempDir()
		settings.DatabaseURLFile = filepath.Join(settings.DataDir, "url")
		require.NoError(t, os.WriteFile(settings.DatabaseURLFile, []byte(c.URL+"\n"), 0o600))
	}
	require.NoError(t, settings.Validate())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, settings, http.DefaultClient, w.identity) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended, "an asked-for end is no error")
	})
	t.Cleanup(w.stop)
}

// someone is a user with a token; change it before token.
func (w *world) someone() *auth.Claims {
	now := w.now.Now()
	return &auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: id.New("usr"), Audience: jwt.ClaimStrings{"twofactor"}, ID: id.New("tok"),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(24 * time.Hour)),
		},
		ClientID: "fountain", Scope: "factors:manage session:manage", Roles: []string{"editor"}, Principal: auth.KindUser, SessionID: id.New("ses"),
		ACR: "aal1", AMR: []string{"pwd"}, AuthTime: now.Unix(),
	}
}

// raised is the same user after a step-up.
func (w *world) raised(c *auth.Claims) *auth.Claims {
	r := *c
	r.ACR, r.AMR, r.AuthTime = "aal2", []string{"pwd", "otp"}, w.now.Now().Unix()
	return &r
}

func (w *world) token(c *auth.Claims) string {
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

// json returns a member of the answer's object.
func (a answer) json(t *testing.T, member string) any {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal(a.body, &object), "%s", a.body)
	return object[member]
}

func (a answer) text(t *testing.T, member string) string {
	t.Helper()
	s, _ := a.json(t, member).(string)
	return s
}

// call sends a request and holds the answer against the contract.
func (w *world) call(t *testing.T, c *auth.Claims, method, path, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.base+"/twofactor/v1"+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c != nil {
		request.Header.Set("Authorization", "Bearer "+w.token(c))
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

// refused checks status and problem code.
func refused(t *testing.T, a answer, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, "%s", a.body)
	require.Equal(t, code, a.text(t, "code"))
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
}

// code is the code of the step that lies offset steps from now's.
func (w *world) code(t *testing.T, secret string, offset int64) string {
	t.Helper()
	seed, err := base32NoPadding.DecodeString(secret)
	require.NoError(t, err)
	code, err := totp.Code(seed, totp.Default, totp.Default.Step(w.now.Now())+offset)
	require.NoError(t, err)
	return code
}

// enrolled gives the user an active factor.
func (w *world) enrolled(t *testing.T, c *auth.Claims) (factorID, secret string) {
	t.Helper()
	a := w.call(t, c, "POST", "/factors/totp", `{"label":"phone"}`)
	require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
	factorID, secret = a.text(t, "factorId"), a.text(t, "secret")
	a = w.call(t, c, "POST", "/factors/totp/"+factorID+"/confirm", `{"code":"`+w.code(t, secret, -1)+`"}`)
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	return factorID, secret
}

// settingsFor are the settings of a second service on the same directory.
func settingsFor(w *world, dir string) Config {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	c := Config{Service: config.Service{
		Listener: listener, DataDir: dir, Issuer: issuer, JWKSURL: w.kms.URL + "/jwks.json", KMSURL: w.kms.URL,
		EnrolTokenFile: filepath.Join(dir, "token"), DrainDelay: time.Millisecond,
	}}
	require.NoError(w.t, c.Validate())
	return c
}
