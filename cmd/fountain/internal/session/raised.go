package session

import (
	"maps"
	"time"
)

// Raised returns a fountain.RaisedTokens that stores raised tokens in the session's file. If a token cannot be stored,
// another code is needed later.
func (f *File) Raised() RaisedStore { return RaisedStore{f} }

// RaisedStore is the type that Raised returns.
type RaisedStore struct{ file *File }

// Load returns the stored token for a service, and its expiry.
func (r RaisedStore) Load(audience string) (token string, expires time.Time) {
	kept, err := r.file.Load()
	if err != nil {
		return "", time.Time{}
	}
	raised := kept.Raised[audience]
	return raised.Token, raised.Expires
}

// Keep stores a token and removes expired ones.
func (r RaisedStore) Keep(audience, token string, expires time.Time) {
	_ = r.file.locked(func() error { // on failure another code is needed later
		kept, err := r.file.Load()
		if err != nil {
			return err
		}
		if kept.Raised == nil {
			kept.Raised = map[string]Raised{}
		}
		maps.DeleteFunc(kept.Raised, func(_ string, one Raised) bool { return !time.Now().Before(one.Expires) })
		kept.Raised[audience] = Raised{token, expires}
		return r.file.Save(kept)
	})
}
