package httpclient

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// avoidFor is for how long an instance that was unreachable, not ready or broke the connection is avoided: it is called only when no other is left, or
// by a single call that probes it.
const avoidFor = 2 * time.Second

// Spread returns a transport for services with several instances: each list has the addresses of one service, which differ only in scheme and host. A
// call to any of them goes to the least busy instance, and on to the next by the gateway's rules: any call when nothing was done (no connection, or
// 503 not_ready), and once after a connection that broke before an answer, provided that the call may be repeated. Calls to other hosts are not
// changed.
func Spread(next http.RoundTripper, lists ...[]*url.URL) http.RoundTripper {
	s := &spread{next: next, groups: map[string]*group{}}
	for _, list := range lists {
		if len(list) < 2 {
			continue
		}
		g := &group{}
		for _, u := range list {
			g.instances = append(g.instances, &instance{scheme: u.Scheme, host: u.Host})
			s.groups[u.Host] = g
		}
	}
	return s
}

// MayRepeat marks a call that may be repeated although its method does not say so.
func MayRepeat(r *http.Request) {
	r.Header["X-Idempotency-Key"] = []string{} // net/http's own mark, which is not sent
}

type spread struct {
	next   http.RoundTripper
	groups map[string]*group // by host
}

// group is the set of instances of one service.
type group struct {
	mu        sync.Mutex
	instances []*instance
}

type instance struct {
	scheme, host string

	// Guarded by group.mu.
	pending int
	away    time.Time // avoided until then; zero: it is reachable
}

// RoundTrip implements http.RoundTripper.
func (s *spread) RoundTrip(r *http.Request) (*http.Response, error) {
	g := s.groups[r.URL.Host]
	if g == nil {
		return s.next.RoundTrip(r)
	}
	tried := map[*instance]bool{}
	for broke := false; ; {
		i := g.pick(tried)
		tried[i] = true
		out, err := i.request(r, len(tried) > 1)
		if err != nil {
			return nil, err
		}
		res, err := s.next.RoundTrip(out)
		if r.Context().Err() != nil {
			g.left(i, unknown)
			return res, err
		}
		elsewhere := notExecuted(res, err)
		switch {
		case elsewhere:
			g.left(i, away)
		case err != nil:
			g.left(i, away)
			elsewhere, broke = !broke && repeatable(r), true
		default:
			g.left(i, there)
		}
		if !elsewhere || len(tried) == len(g.instances) || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
			return res, err
		}
		if res != nil {
			_ = res.Body.Close() // the body was read
		}
	}
}

// request returns the call addressed to this instance.
func (i *instance) request(r *http.Request, again bool) (*http.Request, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.Host = i.scheme, i.host, i.host
	if again && r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	return out, nil
}

// pick returns the least busy instance that was not tried and is not avoided, or else the one that was avoided for the longest.
func (g *group) pick(tried map[*instance]bool) *instance {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	var best *instance
	better := func(i *instance) bool {
		here, there := now.Before(i.away), best != nil && now.Before(best.away)
		switch {
		case best == nil || here != there:
			return best == nil || there
		case here:
			return i.away.Before(best.away)
		}
		return i.pending < best.pending
	}
	from := rand.IntN(len(g.instances))
	for n := range g.instances {
		if i := g.instances[(from+n)%len(g.instances)]; !tried[i] && better(i) {
			best = i
		}
	}
	if !best.away.IsZero() {
		best.away = now.Add(avoidFor) // this call probes the instance; others do not wait for it
	}
	best.pending++
	return best
}

// found is what a call has shown about its instance.
type found int

const (
	unknown found = iota
	there
	away
)

// left records the end of a call.
func (g *group) left(i *instance, f found) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i.pending--
	switch f {
	case there:
		i.away = time.Time{}
	case away:
		i.away = time.Now().Add(avoidFor)
	}
}

// repeatable reports whether a call is idempotent (RFC 9110, section 9.2.2) or marked with MayRepeat.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	_, key := r.Header["Idempotency-Key"]
	_, marked := r.Header["X-Idempotency-Key"]
	return key || marked
}
