// Package servicetest is the environment of a service under test: a kms that enrols it and signs its callers' tokens, a log that can be read while it
// is written, a start that waits for readiness, and a client that checks every answer against the contracts.
package servicetest

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/seal"
)

const (
	// Issuer is the iss of all tokens.
	Issuer = "https://fountain.test"
	// ServiceToken is the access token that the kms gives the service, for every audience.
	ServiceToken = "token-of-the-service"

	keyID = "test-key"
)

// KMS publishes a key for access tokens, enrols one service and keeps its data key. Tests add everything else with Handle.
type KMS struct {
	*httptest.Server
	Down atomic.Bool // it answers 503 to everything

	endings *endings
	mux     *http.ServeMux
	key     ed25519.PrivateKey
}

// NewKMS starts a kms for the service of a word; it is stopped at the end of the test.
func NewKMS(t testing.TB, word string) *KMS {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	k := &KMS{mux: http.NewServeMux(), key: key, endings: newEndings()}
	k.Handle("GET /kms/v1/revocations", k.endings.serve)
	x := base64.RawURLEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
	jwk := map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": keyID, "x": x}
	now, dataKey := time.Now().UTC(), map[string][]byte{"plaintext": seal.NewDataKey(), "wrapped": []byte("wrapped")}
	k.answer("GET /kms/v1/.well-known/jwks.json", http.StatusOK, map[string]any{"keys": []any{jwk}})
	k.answer("POST /kms/v1/services/enrol", http.StatusCreated, map[string]any{
		"apiKey": map[string]any{"id": "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "createdAt": now, "expiresAt": now.Add(time.Hour)}, "key": "fk_live_test",
	})
	k.answer("POST /kms/v1/oauth2/token", http.StatusOK, map[string]any{"access_token": ServiceToken, "token_type": "Bearer", "expires_in": 900})
	k.answer("POST /kms/v1/keyrings/"+word+"/data-keys", http.StatusCreated, dataKey)
	k.answer("POST /kms/v1/keyrings/"+word+"/unwrap", http.StatusOK, dataKey)
	k.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k.Down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		k.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(k.Close)
	t.Cleanup(k.endings.close) // before Close, which waits for the requests that are held open
	return k
}

// End adds an entry to the revocation feed.
func (k *KMS) End(kind, id string, epoch int64) { k.endings.add(kind, id, epoch) }

func (k *KMS) answer(pattern string, status int, body any) {
	k.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) { Send(w, status, body) })
}

// Handle adds an operation that only the service may call; other callers are refused. It must be called before the service starts.
func (k *KMS) Handle(pattern string, handle http.HandlerFunc) {
	k.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+ServiceToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handle(w, r)
	})
}

// Send answers with JSON.
func Send(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// JWKSURL returns the URL of the key set.
func (k *KMS) JWKSURL() string { return k.URL + "/kms/v1/.well-known/jwks.json" }

// EnrolToken writes an enrolment token and returns its file.
func (k *KMS) EnrolToken(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte("enrolment-token\n"), 0o600))
	return path
}

// User returns the claims of a password token of a user without scopes and roles, for one service, valid for a day.
func User(audience string, now time.Time) *auth.Claims {
	return &auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Subject: id.New("usr"), Audience: jwt.ClaimStrings{audience}, ID: id.New("tok"),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(24 * time.Hour)),
		},
		ClientID: "fountain", Principal: auth.KindUser, SessionID: id.New("ses"), ACR: "aal1", AMR: []string{"pwd"}, AuthTime: now.Unix(),
	}
}

// Token signs an access token.
func (k *KMS) Token(t testing.TB, c *auth.Claims) string {
	t.Helper()
	token, err := auth.Sign(auth.TypeAccess, keyID, "EdDSA", k.key, c)
	require.NoError(t, err)
	return token
}
