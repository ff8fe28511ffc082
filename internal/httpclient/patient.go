package httpclient

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// patience is for how long after the other service became unreachable calls wait for it: a restart takes less.
	patience = 5 * time.Second
	// pause is the time between two attempts.
	pause = 100 * time.Millisecond
	// mostWaiting bounds the number of waiting calls.
	mostWaiting = 1024
	// mostRefusal is how much of an answer is read to recognize the problem not_ready, in bytes.
	mostRefusal = 4 << 10
)

// Patient returns a client that waits while the one service that it calls is restarted, as the gateway does: a call that could not connect, or that
// was refused before anything was done (503 not_ready), is repeated, whatever its method. The time counts from the moment when the service became
// unreachable, so that calls fail at once when it stays away. The client's timeout and the context bound the wait, too.
func Patient(c *http.Client) *http.Client {
	out := *c
	next := c.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	out.Transport = &patient{next: next}
	return &out
}

type patient struct {
	next http.RoundTripper

	mu      sync.Mutex
	since   time.Time // since when the service is unreachable; zero: it is reachable
	waiting int
}

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		res, err := p.next.RoundTrip(r)
		if !notExecuted(res, err) {
			p.found()
			return res, err
		}
		if r.Body != nil && r.Body != http.NoBody && r.GetBody == nil || !p.wait(r) {
			return res, err
		}
		if res != nil {
			_ = res.Body.Close() // the body was read
		}
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.Body = body
		}
	}
}

func (p *patient) found() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Time{}
}

// wait waits before the next attempt. It returns false when there is none.
func (p *patient) wait(r *http.Request) bool {
	p.mu.Lock()
	if p.since.IsZero() {
		p.since = time.Now()
	}
	if time.Since(p.since) >= patience || p.waiting >= mostWaiting {
		p.mu.Unlock()
		return false
	}
	p.waiting++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.waiting--
	}()
	select {
	case <-time.After(pause):
		return true
	case <-r.Context().Done():
		return false
	}
}

// notExecuted reports whether the request certainly had no effect, at a service that may soon be back.
func notExecuted(res *http.Response, err error) bool {
	var op *net.OpError
	if err != nil {
		return errors.As(err, &op) && op.Op == "dial"
	}
	if res.StatusCode != http.StatusServiceUnavailable || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/problem+json") {
		return false
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, mostRefusal))
	res.Body = &readAgain{io.MultiReader(bytes.NewReader(text), res.Body), res.Body}
	var problem struct {
		Code string `json:"code"`
	}
	return err == nil && json.Unmarshal(text, &problem) == nil && problem.Code == "not_ready"
}

// readAgain is a body whose beginning was already read.
type readAgain struct {
	io.Reader
	io.Closer
}
