// Package revocation knows which access tokens the kms has ended before their time: a Set holds what was ended, a Follower keeps one up to
// date by the kms's feed (listRevocations).
package revocation

import (
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/auth"
)

// The kinds of entries. What a Set does not know of a later release it passes over.
const (
	Token   = "token"   // one access token, by its jti
	Session = "session" // every token of a session, by its sid
	Key     = "key"     // every token that was issued for an API key, by their client_id
	Owner   = "owner"   // every token of a user or service of a lower epoch than the entry's, by their sub
	Factors = "factors" // every second factor that a user enrolled before the entry; for the twofactor service, with a signed Record

	// SigningKey ends every token that a key of the kms has signed, by its kid.
	SigningKey = "signing-key"

	// Contract says that the contract of an adopted service, by the service's name, or whether the service is active, has changed. It ends nothing.
	Contract = "contract"
)

// Entry says that something was ended.
type Entry struct {
	Position int64     `json:"position"` // in the feed; later endings have higher ones
	Kind     string    `json:"kind"`
	ID       string    `json:"id"`
	Epoch    int64     `json:"epoch,omitempty"` // of Owner
	At       time.Time `json:"at"`
	Until    time.Time `json:"until"`            // after that no token can exist that the entry ends
	Record   string    `json:"record,omitempty"` // of Factors: what auth.VerifyVoid reads
}

// Set is what was ended. It is safe for concurrent use. Its memory is bounded by what is ended within the time that a token lives: about
// 200 bytes an entry.
type Set struct {
	mu     sync.RWMutex
	ended  map[string]map[string]time.Time // kind -> id -> until
	owners map[string]ownerEnd
}

type ownerEnd struct {
	epoch int64 // tokens below it have ended
	until time.Time
}

// NewSet returns an empty set.
func NewSet() *Set {
	s := &Set{}
	s.Reset()
	return s
}

// Reset forgets everything.
func (s *Set) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = map[string]map[string]time.Time{Token: {}, Session: {}, Key: {}, SigningKey: {}}
	s.owners = map[string]ownerEnd{}
}

// Add takes entries in, in any order and any number of times.
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

// Ended reports whether the principal's token was ended.
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

// endedKey reports whether a key of the kms was ended, by its kid.
func (s *Set) endedKey(kid string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ended := s.ended[SigningKey][kid]
	return ended
}

// Sweep forgets entries that end nothing any more.
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
