package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
)

// Key identifies what is counted. It is a hash, so that the stored state contains neither addresses nor subjects in clear.
type Key [16]byte

// NewKey returns the key of a text in parts. Different lists of parts have different keys, even when their concatenations are equal.
func NewKey(parts ...string) Key {
	var room [256]byte
	text := room[:0]
	for _, part := range parts {
		text = binary.AppendUvarint(text, uint64(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	return Key(sum[:16])
}

// Count is one limit that applies to a request and, after Take, its decision.
type Count struct {
	Name  string // of the limit: when memory is full, its keys are limited as one
	Key   Key    // distinct within a request
	Limit Limit

	Decision
	shard uint64 // the shard and the key under which memory stores it
	place Key
}

// Options configure a Limiter. Only Clock is needed where there is no Redis.
type Options struct {
	Redis      config.Redis // without a URL keys are counted in this process alone
	CAFile     string       // authorities trusted for Redis instead of the system's
	Clock      clock.Clock
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Limiter counts requests. It is safe for concurrent use.
type Limiter struct {
	clock  clock.Clock
	memory *memory
	shared *shared // nil: there is no Redis
}

// New returns a limiter without counts. It does not connect to Redis yet; an error is one of the settings.
func New(o Options) (*Limiter, error) {
	l := &Limiter{clock: o.Clock, memory: newMemory()}
	if o.Redis.URL == "" {
		return l, nil
	}
	var err error
	l.shared, err = newShared(o)
	return l, err
}

// Run watches Redis, if there is one, until ctx ends, and then closes its connections. It returns nil.
func (l *Limiter) Run(ctx context.Context) error {
	if l.shared != nil {
		l.shared.run(ctx)
	}
	return nil
}

// Take counts a request against all its limits, and reports whether all allow it; a refused request takes nothing from any. With Redis all are
// decided in one round trip. When Redis does not answer, they are decided in this process: no request is refused or admitted because Redis does not answer.
func (l *Limiter) Take(ctx context.Context, counts []Count) bool {
	now := clock.Elapsed(l.clock).Truncate(time.Microsecond)
	if l.shared != nil && !l.shared.away.Load() {
		if allowed, ok := l.takeShared(ctx, counts, now); ok {
			return allowed
		}
	}
	return l.memory.take(counts, now)
}

// slack is the maximum delay between a request to Redis and its decision: a new connection, its greeting and database, and a script that Redis does
// not know yet. What this process reports to Redis is reduced by it, so that a slow round trip does not reduce a caller's allowance.
var slack = brief.connection + 4*brief.operation

// takeShared asks Redis. What this process knows of a key (its TAT after the last decision that it saw) is used in both directions:
//
//   - It is a lower bound for what Redis takes the key to have used. A Redis that comes back empty gives no new allowance to a key that a
//     process knows to be used up.
//   - It is the state with which the process continues when Redis is away. It is not less than what the process itself admitted (except for
//     slack, each time that Redis loses its state), so n processes admit at most n times the quota, however often Redis comes and goes.
//   - A request that it refuses would be refused by Redis, too, and needs no round trip.
//
// ok is false when Redis gave no answer.
func (l *Limiter) takeShared(ctx context.Context, counts []Count, now time.Duration) (allowed, ok bool) {
	var room [4]time.Duration
	used := room[:0]
	allowed = true
	for i := range counts {
		c := &counts[i]
		known := l.memory.used(c.Key, now)
		c.Decision = decide(c.Limit, known, 0, c.Limit.increment())
		used, allowed = append(used, known), allowed && c.Allowed
	}
	if allowed {
		for i := range used {
			used[i] = max(used[i]-slack, 0)
		}
		if !l.shared.take(ctx, counts, used) {
			return false, false
		}
		for i := range counts {
			c := &counts[i]
			c.Decision = decide(c.Limit, used[i], 0, c.Limit.increment())
			allowed = allowed && c.Allowed
		}
	}
	for i := range counts {
		c := &counts[i]
		if !allowed && c.Allowed {
			c.Decision = decide(c.Limit, used[i], 0, 0)
		}
		l.memory.learn(c.Key, now+c.tat, now)
	}
	return allowed, true
}
