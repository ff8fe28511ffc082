package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/fountainai/fountain/internal/clock"
)

const (
	jwksMaxAge   = 5 * time.Minute        // a set is fetched again when it is older
	jwksMaxStale = 24 * time.Hour         // a set that cannot be fetched again still counts for so long
	jwksInterval = 10 * time.Second       // between two fetches for unknown kids, and between two that failed
	jwksFirst    = 250 * time.Millisecond // between two that failed before there was any set
	jwksMaxSize  = 64 << 10
	jwksMaxKeys  = 32
	jwksTimeout  = 5 * time.Second
)

// JWKS is a KeySource that reads a key set (RFC 7517) over HTTP and keeps it. A kid that it holds is answered without waiting,
// however many unknown ones are asked for beside it; those cause at most one fetch in 10 seconds in all. When the kms is
// away, the last set still counts for a day.
type JWKS struct {
	url    string
	client *http.Client
	clock  clock.Clock
	flight singleflight.Group

	mu       sync.RWMutex
	keys     map[string]PublicKey
	fetched  time.Time // of the set that is held
	tried    time.Time // of the last fetch
	lastFail error
}

// NewJWKS returns a source that reads url with client; it fetches when it is first asked.
func NewJWKS(url string, client *http.Client, c clock.Clock) *JWKS {
	return &JWKS{url: url, client: client, clock: c}
}

// Key implements KeySource.
func (j *JWKS) Key(ctx context.Context, kid string) (string, crypto.PublicKey, error) {
	now := j.clock.Now()
	j.mu.RLock()
	key, known := j.keys[kid]
	age, sinceTry, loaded := now.Sub(j.fetched), now.Sub(j.tried), j.keys != nil
	lastFail := j.lastFail
	j.mu.RUnlock()
	mayTry := sinceTry >= jwksInterval || sinceTry < 0 || !loaded && sinceTry >= jwksFirst
	switch {
	case known && age < jwksMaxAge:
		return key.Algorithm, key.Key, nil
	case known && age < jwksMaxStale:
		if mayTry {
			go func() { _ = j.refresh(context.WithoutCancel(ctx), now) }() // nobody waits for it; its failure is kept in lastFail
		}
		return key.Algorithm, key.Key, nil
	case !mayTry && loaded && age < jwksMaxStale:
		return "", nil, ErrUnknownKey
	case !mayTry && lastFail != nil:
		return "", nil, lastFail
	}
	if err := j.refresh(ctx, now); err != nil {
		if loaded && !known && age < jwksMaxStale {
			return "", nil, ErrUnknownKey
		}
		return "", nil, err
	}
	j.mu.RLock()
	defer j.mu.RUnlock()
	if key, known = j.keys[kid]; !known {
		return "", nil, ErrUnknownKey
	}
	return key.Algorithm, key.Key, nil
}

// Ready fetches the set when there is none yet and says whether there is one now.
func (j *JWKS) Ready(ctx context.Context) error {
	_, _, err := j.Key(ctx, "")
	if errors.Is(err, ErrUnknownKey) {
		return nil
	}
	return err
}

// refresh fetches the set once, however many ask at the same time. A caller that goes away does not end the others' fetch.
func (j *JWKS) refresh(ctx context.Context, now time.Time) error {
	done := j.flight.DoChan("set", func() (any, error) {
		fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jwksTimeout)
		defer cancel()
		keys, err := j.fetch(fetchCtx)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.tried, j.lastFail = now, err
		if err == nil {
			j.keys, j.fetched = keys, now
		}
		return nil, err
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *JWKS) fetch(ctx context.Context) (map[string]PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := j.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch key set: status %d", res.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, jwksMaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("fetch key set: %w", err)
	}
	if len(raw) > jwksMaxSize {
		return nil, errors.New("fetch key set: too large")
	}
	return decodeJWKS(raw)
}

type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	KeyID     string `json:"kid"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// decodeJWKS keeps the keys that can verify our tokens; others, of algorithms to come, are passed over.
func decodeJWKS(raw []byte) (map[string]PublicKey, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, errors.New("fetch key set: not a JWK set")
	}
	if len(set.Keys) > jwksMaxKeys {
		return nil, errors.New("fetch key set: too many keys")
	}
	keys := make(map[string]PublicKey, len(set.Keys))
	for _, k := range set.Keys {
		if k.KeyID == "" || (k.Use != "" && k.Use != "sig") {
			continue
		}
		if key, ok := k.publicKey(); ok {
			keys[k.KeyID] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("fetch key set: no usable key")
	}
	return keys, nil
}

func (k jwk) publicKey() (PublicKey, bool) {
	x, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
	if err != nil {
		return PublicKey{}, false
	}
	switch {
	case k.Type == "OKP" && k.Curve == "Ed25519" && k.Algorithm == "EdDSA" && len(x) == ed25519.PublicKeySize:
		return PublicKey{Algorithm: "EdDSA", Key: ed25519.PublicKey(x)}, true
	case k.Type == "EC" && k.Curve == "P-256" && k.Algorithm == "ES256" && len(x) == 32:
		y, err := base64.RawURLEncoding.Strict().DecodeString(k.Y)
		if err != nil || len(y) != 32 {
			return PublicKey{}, false
		}
		key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
		if _, err := key.ECDH(); err != nil { // not a point of the curve
			return PublicKey{}, false
		}
		return PublicKey{Algorithm: "ES256", Key: key}, true
	}
	return PublicKey{}, false
}
