package verify

import (
	"context"
	"crypto"
	"sync"
	"time"
)

// The bounds of the tokens that are kept: one has about 600 bytes.
const (
	maxKnown      = 4096
	maxKnownBytes = 4 << 20
)

// known are tokens that were verified in full, so that the signature of each is checked once. The key is the whole text: no other text finds an entry. Only
// verified tokens are put in, so nobody fills it without the issuer's signature.
type known struct {
	mu      sync.RWMutex
	entries map[string]*verified
	bytes   int
}

// verified is what was found out about a token.
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

// put keeps an entry; where there is no room, others make place, whichever the map names first.
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

// remove is called with the lock.
func (k *known) remove(token string) {
	if k.entries[token] != nil {
		delete(k.entries, token)
		k.bytes -= len(token)
	}
}

// again returns the principal of a token that was verified before, and the kid; nil when it must be verified in full. What can have changed since is looked at again:
// the time, and the key. Whether the token has ended is looked at by the caller.
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
	p := *have.principal // a caller may change its own
	return &p, have.kid
}
