package verify

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
)

const (
	keysMaxAge   = 5 * time.Minute        // a key set is fetched again after this time, or earlier if its max-age says so
	keysIdle     = 2                      // after this many max-ages without a fetch, requests wait for a new set, unless the last fetch failed
	keysMaxStale = 24 * time.Hour         // how long a key set that cannot be fetched again stays valid
	keysInterval = 10 * time.Second       // between two fetches for unknown kids, and between two failed ones
	keysFirst    = 250 * time.Millisecond // between two failed fetches before there is any set
	keysTimeout  = 5 * time.Second
	maxKeys      = 32
	maxDocument  = 64 << 10 // limit in bytes for metadata, key set and token response
)

// errUnknownKey says that the issuer does not publish the kid.
var errUnknownKey = errors.New("kid is unknown")

// publicKey is a key with its algorithm (RFC 7518, RFC 8037).
type publicKey struct {
	algorithm string
	key       crypto.PublicKey
}

// keySet fetches the issuer's key set (RFC 7517) and caches it. A cached kid is answered without waiting, however many
// unknown kids are requested at the same time; only after a long time without requests does the first one wait for a
// fetch. A request for an unknown kid waits for a fetch that is in progress.
type keySet struct {
	config Config

	mu       sync.Mutex
	keys     map[string]publicKey
	fetched  time.Time     // when the cached set was fetched
	maxAge   time.Duration // how long the cached set is fresh
	tried    time.Time     // when the last fetch started
	lastFail error         // error of the last fetch
	flight   chan struct{} // closed when the current fetch has ended; nil if none is running
}

func newKeySet(c Config) *keySet { return &keySet{config: c} }

// find returns the key of kid. errUnknownKey means that there is none. Any other error means that it could not be
// determined.
func (s *keySet) find(ctx context.Context, kid string) (publicKey, error) {
	key, known, flight, err := s.look(ctx, kid)
	if known || err != nil {
		return key, err
	}
	select {
	case <-flight:
	case <-ctx.Done():
		return publicKey{}, fmt.Errorf("wait for the key set: %w", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.usable(s.config.Now()) {
		return publicKey{}, s.failure()
	}
	if key, known = s.keys[kid]; !known {
		return publicKey{}, errUnknownKey
	}
	return key, nil
}

// look answers from the cache, or returns the fetch to wait for.
func (s *keySet) look(ctx context.Context, kid string) (key publicKey, known bool, flight chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	usable := s.usable(now)
	key, known = s.keys[kid]
	known = known && usable
	if age := now.Sub(s.fetched); known && age >= 0 && age < s.maxAge {
		return key, true, nil, nil
	}
	if s.flight == nil {
		interval := keysInterval
		if s.keys == nil {
			interval = keysFirst
		}
		switch since := now.Sub(s.tried); {
		case since < 0, since >= interval:
			s.startFetch(ctx, now)
		case known:
		case usable:
			return key, false, nil, errUnknownKey
		default:
			return key, false, nil, s.failure()
		}
	}
	// After a long time without requests the caller waits for the fetch, because the cached set may still contain a key
	// that was revoked in the meantime.
	idle := s.lastFail == nil && now.Sub(s.fetched) >= keysIdle*s.maxAge
	return key, known && (!idle || s.flight == nil), s.flight, nil
}

// usable reports whether the cached set is still valid. The caller holds the lock.
func (s *keySet) usable(now time.Time) bool {
	return s.keys != nil && now.Sub(s.fetched) < keysMaxStale
}

// failure returns why there is no valid key set; it is never nil. The caller holds the lock.
func (s *keySet) failure() error {
	if s.lastFail == nil {
		return errors.New("no key set is held")
	}
	return s.lastFail
}

// ready fetches the key set if there is no valid one, and returns an error if there is none afterwards.
func (s *keySet) ready(ctx context.Context) error {
	s.mu.Lock()
	usable := s.usable(s.config.Now())
	s.mu.Unlock()
	if usable {
		return nil
	}
	if _, err := s.find(ctx, ""); !errors.Is(err, errUnknownKey) {
		return err
	}
	return nil
}

// renew fetches the key set again if there is one, and returns when that is done. It does not rely on a fetch that was
// already running, whose response may be older. Keys that are no longer in the set verify nothing from then on.
func (s *keySet) renew(ctx context.Context) error {
	for own := false; ; {
		s.mu.Lock()
		if s.keys == nil && s.flight == nil {
			s.mu.Unlock()
			return nil // the first fetch has not started yet
		}
		if own && s.flight == nil {
			defer s.mu.Unlock()
			return s.lastFail
		}
		if s.flight == nil {
			own = true
			s.startFetch(ctx, s.config.Now())
		}
		flight := s.flight
		s.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return fmt.Errorf("wait for the key set: %w", ctx.Err())
		}
	}
}

// startFetch starts the fetch that all callers share. It continues if a caller gives up. The caller holds the lock.
func (s *keySet) startFetch(ctx context.Context, now time.Time) {
	done := make(chan struct{})
	s.flight, s.tried = done, now
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
		defer cancel()
		keys, maxAge, err := s.fetch(ctx)
		if err != nil {
			s.config.Log.WarnContext(ctx, "the keys that verify tokens can't be fetched", "error", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.lastFail = err; err == nil {
			s.keys, s.fetched, s.maxAge = keys, now, maxAge
		}
		s.flight = nil
		close(done)
	}()
}

func (s *keySet) fetch(ctx context.Context) (map[string]publicKey, time.Duration, error) {
	address := s.config.JWKSURL
	if address == "" {
		m, err := readMetadata(ctx, s.config)
		if err != nil {
			return nil, 0, err
		}
		address = m.JWKSURL
	}
	raw, header, err := get(ctx, s.config.Client, address)
	if err != nil {
		return nil, 0, fmt.Errorf("fetch the key set: %w", err)
	}
	keys, err := decodeKeySet(raw)
	return keys, setAge(header.Get("Cache-Control")), err
}

// setAge returns how long a key set with this Cache-Control (RFC 9111, section 5.2.2.1) is fresh: its max-age, at most
// keysMaxAge, and at least keysInterval, so that no response makes every request fetch.
func setAge(cacheControl string) time.Duration {
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
			return min(max(time.Duration(seconds)*time.Second, keysInterval), keysMaxAge)
		}
	}
	return keysMaxAge
}

// metadata is the part of the issuer's metadata that is used (RFC 8414, section 2).
type metadata struct {
	Issuer   string `json:"issuer"`
	JWKSURL  string `json:"jwks_uri"`
	TokenURL string `json:"token_endpoint"`
}

// readMetadata fetches the issuer's metadata. It refuses a document of another issuer (RFC 8414, section 3.3).
func readMetadata(ctx context.Context, c Config) (metadata, error) {
	address := c.MetadataURL
	if address == "" {
		address = metadataURL(c.Issuer)
	}
	raw, _, err := get(ctx, c.Client, address)
	if err != nil {
		return metadata{}, fmt.Errorf("fetch the issuer's metadata: %w", err)
	}
	var m metadata
	if json.Unmarshal(raw, &m) != nil || m.Issuer != c.Issuer {
		return metadata{}, errors.New("fetch the issuer's metadata: it is not that of this issuer")
	}
	if !isHTTP(m.JWKSURL) || !isHTTP(m.TokenURL) {
		return metadata{}, errors.New("fetch the issuer's metadata: jwks_uri or token_endpoint is missing")
	}
	return m, nil
}

// get reads a document of limited size.
func get(ctx context.Context, client *http.Client, address string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("status %d", res.StatusCode)
	}
	raw, err := readBounded(res.Body, maxDocument)
	return raw, res.Header, err
}

func readBounded(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, errors.New("the answer is too large")
	}
	return raw, nil
}

// jwk is a published key (RFC 7517, section 4).
type jwk struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	KeyID     string `json:"kid"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// decodeKeySet returns the keys that can verify FountainAI tokens. Keys of other algorithms are ignored, so that new
// ones can be introduced.
func decodeKeySet(raw []byte) (map[string]publicKey, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, errors.New("fetch the key set: not a JWK set")
	}
	if len(set.Keys) > maxKeys {
		return nil, errors.New("fetch the key set: too many keys")
	}
	keys := make(map[string]publicKey, len(set.Keys))
	for _, k := range set.Keys {
		if k.KeyID == "" || k.Use != "" && k.Use != "sig" {
			continue
		}
		if key, ok := k.publicKey(); ok {
			keys[k.KeyID] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("fetch the key set: no usable key")
	}
	return keys, nil
}

func (k jwk) publicKey() (publicKey, bool) {
	x, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
	if err != nil {
		return publicKey{}, false
	}
	switch {
	case k.Type == "OKP" && k.Curve == "Ed25519" && k.Algorithm == "EdDSA" && len(x) == ed25519.PublicKeySize:
		return publicKey{"EdDSA", ed25519.PublicKey(x)}, true
	case k.Type == "EC" && k.Curve == "P-256" && k.Algorithm == "ES256" && len(x) == 32:
		y, err := base64.RawURLEncoding.Strict().DecodeString(k.Y)
		if err != nil || len(y) != 32 {
			return publicKey{}, false
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil { // not a point of the curve
			return publicKey{}, false
		}
		return publicKey{"ES256", key}, true
	}
	return publicKey{}, false
}
