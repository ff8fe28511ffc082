package limit

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/ratelimit"
)

// Steps are the gateway's rate-limiting stations, which share one limiter.
type Steps struct {
	limiter *ratelimit.Limiter
}

// NewSteps returns the steps.
func NewSteps(l *ratelimit.Limiter) *Steps { return &Steps{limiter: l} }

// Preauth counts the request before authentication, when only the address is known. Like Subject, it reports the limits to the caller.
func (s *Steps) Preauth(x *httpserver.Exchange) error { return s.count(x, true) }

// Subject counts the request of an authenticated caller.
func (s *Steps) Subject(x *httpserver.Exchange) error { return s.count(x, false) }

// count counts the request against all policies of its phase. If one of them refuses it, it counts against none.
func (s *Steps) count(x *httpserver.Exchange, preauth bool) error {
	var room [4]ratelimit.Count
	var applied [4]*contract.Rate
	counts, policies := room[:0], applied[:0]
	rates := x.Operation.Policy.Rate
	for i := range rates {
		p := &rates[i]
		if p.Preauth != preauth {
			continue
		}
		if key, applies := keyOf(p, x); applies {
			counts = append(counts, ratelimit.Count{Name: p.Name, Key: key, Limit: limitOf(p)})
			policies = append(policies, p)
		}
	}
	if len(counts) == 0 {
		return nil
	}
	if !s.limiter.Take(x.Request.Context(), counts) {
		return refusal(counts, policies)
	}
	h := x.Writer.Header()
	limits, policy := headers(first(h[limitsName]), first(h[policyName]), counts) // an earlier station may have set the fields already
	set(x, limitsName, limits)
	set(x, policyName, policy)
	return nil
}

// The names of the fields in net/http's canonical form.
const limitsName, policyName = "Ratelimit", "Ratelimit-Policy"

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func set(x *httpserver.Exchange, name, value string) {
	if values := x.Writer.Header()[name]; len(values) > 0 {
		values[0] = value
		return
	}
	x.SetHeader(name, value)
}

// keyOf returns the key that a policy counts by; false for a policy by subject or client when the request has none. Policies of the same name in different
// contracts are different limits, and so are those with different numbers in one contract: an operation that declares a limit of that name has it instead of the
// common one. If both were counted as one, requests under the narrow limit would use up the wide one.
func keyOf(p *contract.Rate, x *httpserver.Exchange) (ratelimit.Key, bool) {
	var room [24]byte
	numbers := binary.BigEndian.AppendUint64(room[:0], uint64(p.Quota))
	numbers = binary.BigEndian.AppendUint64(numbers, uint64(p.Window))
	numbers = binary.BigEndian.AppendUint64(numbers, uint64(p.Burst))
	switch p.Key {
	case "ip":
		return ratelimit.NewKey(p.Name, "ip", x.Operation.Word, x.Network(), string(numbers)), true
	case "operation":
		return ratelimit.NewKey(p.Name, "operation", x.Operation.Word, x.Operation.ID, string(numbers)), true
	case "sub":
		if x.Principal != nil {
			return ratelimit.NewKey(p.Name, "sub", x.Operation.Word, x.Principal.Subject, string(numbers)), true
		}
	case "client":
		if x.Principal != nil {
			return ratelimit.NewKey(p.Name, "client", x.Operation.Word, x.Principal.ClientID, string(numbers)), true
		}
	}
	return ratelimit.Key{}, false
}

// Concurrency admits at most as many concurrent requests of an operation as its contract says, and at most as many of one subject as it says, so that no subject
// can take all places.
func (s *Steps) Concurrency(x *httpserver.Exchange) error {
	if err := s.ofSubject(x); err != nil {
		return err
	}
	most := int64(x.Operation.Policy.Concurrency)
	if most == 0 {
		return nil
	}
	running := &s.flight(x.Operation).running
	if running.Add(1) > most {
		running.Add(-1)
		return problem.New(problem.Overloaded, "Too many requests of this operation run right now.").WithRetryAfter(time.Second)
	}
	x.Hold(running)
	return nil
}

// flight counts the running requests of an operation.
type flight struct {
	running  atomic.Int64
	subjects subjects
}

// flight returns the counts of an operation.
func (s *Steps) flight(op *contract.Operation) *flight {
	return contract.Kept(op, s, func() *flight { return new(flight) })
}
