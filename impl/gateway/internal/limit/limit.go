// Package limit enforces the contract's rate policies, and reports the limits to callers.
package limit

import (
	"fmt"
	"strconv"
	"time"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/ratelimit"
)

// limitOf converts a policy to a limit of the limiter.
func limitOf(p *contract.Rate) ratelimit.Limit {
	return ratelimit.NewLimit(p.Quota, p.Window, p.Burst, p.Cost)
}

// headers returns the RateLimit and RateLimit-Policy fields (draft-ietf-httpapi-ratelimit-headers) for the counts, appended to the items before them.
// The reported quota is the burst, which is the most a caller can have at once, and the window is the time in which it is restored. Names of policies need
// no escaping: the contract's reader refuses those that would.
func headers(limitsBefore, policyBefore string, counts []ratelimit.Count) (rateLimit, policy string) {
	var room [1024]byte
	limits, policies := append(room[:0:512], limitsBefore...), append(room[512:512], policyBefore...)
	for i := range counts {
		c := &counts[i]
		limits = appendItem(limits, c.Name, ";r=", int64(c.Remaining), ";t=", seconds(c.Reset))
		policies = appendItem(policies, c.Name, ";q=", int64(c.Limit.Burst()), ";w=", seconds(c.Limit.Window()))
	}
	end := len(limits)
	both := string(append(limits, policies...)) // one allocation for both strings
	return both[:end], both[end:]
}

// appendItem appends an item of a list (RFC 9651, section 3.1).
func appendItem(to []byte, name, first string, a int64, second string, b int64) []byte {
	if len(to) > 0 {
		to = append(to, ", "...)
	}
	to = append(append(append(to, '"'), name...), '"')
	to = strconv.AppendInt(append(to, first...), a, 10)
	return strconv.AppendInt(append(to, second...), b, 10)
}

// seconds returns the duration in seconds, rounded up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// refusal returns the problem for a refused request. If several policies refused it, the problem describes the one with the longest wait.
func refusal(counts []ratelimit.Count, policies []*contract.Rate) error {
	at := 0
	for i := range counts {
		if counts[i].Retry > counts[at].Retry {
			at = i
		}
	}
	p, l := policies[at], counts[at].Limit
	rateLimit, policy := headers("", "", counts)
	cost := max(p.Cost, 1)
	detail := fmt.Sprintf("Too many requests %s: the limit %q allows %d at once, and %d in %s.", counted[p.Key], p.Name, l.Burst()/cost, p.Quota/cost, p.Window)
	if p.Key == "ip" {
		detail += " All who come through one proxy count as one address, unless the gateway trusts that proxy."
	}
	return problem.New(problem.RateLimited, detail).
		WithHeader("RateLimit", rateLimit).WithHeader("RateLimit-Policy", policy).WithRetryAfter(counts[at].Retry)
}

// counted describes for each key which requests are counted.
var counted = map[string]string{"ip": "from this address", "sub": "of this caller", "client": "of this client", "operation": "of this operation"}
