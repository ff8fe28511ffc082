package deliverytest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// TwilioSID is the account of the stand-in.
const TwilioSID = "AC0123456789abcdef0123456789abcdef"

// TwilioToken is the account's auth token.
const TwilioToken = "twilio-token-of-the-test"

// Twilio is a stand-in for Twilio's REST API.
type Twilio struct {
	*httptest.Server
	mu       sync.Mutex
	messages []url.Values
	answer   func(w http.ResponseWriter, r *http.Request) bool
}

// NewTwilio starts a stand-in that ends with the test.
func NewTwilio(t testing.TB) *Twilio {
	s := &Twilio{}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

// Answer makes f answer the requests. When f returns false, the message is also accepted. With nil all messages are accepted.
func (s *Twilio) Answer(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

// Messages returns the messages that were accepted.
func (s *Twilio) Messages() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values(nil), s.messages...)
}

func (s *Twilio) serve(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	if user != TwilioSID || password != TwilioToken || r.URL.Path != "/2010-04-01/Accounts/"+TwilioSID+"/Messages.json" || r.ParseForm() != nil {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"code": 20003, "message": "Authenticate", "status": 401}`)
		return
	}
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	s.mu.Lock()
	s.messages = append(s.messages, r.PostForm)
	n := len(s.messages)
	s.mu.Unlock()
	if answer != nil {
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"sid": "SM%032x", "status": "queued"}`, n)
}

// Refuse returns a function for Answer that answers with a status and an error code of Twilio.
func Refuse(status, code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"code": %d, "message": "no", "status": %d}`, code, status)
		return true
	}
}
