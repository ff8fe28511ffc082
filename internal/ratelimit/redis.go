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
	// idleLife is how long a connection that is not used is kept, and idleTrust how long it is taken for alive: after that a ping precedes the script.
	idleLife, idleTrust = time.Minute, time.Second
	// maxFailures is after how many failures in a row no request asks Redis any more, until a probe succeeds.
	maxFailures   = 3
	probeInterval = time.Second
	// keyPrefix names what the keys hold. Another format needs another number: both may be in use while gateways are replaced.
	keyPrefix = "fountain:limit:1:"
)

//go:embed take.lua
var takeScript string

// waits bound what one request waits for Redis: first for a free connection or a new one, then for each answer, of the greeting and of the script.
type waits struct{ connection, operation time.Duration }

// brief are those of a service.
var brief = waits{connection: 100 * time.Millisecond, operation: 50 * time.Millisecond}

// shared is the state of keys in Redis.
type shared struct {
	waits    waits
	dial     func(ctx context.Context, w waits) (redis.Conn, error)
	pool     atomic.Pointer[redis.Pool]
	script   *redis.Script
	log      *slog.Logger
	failed   atomic.Int32 // in a row
	away     atomic.Bool
	wake     chan struct{} // tells run that Redis went away
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

// dialer returns what makes connections.
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

// connect begins with connections of its own, and lets those go that there were: of a Redis that went away each would fail once more.
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
		_ = before.Close() // its connections are not used any more
	}
}

// take runs the script. used holds the least that each key has used, and afterwards what it had used; false: there was no answer.
func (s *shared) take(ctx context.Context, counts []Count, used []time.Duration) bool {
	err := s.ask(ctx, counts, used)
	if err == nil {
		s.failed.Store(0)
		return true
	}
	s.failures.Inc()
	if s.failed.Add(1) >= maxFailures && s.away.CompareAndSwap(false, true) {
		s.gauge.Set(0)
		s.log.WarnContext(ctx, "Redis is away: this process counts limits alone", "error", err)
		s.wake <- struct{}{} // has room: run took the last one before it ended being away
	}
	return false
}

// ask makes one round trip. It is not bound to the request's end, or a client that leaves would look like a Redis that does not answer; the
// client's own timeouts bound it.
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
	defer conn.Close() // gives it back; one that has failed is closed
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

// run brings a Redis that went away back as soon as it counts again, and closes the connections when ctx ends.
func (s *shared) run(ctx context.Context) {
	defer func() { _ = s.pool.Load().Close() }() // connections alone
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
		s.log.InfoContext(ctx, "Redis is back: limits are shared again")
	}
}

// await probes until Redis counts; false: ctx ended before. It counts a key of its own, for a Redis may answer and still not take writes.
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
