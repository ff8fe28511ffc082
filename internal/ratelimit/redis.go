package ratelimit

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/httpclient"
)

const (
	maxConnections = 64
	// idleLife is how long an unused connection is kept, and idleTrust how long it is assumed to be alive: after that a ping precedes the script.
	idleLife, idleTrust = time.Minute, time.Second
	// maxFailures is the number of failures in a row after which requests do not use Redis any more, until a probe succeeds.
	maxFailures   = 3
	probeInterval = time.Second
	// keyPrefix names the format of the keys. Another format needs another number: both may be in use while gateways are replaced.
	keyPrefix = "fountain:limit:1:"
)

//go:embed take.lua
var takeScript string

// waits bound how long one request waits for Redis: first for a free or new connection, then for each answer, of the greeting and of the script.
type waits struct{ connection, operation time.Duration }

// brief are the bounds of a service.
var brief = waits{connection: 100 * time.Millisecond, operation: 50 * time.Millisecond}

// shared is the state of keys in Redis.
type shared struct {
	waits    waits
	dial     func(ctx context.Context, w waits) (redis.Conn, error)
	pool     atomic.Pointer[redis.Pool]
	script   *redis.Script
	log      *slog.Logger
	failed   atomic.Int32 // failures in a row
	away     atomic.Bool
	wake     chan struct{} // tells run that Redis does not answer
	failures prometheus.Counter
	gauge    prometheus.Gauge
}

func newShared(o Options) (*shared, error) {
	dial, err := dialer(o)
	if err != nil {
		return nil, err
	}
	s := &shared{
		waits: brief, dial: dial, script: redis.NewScript(-1, takeScript), log: o.Log, wake: make(chan struct{}, 1),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fountain_limits_redis_failures_total", Help: "Requests and probes that got no answer of the Redis that shares the limits.",
		}),
		gauge: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fountain_limits_shared", Help: "1 while limits are shared over Redis, 0 while this process counts alone.",
		}),
	}
	s.connect()
	s.gauge.Set(1)
	for _, metric := range []prometheus.Collector{s.failures, s.gauge} {
		if err := o.Registerer.Register(metric); err != nil {
			return nil, fmt.Errorf("register the metrics of limits: %w", err)
		}
	}
	return s, nil
}

// dialer returns the function that opens connections.
func dialer(o Options) (func(ctx context.Context, w waits) (redis.Conn, error), error) {
	target, err := o.Redis.Target()
	if err != nil {
		return nil, fmt.Errorf("settings of Redis: %w", err)
	}
	options := []redis.DialOption{redis.DialUsername(target.Username), redis.DialPassword(target.Password), redis.DialDatabase(target.Database)}
	if target.TLS {
		transport, err := httpclient.NewTransport(o.CAFile)
		if err != nil {
			return nil, err
		}
		options = append(options, redis.DialUseTLS(true), redis.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: target.Host, RootCAs: transport.TLSClientConfig.RootCAs}))
	}
	return func(ctx context.Context, w waits) (redis.Conn, error) {
		return redis.DialContext(ctx, "tcp", target.Addr, append(slices.Clone(options),
			redis.DialConnectTimeout(w.connection), redis.DialTLSHandshakeTimeout(w.connection), redis.DialReadTimeout(w.operation), redis.DialWriteTimeout(w.operation))...)
	}, nil
}

// connect replaces the connection pool: after Redis was away each old connection would fail once more.
func (s *shared) connect() {
	waits := s.waits
	before := s.pool.Swap(&redis.Pool{
		DialContext: func(ctx context.Context) (redis.Conn, error) { return s.dial(ctx, waits) },
		TestOnBorrow: func(c redis.Conn, used time.Time) error {
			if time.Since(used) < idleTrust {
				return nil
			}
			_, err := c.Do("PING")
			return err
		},
		MaxIdle: maxConnections, MaxActive: maxConnections, IdleTimeout: idleLife, Wait: true,
	})
	if before != nil {
		_ = before.Close() // the old connections are not used any more
	}
}

// take runs the script. used holds a lower bound of what each key has used, and afterwards what it had used. It returns false when there was no
// answer.
func (s *shared) take(ctx context.Context, counts []Count, used []time.Duration) bool {
	err := s.ask(ctx, counts, used)
	if err == nil {
		s.failed.Store(0)
		return true
	}
	s.failures.Inc()
	if s.failed.Add(1) >= maxFailures && s.away.CompareAndSwap(false, true) {
		s.gauge.Set(0)
		s.log.WarnContext(ctx, "Redis does not answer: this process counts limits alone", "error", err)
		s.wake <- struct{}{} // has room: run emptied it before the last outage ended
	}
	return false
}

// ask makes one round trip. It does not depend on the request's context, otherwise a disconnecting client would look like a Redis that does not
// answer; the connection's own timeouts bound it.
func (s *shared) ask(ctx context.Context, counts []Count, used []time.Duration) error {
	args := make([]any, 1, 1+4*len(counts))
	args[0] = len(counts)
	for i := range counts {
		args = append(args, redisKey(counts[i].Key))
	}
	for i := range counts {
		limit := counts[i].Limit
		args = append(args, limit.increment().Microseconds(), limit.Window().Microseconds(), used[i].Microseconds())
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.waits.connection)
	defer cancel()
	conn, err := s.pool.Load().GetContext(bounded)
	if err != nil {
		return fmt.Errorf("reach Redis: %w", err)
	}
	defer conn.Close() // returns it to the pool; a failed connection is closed
	answer, err := redis.Int64s(s.script.Do(conn, args...))
	if err != nil {
		return fmt.Errorf("count in Redis: %w", err)
	}
	if len(answer) != len(used) {
		return errors.New("count in Redis: the answer has another number of keys")
	}
	for i, microseconds := range answer {
		used[i] = time.Duration(microseconds) * time.Microsecond
	}
	return nil
}

func redisKey(key Key) string { return keyPrefix + hex.EncodeToString(key[:]) }

// run restores the use of Redis when it counts again after an outage, and closes the connections when ctx ends.
func (s *shared) run(ctx context.Context) {
	defer func() { _ = s.pool.Load().Close() }() // only closes connections
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		if !s.await(ctx) {
			return
		}
		s.failed.Store(0)
		s.gauge.Set(1)
		s.away.Store(false)
		s.log.InfoContext(ctx, "Redis answers again: limits are shared")
	}
}

// await probes until Redis counts. It returns false when ctx ended before. The probe counts a key of its own, because a Redis may answer and still
// refuse writes.
func (s *shared) await(ctx context.Context) bool {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	probe := []Count{{Name: "probe", Key: NewKey("probe"), Limit: NewLimit(1, time.Millisecond, 1, 1)}}
	for {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
		s.connect()
		if s.ask(ctx, probe, make([]time.Duration, 1)) == nil {
			return true
		}
		s.failures.Inc()
	}
}
