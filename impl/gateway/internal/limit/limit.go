// Package limit counts requests against the contract's rate policies, in memory, by the generic cell rate algorithm: a
// key's whole state is the one time until which it has used up its allowance.
package limit

import (
	"fmt"
	"hash/maphash"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	shards = 64
	// maxKeys bounds one shard. A full shard forgets its keys that have their whole allowance back; if there are none, new
	// keys share one common key, so that a flood of keys is limited as one and costs no more memory.
	maxKeys = 8192
)

// Limiter counts. It is safe for concurrent use.
type Limiter struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu    sync.Mutex
	used  map[string]time.Time // the theoretical arrival time of GCRA
	swept time.Time            // when forget last looked through the keys
	last  time.Time            // of the latest request
}

// New returns an empty limiter.
func New() *Limiter {
	l := &Limiter{seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].used = make(map[string]time.Time)
	}
	return l
}

// Verdict says how a request stands against one policy.
type Verdict struct {
	Policy    contract.Rate
	Allowed   bool
	Remaining int           // requests that would be allowed right now
	Reset     time.Duration // until the whole allowance is back
	Retry     time.Duration // until one more request is allowed; 0 when one is
}

// Take counts one request of key against a policy.
func (l *Limiter) Take(p contract.Rate, key string, now time.Time) Verdict {
	full := p.Name + "\x00" + key
	s := &l.shards[maphash.String(l.seed, full)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follow(now)
	used, known := s.used[full]
	if !known && len(s.used) >= maxKeys && !s.forget(now) {
		full = p.Name + "\x00"
		used = s.used[full]
	}
	if used.Before(now) {
		used = now
	}
	interval := interval(p)
	burst := interval * time.Duration(burst(p))
	next := used.Add(interval * time.Duration(p.Cost))
	v := Verdict{Policy: p}
	if wait := next.Sub(now) - burst; wait > 0 {
		v.Retry, v.Reset = wait, used.Sub(now)
		return v
	}
	s.used[full] = next
	v.Allowed = true
	v.Remaining = int((burst - next.Sub(now)) / (interval * time.Duration(max(p.Cost, 1))))
	v.Reset = next.Sub(now)
	return v
}

// interval is how long one unit takes to come back.
func interval(p contract.Rate) time.Duration { return p.Window / time.Duration(p.Quota) }

// burst is how many units there are at once.
func burst(p contract.Rate) int { return max(p.Burst, p.Cost, 1) }

// jitter is how far apart the times of requests may be that overtake each other; what goes back further is a clock that was set.
const jitter = time.Second

// follow moves all marks back with a clock that was set back: time ran on meanwhile, and no key waits for the hour to come again.
func (s *shard) follow(now time.Time) {
	back := s.last.Sub(now)
	if back > jitter {
		for key, used := range s.used {
			s.used[key] = used.Add(-back)
		}
		s.swept = s.swept.Add(-back)
	}
	if back < 0 || back > jitter {
		s.last = now
	}
}

// forget drops the keys whose whole allowance is back and reports whether there were any. It looks at most once a second, so
// that a flood of keys does not buy a walk over the shard with each of them.
func (s *shard) forget(now time.Time) bool {
	if now.Sub(s.swept) < time.Second {
		return false
	}
	s.swept = now
	before := len(s.used)
	for key, used := range s.used {
		if !used.After(now) {
			delete(s.used, key)
		}
	}
	return len(s.used) < before
}

// Headers returns the RateLimit and RateLimit-Policy fields (draft-ietf-httpapi-ratelimit-headers) of the verdicts. The quota told is the
// burst, which is all that a caller can ever have at once, and the window is how long it takes to come back whole.
func Headers(verdicts []Verdict) (rateLimit, policy string) {
	var limits, policies []string
	for _, v := range verdicts {
		limits = append(limits, fmt.Sprintf("%q;r=%d;t=%d", v.Policy.Name, v.Remaining, seconds(v.Reset)))
		policies = append(policies, fmt.Sprintf("%q;q=%d;w=%d", v.Policy.Name, burst(v.Policy), seconds(interval(v.Policy)*time.Duration(burst(v.Policy)))))
	}
	return strings.Join(limits, ", "), strings.Join(policies, ", ")
}

// Refusal is the problem of a verdict that does not allow the request.
func Refusal(verdicts []Verdict, refused Verdict) error {
	rateLimit, policy := Headers(verdicts)
	p := refused.Policy
	detail := fmt.Sprintf("Too many requests %s: the limit %q allows %d at once, and %d in %s.", counted[p.Key], p.Name, burst(p)/max(p.Cost, 1), p.Quota/max(p.Cost, 1), p.Window)
	if p.Key == "ip" {
		detail += " All who come through one proxy count as one address, unless the gateway trusts that proxy."
	}
	return problem.New(problem.RateLimited, detail).
		WithHeader("RateLimit", rateLimit).WithHeader("RateLimit-Policy", policy).WithRetryAfter(refused.Retry)
}

// counted says of each key whose requests are counted.
var counted = map[string]string{"ip": "from this address", "sub": "of this caller", "client": "of this client", "operation": "of this operation"}

func seconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
