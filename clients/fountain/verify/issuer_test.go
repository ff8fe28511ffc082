package verify

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

const keyText = "fk_live_01KBB6Q3Y5W1V9T2ZD0G7M4N8P_secret"

// issuer is a fake kms for a verifier.
type issuer struct {
	*httptest.Server
	t testing.TB

	mu       sync.Mutex
	now      time.Time
	keys     map[string]ed25519.PrivateKey
	fetches  int                       // of the key set
	trades   int                       // API keys exchanged for tokens
	answer   func(http.ResponseWriter) // if set, replaces the key set
	metadata map[string]any            // overrides members of the metadata
	hold     chan struct{}             // if set, a fetch of the key set waits for it

	feed     string
	endings  []map[string]any
	feedDown bool
	refusal  int // status of the feed's refusals
}

func newIssuer(t testing.TB, kids ...string) *issuer {
	i := &issuer{t: t, now: noon, keys: map[string]ed25519.PrivateKey{}, feed: "F1"}
	for n, kid := range kids {
		i.keys[kid] = ed25519.NewKeyFromSeed([]byte(fmt.Sprintf("%032d", n)))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", i.serveMetadata)
	mux.HandleFunc("GET /keys", i.serveKeys)
	mux.HandleFunc("POST /token", i.serveToken)
	mux.HandleFunc("GET /kms/v1/revocations", i.serveRevocations)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	said := map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "token_endpoint": i.URL + "/token"}
	i.mu.Lock()
	defer i.mu.Unlock()
	maps.Copy(said, i.metadata)
	_ = json.NewEncoder(w).Encode(said)
}

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	i.fetches++
	hold, answer := i.hold, i.answer
	i.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if answer != nil {
		answer(w)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	set := []map[string]string{{"kty": "RSA", "kid": "rsa", "n": "x", "e": "AQAB"}, {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "enc", "kid": "enc", "x": "AA"}}
	for kid, key := range i.keys {
		set = append(set, map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid,
			"x": base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
}

func (i *issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.trades++
	id, secret, _ := r.BasicAuth()
	if id != "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P" || secret != keyText || r.FormValue("resource") != "kms" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "feed-token-" + strconv.Itoa(i.trades), "expires_in": 900, "token_type": "Bearer"})
}

// serveRevocations responds as listRevocations does, but holds no request open.
func (i *issuer) serveRevocations(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.feedDown {
		panic(http.ErrAbortHandler)
	}
	if i.refusal != 0 || r.Header.Get("Authorization") != "Bearer feed-token-"+strconv.Itoa(i.trades) {
		w.WriteHeader(max(i.refusal, http.StatusUnauthorized))
		return
	}
	after, _ := strconv.Atoi(r.FormValue("after"))
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	if r.FormValue("feed") != i.feed || after > len(i.endings) {
		after = 0
	}
	items := i.endings[after:min(after+limit, len(i.endings))]
	_ = json.NewEncoder(w).Encode(map[string]any{"feed": i.feed, "position": after + len(items), "items": items})
}

// end adds a revocation to the feed.
func (i *issuer) end(kind, id string, epoch int64) {
	i.set(func() {
		i.endings = append(i.endings, map[string]any{"position": len(i.endings) + 1, "kind": kind, "id": id, "epoch": epoch, "at": i.now, "until": i.now.Add(30 * time.Minute)})
	})
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) clock() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *issuer) advance(d time.Duration) { i.set(func() { i.now = i.now.Add(d) }) }

func (i *issuer) fetched() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

func (i *issuer) config() Config {
	return Config{Issuer: i.URL, Audience: "notes", Now: i.clock, Log: slog.New(slog.DiscardHandler)}
}

func (i *issuer) verifier(change ...func(*Config)) *Verifier {
	i.t.Helper()
	c := i.config()
	for _, f := range change {
		f(&c)
	}
	v, err := New(c)
	require.NoError(i.t, err)
	return v
}

// claims returns the claims of a user's token for notes.
func (i *issuer) claims() jwt.MapClaims {
	now := i.clock()
	return jwt.MapClaims{"iss": i.URL, "sub": "usr_1", "aud": []string{"notes"}, "exp": now.Add(10 * time.Minute).Unix(), "iat": now.Unix(), "nbf": now.Unix(),
		"jti": "tok_1", "client_id": "fountain", "scope": "notes:read notes:delete", "roles": []string{"reader"}, "principal": "user", "sid": "ses_1",
		"acr": "aal1", "auth_time": now.Add(-time.Minute).Unix(), "epoch": 3}
}

// token signs the usual claims with these overrides. A nil value removes a claim.
func (i *issuer) token(kid string, over jwt.MapClaims) string {
	i.t.Helper()
	all := i.claims()
	for name, value := range over {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, all)
	token.Header = map[string]any{"alg": "EdDSA", "kid": kid, "typ": "at+jwt"}
	text, err := token.SignedString(i.keys[kid])
	require.NoError(i.t, err)
	return text
}

// code returns the code of a refusal, or "".
func code(err error) string {
	if err == nil {
		return ""
	}
	p, ok := err.(*Problem)
	if !ok {
		return "no problem: " + err.Error()
	}
	return p.Code
}
