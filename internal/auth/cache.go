package auth

import (
	"context"
	"crypto"
	"errors"
	"sync"
	"time"
)

// Bounds of the cache of verified tokens. A token of this family has about 600 bytes, so the limit of entries is reached before the limit of bytes.
const (
	cacheShards       = 64
	cacheShardEntries = 1024      // 65,536 in all
	cacheShardBytes   = 512 << 10 // of tokens: 32 MiB in all
)

// verified is the result of the full verification of one token. It is immutable.
type verified struct {
	principal         *Principal
	issuer, kid       string
	key               crypto.PublicKey
	notBefore, expiry time.Time
}

// cache keeps verified tokens, so that a token's signature is checked once and not at every request. The key is the whole text of the token: Go's
// maps use a random hash seed and compare keys in full, so another text cannot match an entry. Only verified tokens are added, so the cache cannot be
// filled without the kms's signature.
type cache struct{ shards [cacheShards]cacheShard }

type cacheShard struct {
	mu      sync.RWMutex
	entries map[string]*verified
	bytes   int
}

// shard selects a shard by one character of the signature. The choice need not be secret: it only spreads tokens and decides nothing.
func (c *cache) shard(token string) *cacheShard {
	if len(token) < 3 {
		return &c.shards[0]
	}
	return &c.shards[(token[len(token)-2]^token[len(token)-3]<<1)%cacheShards]
}

func (c *cache) get(token string) *verified {
	s := c.shard(token)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entries[token]
}

// put adds an entry. When the shard is full, entries are evicted in the map's iteration order.
func (c *cache) put(token string, v *verified) {
	s := c.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = map[string]*verified{}
	}
	if _, there := s.entries[token]; !there {
		s.bytes += len(token)
	}
	s.entries[token] = v
	for other := range s.entries {
		if len(s.entries) <= cacheShardEntries && s.bytes <= cacheShardBytes {
			return
		}
		if other != token {
			s.remove(other)
		}
	}
}

func (c *cache) drop(token string) {
	s := c.shard(token)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(token)
}

func (s *cacheShard) remove(token string) {
	if _, there := s.entries[token]; there {
		delete(s.entries, token)
		s.bytes -= len(token)
	}
}

// cached returns the principal of a token that was verified before, or nil when the token must be verified in full. It checks again what can have
// changed since: the time, the key set, the issuer and the audience.
func (v *Verifier) cached(ctx context.Context, token, audience string) *Principal {
	known := v.cache.get(token)
	if known == nil {
		return nil
	}
	now := v.config.Clock.Now()
	if !now.Before(known.expiry.Add(Leeway)) || now.Before(known.notBefore.Add(-Leeway)) {
		v.cache.drop(token)
		return nil
	}
	_, key, err := v.config.Keys.Key(ctx, known.kid)
	if err != nil || !sameKey(key, known.key) {
		if errors.Is(err, ErrUnknownKey) {
			v.cache.drop(token)
		}
		return nil
	}
	if known.issuer != v.config.Issuer() || !known.principal.hasAudience(audience) {
		return nil
	}
	return known.principal
}

func sameKey(a, b crypto.PublicKey) bool {
	comparable, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}
