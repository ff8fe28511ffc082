package writer

import "sync"

// Followers are told when something has changed in the scope that they follow. The zero value is ready.
type Followers struct {
	mu     sync.Mutex
	scopes map[string]*scopeSignal
}

type scopeSignal struct {
	changed   chan struct{} // closed at the next change
	followers int
}

// Follow returns a channel that is closed at the next change in the scope; done ends the interest in it. Who follows first and reads then misses
// nothing of this process.
func (f *Followers) Follow(scope string) (changed <-chan struct{}, done func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.scopes == nil {
		f.scopes = map[string]*scopeSignal{}
	}
	s := f.scopes[scope]
	if s == nil {
		s = &scopeSignal{changed: make(chan struct{})}
		f.scopes[scope] = s
	}
	s.followers++
	return s.changed, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if s.followers--; s.followers == 0 && f.scopes[scope] == s {
			delete(f.scopes, scope)
		}
	}
}

// Changed wakes those who follow the scope.
func (f *Followers) Changed(scope string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.scopes[scope]; s != nil {
		close(s.changed)
		delete(f.scopes, scope)
	}
}
