package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain/verify"
)

// kms is an issuer of tokens, as far as the service knows one.
type kms struct {
	*httptest.Server
	t   *testing.T
	key ed25519.PrivateKey
}

func newKMS(t *testing.T) *kms {
	k := &kms{t: t, key: ed25519.NewKeyFromSeed([]byte("the seed of the key of the tests"))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": k.URL, "jwks_uri": k.URL + "/keys", "token_endpoint": k.URL + "/token"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		x := base64.RawURLEncoding.EncodeToString(k.key.Public().(ed25519.PublicKey))
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k1", "x": x}}})
	})
	k.Server = httptest.NewServer(mux)
	t.Cleanup(k.Close)
	return k
}

// token is a user's for notes.
func (k *kms) token(subject, acr, scope string) string {
	k.t.Helper()
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": k.URL, "sub": subject, "aud": "notes", "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		"jti": "tok_" + subject, "client_id": "fountain", "scope": scope, "principal": "user", "sid": "ses_1", "acr": acr, "auth_time": now.Unix()})
	token.Header = map[string]any{"alg": "EdDSA", "kid": "k1", "typ": "at+jwt"}
	text, err := token.SignedString(k.key)
	require.NoError(k.t, err)
	return text
}

func (k *kms) tokens() map[string]string {
	const all = "notes:read notes:write notes:delete"
	return map[string]string{author: k.token("usr_author", "aal1", all), raised: k.token("usr_author", "aal2", all), other: k.token("usr_other", "aal1", all),
		reader: k.token("usr_reader", "aal1", "notes:read")}
}

// startGo runs the service as its command does, until the test ends.
func startGo(t *testing.T) target {
	t.Helper()
	k := newKMS(t)
	addr := freeAddr(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-addr", addr, "-issuer", k.URL, "-data", filepath.Join(t.TempDir(), "notes?.db")})
	}()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	waitFor(t, addr)
	return target{url: "http://" + addr + "/v1", tokens: k.tokens(), guard: verifier}
}

// startNode runs the server in Node until the test ends.
func startNode(t *testing.T) target {
	t.Helper()
	node := exec.Command("node", "node/server.mjs", "0")
	node.Stderr = os.Stderr
	out, err := node.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start())
	t.Cleanup(func() {
		require.NoError(t, node.Process.Signal(os.Interrupt))
		require.NoError(t, node.Wait(), "it ends by itself when it is told to")
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	_, url, found := strings.Cut(strings.TrimSpace(line), "listening ")
	require.True(t, found, line)
	return target{url: url + "/v1", tokens: newKMS(t).tokens(), guard: nobody}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		// Below the ports that the kernel gives to clients and to listeners on port 0, so that nobody is given it before the server listens.
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(20000))))
		if err != nil {
			continue // somebody listens there
		}
		require.NoError(t, l.Close())
		return l.Addr().String()
	}
	t.Fatal("no port is free")
	return ""
}

func waitFor(t *testing.T, addr string) {
	t.Helper()
	require.Eventually(t, func() bool {
		res, err := http.Get("http://" + addr + "/health")
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusNoContent
	}, 10*time.Second, 10*time.Millisecond)
}

// The contract decides who may do what; nothing else does.
func TestPolicy_isTheContracts(t *testing.T) {
	p, err := policy()
	require.NoError(t, err)
	both := []string{"user", "service"}
	require.Equal(t, verify.Policy{
		"GET /v1/notes":             {Scopes: [][]string{{"notes:read"}}, Principals: both},
		"POST /v1/notes":            {Scopes: [][]string{{"notes:write"}}, Principals: both},
		"GET /v1/notes/{noteId}":    {Scopes: [][]string{{"notes:read"}}, Principals: both},
		"PUT /v1/notes/{noteId}":    {Scopes: [][]string{{"notes:write"}}, Principals: both},
		"DELETE /v1/notes/{noteId}": {Scopes: [][]string{{"notes:delete"}}, Principals: both, StepUp: &verify.StepUp{ACR: "aal2", MaxAge: 5 * time.Minute, For: []string{"user"}}},
	}, p)
}

// Notes that were written are there after a restart.
func TestRun_keepsNotes(t *testing.T) {
	k, data, addr := newKMS(t), filepath.Join(t.TempDir(), "notes.db"), freeAddr(t)
	to := target{url: "http://" + addr + "/v1", tokens: k.tokens(), guard: verifier}
	var id string
	for n := range 2 {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- run(ctx, []string{"-addr", addr, "-issuer", k.URL, "-data", data}) }()
		waitFor(t, addr)
		if n == 0 {
			id = to.ask(t, exchange{as: author, method: "POST", path: "/notes", body: harbour}).body["id"].(string)
		}
		require.Equal(t, http.StatusOK, to.ask(t, exchange{as: author, method: "GET", path: "/notes/" + id}).status)
		cancel()
		require.NoError(t, <-done)
	}
}

func TestRun_refusesWhatItCannotUse(t *testing.T) {
	for name, args := range map[string][]string{
		"argument": {"x"}, "flag": {"-x"}, "issuer": {"-issuer", "x", "-data", filepath.Join(t.TempDir(), "a.db")}, "data": {"-data", filepath.Join(t.TempDir(), "no", "a.db")},
		"address": {"-addr", "nowhere", "-data", filepath.Join(t.TempDir(), "b.db")},
	} {
		require.Error(t, run(t.Context(), args), name)
	}
	require.NoError(t, run(t.Context(), []string{"-h"}))
}

// A service that follows the feed accepts nobody while it can't.
func TestRun_admitsNobodyWithoutTheFeed(t *testing.T) {
	k, addr, key := newKMS(t), freeAddr(t), filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(key, []byte("fk_live_01KBB6Q3Y5W1V9T2ZD0G7M4N8P_secret\n"), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-addr", addr, "-issuer", k.URL, "-data", filepath.Join(t.TempDir(), "n.db"), "-api-key-file", key})
	}()
	waitFor(t, addr)
	got := target{url: "http://" + addr + "/v1", tokens: k.tokens()}.ask(t, exchange{as: author, method: "GET", path: "/notes"})
	require.Equal(t, http.StatusServiceUnavailable, got.status)
	require.Equal(t, "unavailable", got.body["code"])
	cancel()
	require.NoError(t, <-done)
}
