package session

import (
	"maps"
	"time"
)

// Raised keeps the raised tokens of a file's session in the file. It is a fountain.RaisedTokens. What can't be kept is asked for again.
func (f *File) Raised() RaisedStore { return RaisedStore{f} }

// RaisedStore is what Raised returns.
type RaisedStore struct{ file *File }

// Load returns the token that was kept for a service, and its end.
func (r RaisedStore) Load(audience string) (token string, expires time.Time) {
	kept, err := r.file.Load()
	if err != nil {
		return "", time.Time{}
	}
	raised := kept.Raised[audience]
	return raised.Token, raised.Expires
}

// Keep keeps a token, and removes those that have ended.
func (r RaisedStore) Keep(audience, token string, expires time.Time) {
	_ = r.file.locked(func() error { // a code is asked for again then
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
