package verify

import (
	"context"
	"crypto"
	"sync"
	"time"
)

// Limits of the cache of verified tokens. A token has about 600 bytes.
const (
	maxKnown      = 4096
	maxKnownBytes = 4 << 20
)

// known is a cache of fully verified tokens, so that the signature of each is checked once. The key is the whole token:
// no other text matches an entry. Only verified tokens are added, so nobody can fill the cache without the issuer's
// signature.
type known struct {
	mu      sync.RWMutex
	entries map[string]*verified
	bytes   int
}

// verified is the result of the verification of a token.
type verified struct {
	principal *Principal
	kid       string
	key       crypto.PublicKey
	notBefore time.Time
}

func (k *known) get(token string) *verified {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.entries[token]
}

// put adds an entry. If the cache is full, it evicts arbitrary other entries.
func (k *known) put(token string, v *verified) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.entries == nil {
		k.entries = map[string]*verified{}
	}
	if k.entries[token] == nil {
		k.bytes += len(token)
	}
	k.entries[token] = v
	for other := range k.entries {
		if len(k.entries) <= maxKnown && k.bytes <= maxKnownBytes {
			return
		}
		if other != token {
			k.remove(other)
		}
	}
}

func (k *known) drop(token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.remove(token)
}

// remove deletes an entry. The caller holds the lock.
func (k *known) remove(token string) {
	if k.entries[token] != nil {
		delete(k.entries, token)
		k.bytes -= len(token)
	}
}

// again returns the principal and the kid of a token that was verified before, or nil if the token must be verified in
// full. It checks again what can have changed: the validity period and the key. The caller checks for revocation.
func (v *Verifier) again(ctx context.Context, token string) (*Principal, string) {
	have := v.known.get(token)
	if have == nil {
		return nil, ""
	}
	now := v.config.Now()
	if !now.Before(have.principal.Expires.Add(leeway)) || now.Before(have.notBefore.Add(-leeway)) {
		v.known.drop(token)
		return nil, ""
	}
	key, err := v.keys.find(ctx, have.kid)
	same, ok := key.key.(interface{ Equal(x crypto.PublicKey) bool })
	if err != nil || !ok || !same.Equal(have.key) {
		v.known.drop(token)
		return nil, ""
	}
	p := *have.principal // a copy, because the caller may change it
	return &p, have.kid
}
