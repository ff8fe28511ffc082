package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/ratelimit/redistest"
	"github.com/fountainai/fountain/openapi"
)

const (
	issuer  = "http://issuer.test"
	subject = "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
)

// house is a gateway in front of one fake upstream that serves as every service.
type house struct {
	t        testing.TB
	gate     *httptest.Server
	g        *gate
	clock    *clock.Fake
	key      ed25519.PrivateKey
	log      *logBuffer
	registry *prometheus.Registry
	behind   string           // URL of the upstream
	stranger string           // URL of the upstream of a member; "" without one
	upstream http.HandlerFunc // what a service answers

	mu   sync.Mutex
	over time.Time       // tokens issued before it have ended
	seen []*http.Request // what reached a service, bodies read
	body []string
}

// logBuffer is a log that a test can read while the gateway writes.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHouse(t testing.TB) *house { return newHouseWith(t, func(*Config) {}) }

func newHouseWith(t testing.TB, change func(*Config)) *house {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	h := &house{t: t, key: key, clock: clock.NewFake(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)), log: &logBuffer{}, registry: prometheus.NewRegistry()}
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"Cache-Control", "X-Content-Type-Options", "X-Request-Id", "Server"} {
			w.Header().Set(name, "of the service")
		}
		element(w)
	}
	behind := httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(behind.Close)
	h.behind = behind.URL
	c := h.config(behind.URL)
	change(&c)
	g, err := build(c, family(t), &http.Client{Timeout: callTimeout}, h)
	require.NoError(t, err)
	h.g = g
	h.gate = httptest.NewServer(g.handler())
	t.Cleanup(h.gate.Close)
	return h
}

// family returns the contracts of the family.
func family(t testing.TB) []*contract.Contract {
	all, err := contract.LoadAll()
	require.NoError(t, err)
	return all
}

// Revoked implements auth.Revocations.
func (h *house) Revoked(p *auth.Principal) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return p.IssuedAt.Before(h.over), nil
}

func (h *house) config(upstream string) Config {
	c := Config{TwofactorURL: upstream, SearchURL: upstream, SequenceURL: upstream, Version: "test"}
	c.Service = config.Service{
		Addr: "127.0.0.1:0", DataDir: h.t.TempDir(), EnrolTokenFile: "none", Issuer: issuer, JWKSURL: upstream + "/kms/v1/.well-known/jwks.json", KMSURL: upstream, Clock: h.clock,
		Log: slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Registerer: h.registry,
	}
	require.NoError(h.t, c.Validate())
	return c
}

func (h *house) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/kms/v1/.well-known/jwks.json" {
		x := base64.RawURLEncoding.EncodeToString(h.key.Public().(ed25519.PublicKey))
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"k1","x":%q}]}`, x)
		return
	}
	if r.Header.Get("Content-Type") == "application/x-ndjson" { // the test reads the stream itself
		h.mu.Lock()
		upstream := h.upstream
		h.mu.Unlock()
		upstream(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.seen, h.body = append(h.seen, r), append(h.body, string(body))
	upstream := h.upstream
	h.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	upstream(w, r)
}

func element(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", `"1"`)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, `{"id":"a","scope":"s","elementType":"line","number":1,"status":"active","version":1,"data":{},"createdAt":"2026-11-23T10:00:00Z","updatedAt":"2026-11-23T10:00:00Z"}`)
}

// token returns a valid token of an editor; change modifies its claims.
func (h *house) token(change func(*auth.Claims)) string {
	now := h.clock.Now()
	c := &auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer, Subject: subject, Audience: jwt.ClaimStrings{"sequence", "kms", "twofactor"}, ID: "j1",
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(10 * time.Minute))},
		ClientID: "fountain", Scope: "elements:read elements:write", Roles: []string{"editor"}, Principal: auth.KindUser, SessionID: "ses_1",
		ACR: "aal1", AMR: []string{"pwd"}, AuthTime: now.Unix(),
	}
	if change != nil {
		change(c)
	}
	token, err := auth.Sign(auth.TypeAccess, "k1", "EdDSA", h.key, c)
	require.NoError(h.t, err)
	return token
}

type answer struct {
	*http.Response
	Code, Text string
}

func (h *house) do(method, path, body string, header ...string) answer {
	h.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, h.gate.URL+path, strings.NewReader(body))
	require.NoError(h.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(h.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	var p struct{ Code string }
	_ = json.Unmarshal(raw, &p) // most bodies are not problem documents
	return answer{res, p.Code, string(raw)}
}

const (
	createPath  = "/sequence/v1/scopes/s/line/elements"
	createBody  = `{"id":"a","data":{"text":"Who's there?"}}`
	reorderPath = "/sequence/v1/scopes/s/line/reorder"
	reorderBody = `{"order":["b","a"]}`
)

func TestGate_forwardsWhatTheContractAllowsByteForByte(t *testing.T) {
	h := newHouse(t)
	body := "{ \"id\" : \"a\",\n \"data\":{\"n\":9007199254740993} }"
	a := h.do("POST", createPath, body, "Authorization", "Bearer "+h.token(nil))
	require.Equal(t, 201, a.StatusCode, a.Text)
	require.Equal(t, []string{body}, h.body)
	require.Contains(t, a.Header.Get("RateLimit"), `"per-subject";r=`)
	require.Equal(t, []string{"no-store"}, a.Header.Values("Cache-Control"))
	require.Equal(t, []string{"nosniff"}, a.Header.Values("X-Content-Type-Options"))
	require.Empty(t, a.Header.Values("Server"))
	require.Len(t, a.Header.Values("X-Request-Id"), 1)
	require.NotEqual(t, "of the service", a.Header.Get("X-Request-Id"))
	require.NotEmpty(t, a.Header.Get("X-Request-Id"))
	require.Equal(t, a.Header.Get("X-Request-Id"), h.seen[0].Header.Get("X-Request-Id"))
}

func TestGate_refusesTheWrongCallerBeforeAnythingReachesAService(t *testing.T) {
	h := newHouse(t)
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt","kid":"k1"}`)) + "." + strings.Split(h.token(nil), ".")[1] + "."
	foreign, err := auth.Sign(auth.TypeAccess, "k1", "EdDSA", other, &auth.Claims{RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer}})
	require.NoError(t, err)
	cases := []struct {
		name, token, code string
		status            int
		challenge         string
	}{
		{"no token", "", "authentication_required", 401, `Bearer realm="fountain"`},
		{"garbage", "garbage", "invalid_token", 401, `error="invalid_token"`},
		{"alg none", none, "invalid_token", 401, `error="invalid_token"`},
		{"other key", foreign, "invalid_token", 401, `error="invalid_token"`},
		{"wrong audience", h.token(func(c *auth.Claims) { c.Audience = jwt.ClaimStrings{"kms"} }), "invalid_token", 401, `error="invalid_token"`},
		{"wrong issuer", h.token(func(c *auth.Claims) { c.Issuer = "http://else" }), "invalid_token", 401, `error="invalid_token"`},
		{"expired", h.token(func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(h.clock.Now().Add(-time.Minute)) }), "invalid_token", 401, `error="invalid_token"`},
		{"not yet", h.token(func(c *auth.Claims) { c.NotBefore = jwt.NewNumericDate(h.clock.Now().Add(time.Minute)) }), "invalid_token", 401, `error="invalid_token"`},
		{"no scope", h.token(func(c *auth.Claims) { c.Scope = "elements:read" }), "insufficient_scope", 403, `scope="elements:write"`},
		{"no role", h.token(func(c *auth.Claims) { c.Roles = []string{"reader"} }), "insufficient_role", 403, ""},
	}
	for _, c := range cases {
		header := []string{"Authorization", "Bearer " + c.token}
		if c.token == "" {
			header = nil
		}
		a := h.do("POST", createPath, createBody, header...)
		require.Equal(t, c.status, a.StatusCode, c.name)
		require.Equal(t, c.code, a.Code, c.name)
		require.Contains(t, a.Header.Get("WWW-Authenticate"), c.challenge, c.name)
		require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), c.name)
	}
	require.Empty(t, h.seen, "nothing may reach a service")
}

func TestGate_readsNoByteOfABodyBeforeAuthorization(t *testing.T) {
	h := newHouse(t)
	pipe, w := io.Pipe() // nothing is written, so a gateway that read it would block forever
	defer w.Close()
	req, err := http.NewRequest("POST", h.gate.URL+createPath, pipe)
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 401, res.StatusCode)
}

func TestGate_refusesWhatTheContractDoesNotKnow(t *testing.T) {
	h := newHouse(t)
	bearer := "Bearer " + h.token(nil)
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/nothing", "", 404, "not_found"},
		{"GET", "/sequence/v1/", "", 404, "not_found"},
		{"GET", "/sequence/v1//scopes/s/line/elements", "", 404, "not_found"},
		{"GET", "/sequence/v1/scopes/a%2Fb/line/elements", "", 404, "not_found"},
		{"DELETE", createPath, "", 405, "method_not_allowed"},
		{"GET", createPath + "?undeclared=1", "", 400, "invalid_parameter"},
		{"GET", createPath + "?limit=5&limit=6", "", 400, "invalid_parameter"},
		{"POST", createPath, `{"data":{},"data":{}}`, 400, "malformed_body"},
		{"POST", createPath, `{"data":{}} {}`, 400, "malformed_body"},
		{"POST", createPath, `{"data":{},"more":1}`, 422, ""},
		{"POST", createPath, `{}`, 422, ""},
		{"POST", createPath, `{"data":{"a":"` + strings.Repeat("x", 90<<10) + `"}}`, 413, "body_too_large"},
	} {
		a := h.do(c.method, c.path, c.body, "Authorization", bearer)
		require.Equal(t, c.status, a.StatusCode, "%s %s %.40s: %s", c.method, c.path, c.body, a.Text)
		if c.code != "" {
			require.Equal(t, c.code, a.Code, "%s %s", c.method, c.path)
		}
	}
	require.Empty(t, h.seen, "nothing may reach a service")
	require.Equal(t, "GET, HEAD, OPTIONS, POST", h.do("DELETE", createPath, "", "Authorization", bearer).Header.Get("Allow"))
}

func TestGate_headersThatOnlyTheHouseMaySetDoNotPass(t *testing.T) {
	h := newHouse(t)
	forged := []string{"X-Forwarded-For", "6.6.6.6", "Forwarded", "for=6.6.6.6", "X-Real-Ip", "6.6.6.6", "True-Client-Ip", "6.6.6.6", "X-User-Id", "root",
		"X-Internal-Role", "admin", "X_Forwarded_For", "6.6.6.6", "Cookie", "a=b", "X-Gw-Identity", "root", "Remote-User", "root", "X-Original-Url", "/admin",
		"X-Rewrite-Url", "/admin", "X-Http-Method-Override", "DELETE", "X-Method-Override", "DELETE", "Cf-Connecting-Ip", "6.6.6.6", "Via", "1.1 x",
		"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Original-Host", "evil.example", "Range", "bytes=0-1", "Te", "trailers", "If-None-Match", "*", "X-Request-Id", "6f9619ff-8b86-d011-b42d-00c04fc964ff", "X-Otp", "123456",
		"X-Request-Timeout", "1"}
	a := h.do("POST", createPath, createBody, append(forged, "Authorization", "Bearer "+h.token(nil))...)
	require.Equal(t, 201, a.StatusCode)
	got := h.seen[0].Header
	require.Equal(t, "127.0.0.1", got.Get("X-Forwarded-For"))
	require.NotEqual(t, "6f9619ff-8b86-d011-b42d-00c04fc964ff", got.Get("X-Request-Id"))
	require.Equal(t, strings.TrimPrefix(h.gate.URL, "http://"), got.Get("X-Forwarded-Host"))
	require.Equal(t, "http", got.Get("X-Forwarded-Proto"))
	require.Regexp(t, "^(30000|29[0-9]{3})$", got.Get("X-Request-Timeout"), "what the contract leaves, in milliseconds")
	var names []string
	for name := range got {
		names = append(names, name)
	}
	require.ElementsMatch(t, []string{"Accept-Encoding", "Authorization", "Content-Length", "Content-Type", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host",
		"X-Forwarded-Proto", "X-Request-Id", "X-Request-Timeout"}, names, "nothing else")
}

func TestGate_limitsASubject(t *testing.T) {
	h := newHouse(t)
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"items":[]}`)
	}
	bearer := "Bearer " + h.token(func(c *auth.Claims) { c.Scope = "factors:manage" })
	limited := 0
	for range 250 { // the contract of twofactor allows a burst of 200
		if a := h.do("GET", "/twofactor/v1/factors", "", "Authorization", bearer); a.StatusCode == 429 {
			limited++
			require.NotEmpty(t, a.Header.Get("Retry-After"))
			require.Contains(t, a.Header.Get("RateLimit-Policy"), `"per-subject"`)
		}
	}
	require.Equal(t, 50, limited)
}

// Two gateways on one Redis share a limit: what a caller has used at one is used at the other.
func TestGate_sharesItsLimitsOverRedis(t *testing.T) {
	shared := config.Redis{URL: redistest.Start(t).URL}
	var houses [2]*house
	for i := range houses {
		h := newHouseWith(t, func(c *Config) { c.Redis = shared })
		h.upstream = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"items":[]}`)
		}
		houses[i] = h
	}
	admitted, began := 0, time.Now()
	for i := range 500 { // the contract of twofactor allows a burst of 200, and then 10 a second
		h := houses[i%2]
		bearer := "Bearer " + h.token(func(c *auth.Claims) { c.Scope = "factors:manage" })
		if h.do("GET", "/twofactor/v1/factors", "", "Authorization", bearer).StatusCode == 200 {
			admitted++
		}
	}
	require.GreaterOrEqual(t, admitted, 200)
	back := int(time.Since(began) / (100 * time.Millisecond))
	require.LessOrEqual(t, admitted, 300+back, "alone each would admit 200; the hundred are for answers of Redis that a busy machine lets wait too long")
}

func TestGate_answersForServicesThatDoNot(t *testing.T) {
	h := newHouse(t)
	bearer := "Bearer " + h.token(nil)
	h.upstream = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	require.Equal(t, 502, h.do("POST", createPath, createBody, "Authorization", bearer).StatusCode)
	h.mu.Lock() // the abort above is not signalled to the test
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"oops":"`+strings.Repeat("x", 17<<20)+`"}`)
	}
	h.mu.Unlock()
	a := h.do("POST", createPath, createBody, "Authorization", bearer)
	require.Equal(t, 502, a.StatusCode)
	require.Equal(t, "response_too_large", a.Code)

	alone := h.config("http://127.0.0.1:1")
	alone.Registerer = prometheus.NewRegistry()
	g, err := build(alone, family(t), http.DefaultClient, auth.NoRevocations{})
	require.NoError(t, err)
	lonely := httptest.NewServer(g.handler())
	defer lonely.Close()
	res, err := http.Get(lonely.URL + "/kms/v1/health")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 503, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))
}

// stepUpServices serves as twofactor, the kms and sequence for the code 123456.
func (h *house) stepUpServices() http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/twofactor/v1/verify":
			if !strings.Contains(h.body[len(h.body)-1], `"123456"`) {
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(422)
				_, _ = io.WriteString(w, `{"code":"invalid_code"}`)
				return
			}
			_, _ = io.WriteString(w, `{"proof":"the.proof.itself","acr":"aal2","amr":["otp"],"authTime":"2026-11-23T10:00:00Z","expiresAt":"2026-11-23T10:01:00Z"}`)
		case "/kms/v1/auth/step-up":
			token := h.token(func(c *auth.Claims) { c.ACR, c.Audience = "aal2", jwt.ClaimStrings{"sequence"} })
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":300,"scope":"elements:write"}`, token)
		default:
			_, _ = io.WriteString(w, `{"changes":[]}`)
		}
	}
}

func TestStepUp_isAskedForByChallengeAndRedeemedByHeader(t *testing.T) {
	h := newHouse(t)
	h.upstream = h.stepUpServices()
	plain := h.token(nil)
	a := h.do("POST", reorderPath, reorderBody, "Authorization", "Bearer "+plain)
	require.Equal(t, 401, a.StatusCode)
	require.Equal(t, "insufficient_user_authentication", a.Code)
	require.Contains(t, a.Header.Get("WWW-Authenticate"), `error="insufficient_user_authentication"`)
	require.Contains(t, a.Header.Get("WWW-Authenticate"), `acr_values="aal2"`)
	require.Contains(t, a.Header.Get("WWW-Authenticate"), `max_age="300"`)
	require.Empty(t, h.seen)

	a = h.do("POST", reorderPath, reorderBody, "Authorization", "Bearer "+plain, "X-OTP", "123456")
	require.Equal(t, 200, a.StatusCode, a.Text)
	require.Len(t, h.seen, 3)
	require.Equal(t, "Bearer "+plain, h.seen[0].Header.Get("Authorization"), "twofactor sees the caller's own token")
	require.Equal(t, "Bearer "+plain, h.seen[1].Header.Get("Authorization"), "the kms sees the caller's own token")
	require.NotEqual(t, "Bearer "+plain, h.seen[2].Header.Get("Authorization"), "the service sees the raised token")
	for _, r := range h.seen {
		require.Empty(t, r.Header.Values("X-Otp"))
	}
	require.NotContains(t, h.log.String(), "123456")

	raised := h.token(func(c *auth.Claims) { c.ACR, c.Audience = "aal2", jwt.ClaimStrings{"sequence"} })
	require.Equal(t, 200, h.do("POST", reorderPath, reorderBody, "Authorization", "Bearer "+raised).StatusCode)
	h.clock.Advance(6 * time.Minute)
	stale := h.token(func(c *auth.Claims) {
		c.Audience = jwt.ClaimStrings{"sequence"}
		c.ACR, c.AuthTime = "aal2", h.clock.Now().Add(-6*time.Minute).Unix()
	})
	require.Equal(t, 401, h.do("POST", reorderPath, reorderBody, "Authorization", "Bearer "+stale).StatusCode)
}

func TestStepUp_aRefusedRequestNeverBurnsACode(t *testing.T) {
	h := newHouse(t)
	h.upstream = h.stepUpServices()
	plain := "Bearer " + h.token(nil)
	for _, body := range []string{`{"order":["a"]}`, `{"order":["a","a"]}`, `{`, `{"order":["a","b"],"x":1}`} {
		a := h.do("POST", reorderPath, body, "Authorization", plain, "X-OTP", "123456")
		require.GreaterOrEqual(t, a.StatusCode, 400)
	}
	a := h.do("POST", reorderPath+"?x=1", reorderBody, "Authorization", plain, "X-OTP", "123456")
	require.Equal(t, 400, a.StatusCode)
	require.Empty(t, h.seen, "no code may have been redeemed")
}

// A correct code of a type that a role of the user does not accept is reported as such: another code would not help.
func TestStepUp_tellsThatARoleAcceptsNoCode(t *testing.T) {
	h := newHouse(t)
	services := h.stepUpServices()
	h.upstream = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/kms/v1/auth/step-up" {
			services(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(403)
		_, _ = io.WriteString(w, `{"code":"factor_not_accepted"}`)
	}
	a := h.do("POST", reorderPath, reorderBody, "Authorization", "Bearer "+h.token(nil), "X-OTP", "123456")
	require.Equal(t, 401, a.StatusCode)
	require.Equal(t, "insufficient_user_authentication", a.Code)
	require.Contains(t, a.Text, "a role of the user does not accept")
}

func TestStepUp_aWrongCodeIsTheChallengeAgain(t *testing.T) {
	h := newHouse(t)
	h.upstream = h.stepUpServices()
	for _, code := range []string{"000000", "12345", "1234567", "12345a", "123456 "[:6] + "x"} {
		a := h.do("POST", reorderPath, reorderBody, "Authorization", "Bearer "+h.token(nil), "X-OTP", code)
		require.Equal(t, 401, a.StatusCode, code)
		require.Equal(t, "insufficient_user_authentication", a.Code)
		require.NotContains(t, a.Text, code)
	}
	for _, r := range h.seen {
		require.Equal(t, "/twofactor/v1/verify", r.URL.Path, "a wrong code goes no further")
	}
}

func TestGate_servesTheMetadataOfTheKmsAsItIs(t *testing.T) {
	h := newHouse(t)
	document := `{"issuer":"http://issuer.test","token_endpoint":"http://issuer.test/kms/v1/oauth2/token"}`
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, document)
	}
	a := h.do("GET", "/.well-known/oauth-authorization-server", "")
	require.Equal(t, 200, a.StatusCode)
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	require.Equal(t, document, a.Text)
	require.Equal(t, "/kms/v1/.well-known/oauth-authorization-server", h.seen[0].URL.Path)
}

// The URLs of the gateway's pages can be requested again by a browser: with a selected contract, with a trailing slash, and conditionally.
func TestGate_servesItsPagesToBrowsers(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/", "/console", "/docs", "/docs?contract=sequence", "/docs?contract=unknown-to-all"} {
		page := h.do("GET", path, "", "Accept", "text/html,*/*;q=0.8")
		require.Equal(t, 200, page.StatusCode, path)
		require.Equal(t, "text/html", page.Header.Get("Content-Type"), path)
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Equal(t, "no-cache", page.Header.Get("Cache-Control"), path)
		kept := h.do("GET", path, "", "If-None-Match", page.Header.Get("ETag"))
		require.Equal(t, 304, kept.StatusCode, path)
		require.Empty(t, kept.Text, path)
	}
	asset := h.do("GET", "/docs/start.js", "")
	require.Equal(t, 304, h.do("GET", "/docs/start.js", "", "If-None-Match", asset.Header.Get("ETag")).StatusCode)
	asset = h.do("GET", "/console/signin.js", "")
	require.Equal(t, "text/javascript", asset.Header.Get("Content-Type"))
	require.Equal(t, 304, h.do("GET", "/console/signin.js", "", "If-None-Match", asset.Header.Get("ETag")).StatusCode)
	for _, path := range []string{"/openapi/kms.yaml", "/openapi/kms.bundled.yaml", "/openapi/common.yaml"} {
		text := h.do("GET", path, "")
		require.Equal(t, 200, text.StatusCode, path)
		require.Equal(t, "no-cache", text.Header.Get("Cache-Control"), path)
		kept := h.do("GET", path, "", "If-None-Match", text.Header.Get("ETag"))
		require.Equal(t, 304, kept.StatusCode, path)
		require.Empty(t, kept.Text, path)
		require.Equal(t, 200, h.do("GET", path, "", "If-None-Match", `"another"`).StatusCode, path)
	}
	require.NotEqual(t, h.do("GET", "/openapi/kms.yaml", "").Header.Get("ETag"), h.do("GET", "/openapi/kms.bundled.yaml", "").Header.Get("ETag"))
	slash := h.do("GET", "/docs/", "")
	require.Equal(t, 308, slash.StatusCode)
	require.Equal(t, "/docs", slash.Header.Get("Location"))
	for path, status := range map[string]int{"/docs?x=1": 400, "/docs?contract=..": 400, "/docs?contract=A": 400, "/docs//": 404, "/docs/start.html": 404, "/console?x=1": 400, "/console/console.html": 404, "/console/enroll.html": 404, "/?x=1": 400, "//": 404} {
		require.Equal(t, status, h.do("GET", path, "").StatusCode, path)
	}
}

// For every code in the table browsers get HTML and programs JSON, and a cached form is not used for the other.
func TestGate_servesAPageForEveryProblem(t *testing.T) {
	h := newHouse(t)
	const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	paths := []string{"/problems"}
	for _, code := range problem.Codes() {
		paths = append(paths, code.TypeURI())
	}
	for _, path := range paths {
		page, data := h.do("GET", path, "", "Accept", browser), h.do("GET", path, "", "Accept", "*/*")
		require.Equal(t, 200, page.StatusCode, path)
		require.Equal(t, "text/html", page.Header.Get("Content-Type"), path)
		require.Equal(t, "application/json", data.Header.Get("Content-Type"), path)
		require.NotEqual(t, page.Header.Get("ETag"), data.Header.Get("ETag"), path)
		require.True(t, json.Valid([]byte(data.Text)), path)
		for _, a := range []answer{page, data} {
			require.Contains(t, a.Header.Values("Vary"), "Accept", path)
			require.Contains(t, a.Header.Get("Content-Security-Policy"), "default-src 'none'", path)
			require.Equal(t, "no-cache", a.Header.Get("Cache-Control"), path)
		}
		require.Equal(t, 304, h.do("GET", path, "", "Accept", browser, "If-None-Match", page.Header.Get("ETag")).StatusCode, path)
		require.Equal(t, 200, h.do("GET", path, "", "Accept", browser, "If-None-Match", data.Header.Get("ETag")).StatusCode, path)
	}
	require.JSONEq(t, `{"code":"gone","type":"/problems/gone","title":"Gone","status":410,
		"meaning":"The resource existed and is gone for good.","remedy":"Do not ask again. Events of an audit trail that were archived are in their archives: `+"`fountain audit verify --archives`"+`."}`, h.do("GET", "/problems/gone", "").Text)
	unknown := h.do("GET", "/problems/made_up", "", "Accept", browser)
	require.Equal(t, 404, unknown.StatusCode)
	require.Contains(t, unknown.Text, `"type":"/problems/not_found"`)
	for path, status := range map[string]int{"/problems/..": 404, "/problems/Gone": 400, "/problems/gone.md": 400, "/problems/problems.go": 400, "/problems/": 404} {
		require.Equal(t, status, h.do("GET", path, "").StatusCode, path)
	}
	require.Equal(t, 406, h.do("GET", "/problems/gone", "", "Accept", "image/png").StatusCode)
}

// In the served contracts every refusal has an example that fits its status: no 403 is shown as a validation error.
func TestGate_servesContractsWhoseRefusalsAreShownByTheirStatus(t *testing.T) {
	h := newHouse(t)
	seen := map[string]bool{}
	for _, word := range openapi.Words() {
		document, err := openapi3.NewLoader().LoadFromData([]byte(h.do("GET", "/openapi/"+word+".bundled.yaml", "").Text))
		require.NoError(t, err)
		for path, item := range document.Paths.Map() {
			for method, op := range item.Operations() {
				for status, response := range op.Responses.Map() {
					content := response.Value.Content[problem.MediaType]
					if content == nil {
						continue
					}
					require.NotEmpty(t, content.Examples, "%s %s %s", method, path, status)
					for code, example := range content.Examples {
						value := example.Value.Value.(map[string]any)
						require.Equal(t, code, value["code"])
						require.EqualValues(t, problem.Code(code).Status(), value["status"])
						if status != "default" {
							require.Equal(t, status, fmt.Sprint(value["status"]), "%s %s", method, path)
							seen[status] = true
						}
					}
				}
			}
		}
	}
	for _, status := range []string{"401", "403", "404", "409", "410", "412", "422", "428", "429", "502", "503"} {
		require.True(t, seen[status], status)
	}
}

func TestGate_servesItsOwnContract(t *testing.T) {
	h := newHouse(t)
	require.Equal(t, 200, h.do("GET", "/gateway/v1/health", "").StatusCode)
	require.Equal(t, 503, h.do("GET", "/gateway/v1/ready", "").StatusCode, "nobody has fetched the keys yet")
	require.Contains(t, h.do("GET", "/gateway/v1/services", "").Text, `"name":"kms"`)
	require.Contains(t, h.do("GET", "/openapi/kms.yaml", "").Text, "operationId: loginUser")
	docs := h.do("GET", "/docs", "")
	require.Equal(t, 200, docs.StatusCode)
	require.Contains(t, docs.Header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Equal(t, 200, h.do("GET", "/docs/init.js", "").StatusCode)
	require.Equal(t, 404, h.do("GET", "/docs/nothing.js", "").StatusCode)
	require.Equal(t, 404, h.do("GET", "/openapi/nothing.yaml", "").StatusCode)
	require.Equal(t, 400, h.do("GET", "/openapi/openapi.go", "").StatusCode)
	head := h.do("HEAD", "/docs", "")
	require.Equal(t, 200, head.StatusCode)
	require.Empty(t, head.Text)
	options := h.do("OPTIONS", createPath, "")
	require.Equal(t, 204, options.StatusCode)
	require.Equal(t, "GET, HEAD, OPTIONS, POST", options.Header.Get("Allow"))
}
