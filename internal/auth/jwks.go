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
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

const (
	jwksMaxAge   = 5 * time.Minute        // a set is fetched again when it is older, or before, where its max-age says so
	jwksIdle     = 2                      // times the age for which a set may be kept: an older one of which no fetch has failed is not answered from while the next is fetched
	jwksMaxStale = 24 * time.Hour         // a set that cannot be fetched again still counts for so long
	jwksInterval = 10 * time.Second       // between two fetches for unknown kids, and between two that failed
	jwksFirst    = 250 * time.Millisecond // between two that failed before there was any set
	jwksMaxSize  = 64 << 10
	jwksMaxKeys  = 32
	jwksTimeout  = 5 * time.Second
)

// JWKS is a KeySource that fetches a key set (RFC 7517) over HTTP and caches it. A cached kid is answered without waiting, however many unknown kids
// are requested at the same time; only after a long idle period does the first request wait for a fetch. Unknown kids cause at most one fetch in 10
// seconds in total, and requests that arrive during a fetch wait for that one. While the kms is unreachable, the last set stays valid for a day.
type JWKS struct {
	url    string
	client http.Client
	clock  clock.Clock

	mu       sync.Mutex
	keys     map[string]PublicKey
	fetched  time.Time     // of the set that is held
	maxAge   time.Duration // for which it may be kept
	tried    time.Time     // of the last fetch
	lastFail error         // of the last fetch
	flight   chan struct{} // closed when the fetch that runs has ended; nil when none runs
}

// NewJWKS returns a source that reads url with client. It fetches at the first request and follows no redirect.
func NewJWKS(url string, client *http.Client, c clock.Clock) *JWKS {
	j := &JWKS{url: url, client: *client, clock: c}
	j.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return j
}

// Key implements KeySource.
func (j *JWKS) Key(ctx context.Context, kid string) (string, crypto.PublicKey, error) {
	key, known, flight, err := j.look(ctx, kid)
	if known || err != nil {
		return key.Algorithm, key.Key, err
	}
	select {
	case <-flight:
	case <-ctx.Done():
		return "", nil, fmt.Errorf("wait for the key set: %w", ctx.Err())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch key, known := j.keys[kid]; {
	case !j.usable(j.clock.Now()):
		return "", nil, j.failure()
	case !known:
		return "", nil, ErrUnknownKey
	default:
		return key.Algorithm, key.Key, nil
	}
}

// look returns the cached key, or the fetch to wait for.
func (j *JWKS) look(ctx context.Context, kid string) (key PublicKey, known bool, flight chan struct{}, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.clock.Now()
	usable := j.usable(now)
	key, known = j.keys[kid]
	known = known && usable
	if age := now.Sub(j.fetched); known && age >= 0 && age < j.maxAge {
		return key, true, nil, nil
	}
	if j.flight == nil {
		interval := jwksInterval
		if j.keys == nil {
			interval = jwksFirst
		}
		switch since := now.Sub(j.tried); {
		case since < 0, since >= interval:
			j.startFetch(ctx, now)
		case known:
		case usable:
			return key, false, nil, ErrUnknownKey
		default:
			return key, false, nil, j.failure()
		}
	}
	// No key was requested for long, so the set was not refreshed: a key that was revoked since would still verify tokens.
	idle := j.lastFail == nil && now.Sub(j.fetched) >= jwksIdle*j.maxAge
	return key, known && (!idle || j.flight == nil), j.flight, nil
}

// usable reports whether the cached set may still be used. The caller holds the lock.
func (j *JWKS) usable(now time.Time) bool { return j.keys != nil && now.Sub(j.fetched) < jwksMaxStale }

// failure returns why there is no usable set; never nil. The caller holds the lock.
func (j *JWKS) failure() error {
	if j.lastFail == nil {
		return errors.New("no key set is held")
	}
	return j.lastFail
}

// Ready fetches the set when no usable one is cached. It returns nil when there is a usable set afterwards.
func (j *JWKS) Ready(ctx context.Context) error {
	j.mu.Lock()
	usable := j.usable(j.clock.Now())
	j.mu.Unlock()
	if usable {
		return nil
	}
	if _, _, err := j.Key(ctx, ""); !errors.Is(err, ErrUnknownKey) {
		return err
	}
	return nil
}

// Renew fetches the set again where one is cached, and returns when that fetch is done. A fetch that is already running does not count: its answer
// may predate the change. From then on a key that is no longer in the set verifies nothing. Renew is for the rare moments at which the kms is known
// to have changed its keys.
func (j *JWKS) Renew(ctx context.Context) error {
	for own := false; ; {
		j.mu.Lock()
		if j.keys == nil && j.flight == nil {
			j.mu.Unlock()
			return nil // the first fetch is still to come
		}
		if own && j.flight == nil {
			defer j.mu.Unlock()
			return j.lastFail
		}
		if j.flight == nil {
			own = true
			j.startFetch(ctx, j.clock.Now())
		}
		flight := j.flight
		j.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return fmt.Errorf("wait for the key set: %w", ctx.Err())
		}
	}
}

// startFetch starts the one fetch. It is not cancelled when a caller's context ends. The caller holds the lock.
func (j *JWKS) startFetch(ctx context.Context, now time.Time) {
	done := make(chan struct{})
	j.flight, j.tried = done, now
	go func() {
		fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jwksTimeout)
		defer cancel()
		keys, maxAge, err := j.fetch(fetchCtx)
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.lastFail = err; err == nil {
			j.keys, j.fetched, j.maxAge = keys, now, maxAge
		}
		j.flight = nil
		close(done)
	}()
}

func (j *JWKS) fetch(ctx context.Context) (_ map[string]PublicKey, maxAge time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, j.url, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch key set: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	res, err := j.client.Do(req)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch key set: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("fetch key set: status %d", res.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, jwksMaxSize+1))
	if err != nil {
		return nil, 0, fmt.Errorf("fetch key set: %w", err)
	}
	if len(raw) > jwksMaxSize {
		return nil, 0, errors.New("fetch key set: too large")
	}
	keys, err := decodeJWKS(raw)
	return keys, setAge(res.Header.Get("Cache-Control")), err
}

// setAge returns how long a set with this Cache-Control may be cached (RFC 9111, section 5.2.2.1): its max-age, at most jwksMaxAge, and at least
// jwksInterval, so that no answer makes every request fetch.
func setAge(cacheControl string) time.Duration {
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
			return min(max(time.Duration(seconds)*time.Second, jwksInterval), jwksMaxAge)
		}
	}
	return jwksMaxAge
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

// decodeJWKS returns the keys that can verify this family's tokens. Keys of other algorithms are skipped.
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
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil { // not a point of the curve
			return PublicKey{}, false
		}
		return PublicKey{Algorithm: "ES256", Key: key}, true
	}
	return PublicKey{}, false
}
