package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// provider is one that does as it is told: the ID token that it gives has the claims of the test.
type provider struct {
	*httptest.Server
	key    ed25519.PrivateKey
	claims map[string]any
	traded url.Values // what the app has sent for its last code
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	_, p.key, _ = ed25519.GenerateKey(rand.Reader)
	mux := http.NewServeMux()
	answer := func(path string, body func(r *http.Request) any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(body(r))
		})
	}
	answer("/.well-known/openid-configuration", func(*http.Request) any {
		return map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/jwks",
			"userinfo_endpoint": p.URL + "/userinfo", "end_session_endpoint": p.URL + "/logout", "id_token_signing_alg_values_supported": []string{"EdDSA"},
		}
	})
	answer("/jwks", func(*http.Request) any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "k", Algorithm: "EdDSA", Use: "sig"}}}
	})
	answer("/token", func(r *http.Request) any {
		_ = r.ParseForm()
		p.traded = r.PostForm
		return map[string]any{"access_token": "at", "token_type": "Bearer", "expires_in": 600, "id_token": p.idToken(t)}
	})
	answer("/userinfo", func(*http.Request) any { return map[string]any{"sub": "usr_1", "preferred_username": "grace"} })
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) idToken(t *testing.T) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: p.key, KeyID: "k"}}, nil)
	require.NoError(t, err)
	raw, err := json.Marshal(p.claims)
	require.NoError(t, err)
	signed, err := signer.Sign(raw)
	require.NoError(t, err)
	text, err := signed.CompactSerialize()
	require.NoError(t, err)
	return text
}

// browser is one at the app, which follows no redirect by itself.
func browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func visit(t *testing.T, b *http.Client, address string) *http.Response {
	t.Helper()
	answer, err := b.Get(address)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer
}

// begins goes to the login and returns what the app asks of the provider.
func begins(t *testing.T, b *http.Client, app string) url.Values {
	t.Helper()
	at, err := visit(t, b, app+"/login").Location()
	require.NoError(t, err)
	return at.Query()
}

func TestApp_takesNothingButTheAnswerToItsOwnQuestion(t *testing.T) {
	p := newProvider(t)
	server := httptest.NewServer(nil)
	t.Cleanup(server.Close)
	app, err := newApp(t.Context(), settings{Issuer: p.URL, ClientID: "cli_1", Secret: "s", Address: server.URL})
	require.NoError(t, err)
	server.Config.Handler = app.routes()

	for name, spoil := range map[string]func(answer url.Values, claims map[string]any){
		"good":                func(url.Values, map[string]any) {},
		"another state":       func(answer url.Values, _ map[string]any) { answer.Set("state", "x") },
		"no state":            func(answer url.Values, _ map[string]any) { answer.Del("state") },
		"another issuer":      func(answer url.Values, _ map[string]any) { answer.Set("iss", "https://evil.example") },
		"no issuer":           func(answer url.Values, _ map[string]any) { answer.Del("iss") },
		"an error":            func(answer url.Values, _ map[string]any) { answer.Set("error", "access_denied") },
		"another nonce":       func(_ url.Values, claims map[string]any) { claims["nonce"] = "x" },
		"another client's":    func(_ url.Values, claims map[string]any) { claims["aud"] = "cli_2" },
		"expired":             func(_ url.Values, claims map[string]any) { claims["exp"] = time.Now().Add(-time.Hour).Unix() },
		"of another issuer":   func(_ url.Values, claims map[string]any) { claims["iss"] = "https://evil.example" },
		"about somebody else": func(_ url.Values, claims map[string]any) { claims["sub"] = "usr_2" },
	} {
		b := browser(t)
		asked := begins(t, b, server.URL)
		p.claims = map[string]any{
			"iss": p.URL, "aud": "cli_1", "sub": "usr_1", "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(), "nonce": asked.Get("nonce"), "acr": "aal2",
		}
		answer, claims := url.Values{"code": {"c"}, "state": {asked.Get("state")}, "iss": {p.URL}}, maps.Clone(p.claims)
		spoil(answer, claims)
		p.claims = claims
		got := visit(t, b, server.URL+"/callback?"+answer.Encode())
		if name != "good" {
			require.Equal(t, http.StatusBadRequest, got.StatusCode, name)
			require.Empty(t, cookie(t, b, server.URL, session), name)
			continue
		}
		require.Equal(t, http.StatusSeeOther, got.StatusCode, name)
		require.Equal(t, "S256", asked.Get("code_challenge_method"))
		require.Equal(t, asked.Get("code_challenge"), oauth2.S256ChallengeFromVerifier(p.traded.Get("code_verifier")))
		require.NotEmpty(t, cookie(t, b, server.URL, session))
		require.Equal(t, http.StatusBadRequest, visit(t, b, server.URL+"/callback?"+answer.Encode()).StatusCode, "a sign-in comes back once")
		require.Equal(t, http.StatusBadRequest, visit(t, browser(t), server.URL+"/callback?"+answer.Encode()).StatusCode, "to the browser that began it")
	}
}

func cookie(t *testing.T, b *http.Client, app, name string) string {
	t.Helper()
	at, err := url.Parse(app)
	require.NoError(t, err)
	for _, c := range b.Jar.Cookies(at) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}
