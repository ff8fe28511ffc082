// Package revocation knows which access tokens the kms has revoked before they expired: a Set holds the revocations, and a Follower keeps one up to
// date with the kms's feed (listRevocations).
package revocation

import (
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/auth"
)

// Kinds of entries. A Set ignores kinds of later releases.
const (
	Token   = "token"   // one access token, by its jti
	Session = "session" // every token of a session, by its sid
	Key     = "key"     // every token that was issued for an API key, by their client_id
	Owner   = "owner"   // every token of a user or service with a lower epoch than the entry's, by their sub
	Factors = "factors" // every second factor that a user enrolled before the entry; for the twofactor service, with a signed Record

	// SigningKey revokes every token that a key of the kms has signed, by its kid.
	SigningKey = "signing-key"

	// Contract reports that the contract of an adopted service has changed, or whether the service is active, by the service's name. It revokes
	// nothing.
	Contract = "contract"
)

// Entry is one entry of the feed.
type Entry struct {
	Position int64     `json:"position"` // in the feed; later entries have higher ones
	Kind     string    `json:"kind"`
	ID       string    `json:"id"`
	Epoch    int64     `json:"epoch,omitempty"` // of Owner
	At       time.Time `json:"at"`
	Until    time.Time `json:"until"`            // the latest expiry of tokens that the entry revokes
	Record   string    `json:"record,omitempty"` // of Factors: parsed by auth.VerifyVoid
}

// Set holds revocations. It is safe for concurrent use. Its memory is bounded by the number of revocations within a token's lifetime: about 200 bytes
// per entry.
type Set struct {
	mu     sync.RWMutex
	ended  map[string]map[string]time.Time // kind -> id -> until
	owners map[string]ownerEnd
}

type ownerEnd struct {
	epoch int64 // tokens with a lower epoch are revoked
	until time.Time
}

// NewSet returns an empty set.
func NewSet() *Set {
	s := &Set{}
	s.Reset()
	return s
}

// Reset removes all entries.
func (s *Set) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = map[string]map[string]time.Time{Token: {}, Session: {}, Key: {}, SigningKey: {}}
	s.owners = map[string]ownerEnd{}
}

// Add adds entries, in any order; repeats have no effect.
func (s *Set) Add(entries ...Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		if e.Kind == Owner {
			if known := s.owners[e.ID]; e.Epoch >= known.epoch {
				s.owners[e.ID] = ownerEnd{e.Epoch, e.Until}
			}
			continue
		}
		if ids := s.ended[e.Kind]; ids != nil && e.Until.After(ids[e.ID]) {
			ids[e.ID] = e.Until
		}
	}
}

// Ended reports whether the principal's token was revoked.
func (s *Set) Ended(p *auth.Principal) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if end, known := s.owners[p.Subject]; known && p.Epoch < end.epoch {
		return true
	}
	if _, signer := s.ended[SigningKey][p.KeyID]; signer {
		return true
	}
	_, key := s.ended[Key][p.ClientID]
	_, token := s.ended[Token][p.TokenID]
	if key || token || p.SessionID == "" {
		return key || token
	}
	_, session := s.ended[Session][p.SessionID]
	return session
}

// endedKey reports whether a signing key of the kms was revoked, by its kid.
func (s *Set) endedKey(kid string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ended := s.ended[SigningKey][kid]
	return ended
}

// Sweep removes entries whose tokens have all expired.
func (s *Set) Sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ids := range s.ended {
		for id, until := range ids {
			if now.After(until) {
				delete(ids, id)
			}
		}
	}
	for id, end := range s.owners {
		if now.After(end.until) {
			delete(s.owners, id)
		}
	}
}

// Len returns the number of entries.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := len(s.owners)
	for _, ids := range s.ended {
		n += len(ids)
	}
	return n
}
