package main

import (
	"crypto/rand"
	"net/http"
	"sync"
	"time"
)

// Names of the cookies. An app that is served over https adds the prefix __Host- and Secure.
const (
	beginning = "webapp_signing_in"
	session   = "webapp_session"
)

const (
	signInLife  = 10 * time.Minute
	sessionLife = 8 * time.Hour
	most        = 10_000 // of each kind, so that strangers cannot fill the memory
)

// pending is a sign-in that has started.
type pending struct{ State, Nonce, Verifier string }

type kept[T any] struct {
	what  T
	until time.Time
}

// sessions holds the sessions in the app's memory. A browser has only their random names.
type sessions struct {
	mu      sync.Mutex
	pending map[string]kept[pending]
	people  map[string]kept[person]
}

func newSessions() *sessions {
	return &sessions{pending: map[string]kept[pending]{}, people: map[string]kept[person]{}}
}

// put stores a value and sets the browser's cookie to its random name.
func put[T any](w http.ResponseWriter, in map[string]kept[T], cookie string, what T, life time.Duration) {
	now := time.Now()
	for name, one := range in {
		if now.After(one.until) || len(in) >= most {
			delete(in, name)
		}
	}
	name := rand.Text()
	in[name] = kept[T]{what, now.Add(life)}
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: name, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(life / time.Second)})
}

func get[T any](r *http.Request, in map[string]kept[T], cookie string) (what T, name string, ok bool) {
	c, err := r.Cookie(cookie)
	if err != nil {
		return what, "", false
	}
	one, ok := in[c.Value]
	if !ok || time.Now().After(one.until) {
		return what, "", false
	}
	return one.what, c.Value, true
}

func (s *sessions) begin(w http.ResponseWriter, p pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	put(w, s.pending, beginning, p, signInLife)
}

// take returns the sign-in that the browser has started. It works once.
func (s *sessions) take(r *http.Request) (pending, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, name, ok := get(r, s.pending, beginning)
	delete(s.pending, name)
	return p, ok
}

func (s *sessions) enter(w http.ResponseWriter, p person) {
	s.mu.Lock()
	defer s.mu.Unlock()
	put(w, s.people, session, p, sessionLife)
}

func (s *sessions) person(r *http.Request) person {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _, _ := get(r, s.people, session)
	return p
}

func (s *sessions) end(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, name, _ := get(r, s.people, session)
	delete(s.people, name)
	http.SetCookie(w, &http.Cookie{Name: session, Path: "/", HttpOnly: true, MaxAge: -1})
}
