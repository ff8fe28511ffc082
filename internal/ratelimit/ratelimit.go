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

// Key is what is counted: a hash, so that whoever reads the state finds neither addresses nor subjects in clear.
type Key [16]byte

// NewKey returns the key of a text in parts; other parts make another key, however their texts join.
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

// Count is one limit that a request counts against, and, after Take, how it stands.
type Count struct {
	Name  string // of the limit: a flood of its keys is limited as one
	Key   Key    // distinct within a request
	Limit Limit

	Decision
	shard uint64 // where memory keeps it, and under which key
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

// New returns a limiter with nothing counted. It does not reach for Redis yet; an error is one of the settings.
func New(o Options) (*Limiter, error) {
	l := &Limiter{clock: o.Clock, memory: newMemory()}
	if o.Redis.URL == "" {
		return l, nil
	}
	var err error
	l.shared, err = newShared(o)
	return l, err
}

// Run watches Redis, where there is one, until ctx ends, and closes the connections to it then. It returns nil.
func (l *Limiter) Run(ctx context.Context) error {
	if l.shared != nil {
		l.shared.run(ctx)
	}
	return nil
}

// Take counts a request against all its limits, and reports whether all allow it; one that is refused takes nothing of any. With Redis all are
// decided about in one round trip, and where Redis does not answer, in this process: no request is refused or admitted because Redis is away.
func (l *Limiter) Take(ctx context.Context, counts []Count) bool {
	now := clock.Elapsed(l.clock).Truncate(time.Microsecond)
	if l.shared != nil && !l.shared.away.Load() {
		if allowed, ok := l.takeShared(ctx, counts, now); ok {
			return allowed
		}
	}
	return l.memory.take(counts, now)
}

// slack is how long after it was asked Redis may decide. What this process knows is told to it with so much less, so that a slow round trip
// makes no caller's allowance smaller. It is a new connection, its greeting and database, and a script that Redis does not know yet.
var slack = brief.connection + 4*brief.operation

// takeShared asks Redis. What this process knows of a key (its TAT after the last decision that it saw) goes both ways:
//
//   - It is the least that Redis takes the key to have used. A Redis that comes back empty gives nobody a new allowance that a process
//     knows to be used up.
//   - It is what the process goes on with when Redis is away. It is not less than what the process itself admitted (but for slack, each time
//     that Redis loses what it knew), so that n processes admit at most n times the quota, whenever Redis goes and comes.
//   - A request that is refused by it would be refused by Redis too, and costs no round trip.
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
