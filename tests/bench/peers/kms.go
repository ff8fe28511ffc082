package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer   = "http://issuer.test"
	audience = "sequence"
	keyID    = "k1"
)

// kms plays as much of the kms as the gateway asks for: its own enrolment and token, the key set, a revocation feed in which nothing was ended,
// and readiness, of twofactor and search too. The tokens of the callers are signed here with the key of that set.
type kms struct {
	url    string
	public ed25519.PublicKey
	key    ed25519.PrivateKey
}

func newKMS() (*kms, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	k := &kms{url: "http://" + listener.Addr().String(), public: public, key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /kms/v1/.well-known/jwks.json", k.keySet)
	mux.HandleFunc("POST /kms/v1/services/enrol", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		now := time.Now()
		_, _ = fmt.Fprintf(w, `{"apiKey":{"id":"key_1","createdAt":%q,"expiresAt":%q},"key":"the gateway's"}`, now.Format(time.RFC3339), now.AddDate(0, 3, 0).Format(time.RFC3339))
	})
	mux.HandleFunc("POST /kms/v1/oauth2/token", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"access_token":"the gateway's own","token_type":"Bearer","expires_in":86400}`)
	})
	mux.HandleFunc("GET /kms/v1/revocations", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Prefer") != "" { // it may be held while there is nothing
			select {
			case <-time.After(4 * time.Second):
			case <-r.Context().Done():
				return
			}
		}
		_, _ = io.WriteString(w, `{"feed":"bench","position":0,"items":[]}`)
	})
	mux.HandleFunc("GET /{word}/v1/ready", func(http.ResponseWriter, *http.Request) {}) // else it is asked ten times a second
	go func() { _ = http.Serve(listener, mux) }()                                       // until the process ends
	return k, nil
}

func (k *kms) keySet(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":%q,"x":%q}]}`, keyID, base64.RawURLEncoding.EncodeToString(k.public))
}

// token signs an access token (RFC 9068) with the claims that the family's kms writes.
func (k *kms) token(caller int) (string, error) {
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": issuer, "sub": fmt.Sprintf("usr_01KBB6Q3Y5W1V9T2ZD0G7M%04d", caller), "aud": []string{audience, "kms", "twofactor", "search"}, "jti": fmt.Sprintf("tok_%d", caller),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(12 * time.Hour).Unix(), "client_id": "fountain", "scope": "elements:read elements:write",
		"roles": []string{"editor"}, "principal": "user", "preferred_username": fmt.Sprintf("user%d", caller), "sid": fmt.Sprintf("ses_%d", caller),
		"acr": "aal1", "amr": []string{"pwd"}, "auth_time": now.Unix(),
	})
	t.Header["kid"], t.Header["typ"] = keyID, "at+jwt"
	return t.SignedString(k.key)
}
