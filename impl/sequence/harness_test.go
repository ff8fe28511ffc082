package sequence

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
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const (
	issuer = "https://fountain.example"
	kid    = "test"
)

// family stands for the services around this one: keys to verify tokens with, and an identity that needs no kms.
type family struct {
	private ed25519.PrivateKey
	jwks    *httptest.Server
	search  *searchService
	dataKey []byte
}

func newFamily(t testing.TB) *family {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	set := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":%q,"x":%q}]}`, kid, base64.RawURLEncoding.EncodeToString(public))
	f := &family{private: private, search: newSearchService(t), dataKey: seal.NewDataKey()}
	f.jwks = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, set)
	}))
	t.Cleanup(f.jwks.Close)
	return f
}

// Token, Forget, DataKey, Ready and Run make family an identity.
func (f *family) Token(_ context.Context, audience string) (string, error) {
	return "token of sequence for " + audience, nil
}

func (f *family) Forget(string) {}

func (f *family) DataKey(context.Context, *database.DB) (*seal.Key, error) {
	return seal.FromDataKey(f.dataKey)
}

func (f *family) Ready() error { return nil }

func (f *family) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// caller is who a token speaks for.
type caller struct {
	subject, kind string
	scopes        string
	roles         []string
	acr           string
}

var (
	editor  = caller{subject: "usr_editor", kind: auth.KindUser, scopes: "elements:read elements:write", roles: []string{"editor"}, acr: contract.ACRPassword}
	stepped = caller{subject: "usr_editor", kind: auth.KindUser, scopes: "elements:read elements:write", roles: []string{"editor"}, acr: contract.ACRSecondFactor}
	reader  = caller{subject: "usr_reader", kind: auth.KindUser, scopes: "elements:read", roles: []string{"reader"}, acr: contract.ACRPassword}
	program = caller{subject: "svc_import", kind: auth.KindService, scopes: "elements:read elements:write"}
)

func (f *family) token(t testing.TB, c caller) string {
	now := time.Now()
	claims := auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: issuer, Subject: c.subject, Audience: jwt.ClaimStrings{word}, ID: "jti", IssuedAt: jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(10 * time.Minute)),
		},
		ClientID: "fountain", Scope: c.scopes, Roles: c.roles, Principal: c.kind, ACR: c.acr,
	}
	if c.acr != "" {
		claims.AuthTime = now.Unix()
	}
	text, err := auth.Sign(auth.TypeAccess, kid, "EdDSA", f.private, &claims)
	require.NoError(t, err)
	return text
}

// instance is a running service.
type instance struct {
	family *family
	base   string
	op     *contract.Contract
	stop   func() error
}

// start runs the service on a database and waits until it is ready.
func (f *family) start(t testing.TB, db database.Config) *instance {
	c, err := contract.Load(word)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ready := make(chan struct{})
	cfg := Config{SearchURL: f.search.server.URL, Version: "test", Service: config.Service{
		Listener: listener, DataDir: db.Dir, Issuer: issuer, JWKSURL: f.jwks.URL, KMSURL: f.jwks.URL, Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), OnReady: func() { close(ready) }, DrainDelay: time.Nanosecond, Grace: 10 * time.Second,
	}}
	if db.URL != "" {
		cfg.DatabaseURLFile = t.TempDir() + "/url"
		require.NoError(t, os.WriteFile(cfg.DatabaseURLFile, []byte(db.URL), 0o600))
		cfg.DataDir = t.TempDir()
	}
	require.NoError(t, cfg.Validate())
	client, err := httpclient.New("", callTimeout)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, cfg, client, f) }()
	i := &instance{family: f, base: "http://" + listener.Addr().String() + c.BasePath, op: c}
	stopped := false
	i.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() { require.NoError(t, i.stop()) })
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("ended before it was ready: %v", err)
	}
	return i
}

// eachDatabase runs f on SQLite, and on PostgreSQL where there is one.
func eachDatabase(t *testing.T, f func(t *testing.T, family *family, db database.Config)) {
	storetest.EachConfig(t, nil, func(t *testing.T, db database.Config) { f(t, newFamily(t), db) })
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) into(t testing.TB, out any) {
	require.NoError(t, json.Unmarshal(r.body, out), string(r.body))
}

// problem returns the code and the pointers of a problem.
func (r reply) problem(t testing.TB) (code string, pointers []string) {
	var p struct {
		Code   string
		Errors []struct{ Pointer string }
	}
	r.into(t, &p)
	for _, e := range p.Errors {
		pointers = append(pointers, e.Pointer)
	}
	return p.Code, pointers
}

// do sends a request and checks that the contract allows its answer.
func (i *instance) do(t testing.TB, who caller, method, path string, body any, headers ...string) reply {
	return i.send(t, i.family.token(t, who), method, path, body, headers...)
}

func (i *instance) send(t testing.TB, token, method, path string, body any, headers ...string) reply {
	var content io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		content = bytes.NewReader([]byte(b))
	default:
		text, err := json.Marshal(b)
		require.NoError(t, err)
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, i.base+path, content)
	require.NoError(t, err)
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for n := 0; n < len(headers); n += 2 {
		request.Header.Set(headers[n], headers[n+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	match, err := i.op.Match(method, request.URL.EscapedPath())
	require.NoError(t, err)
	require.NoError(t, match.Operation.CheckResponse(response.StatusCode, response.Header, text), "%s %s: %d %s", method, path, response.StatusCode, text)
	return reply{status: response.StatusCode, header: response.Header, body: text}
}

// element is what tests look at of an element.
type element struct {
	ID, Scope, ElementType, Status string
	Comment                        *string
	Number, Version                int64
	Data                           json.RawMessage
	CreatedAt, UpdatedAt           time.Time
}

const linesPath = "/scopes/hamlet/spokenWord/elements"

// create appends an element and returns it.
func (i *instance) create(t testing.TB, path string, body any) (out element) {
	r := i.do(t, editor, http.MethodPost, path, body)
	require.Equal(t, http.StatusCreated, r.status, string(r.body))
	r.into(t, &out)
	return out
}
