package ratelimit

import (
	"context"
	"crypto/tls"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fountainai/fountain/internal/httpclient"
)

const (
	// dialTimeout and operationTimeout bound what one request waits for Redis: a free connection, a new one, its greeting, the script.
	dialTimeout      = 100 * time.Millisecond
	operationTimeout = 50 * time.Millisecond
	maxConnections   = 64
	// maxFailures is after how many failures in a row no request asks Redis any more, until a probe succeeds.
	maxFailures   = 3
	probeInterval = time.Second
	// keyPrefix names what the keys hold. Another format needs another number: both may be in use while gateways are replaced.
	keyPrefix = "fountain:limit:1:"
)

//go:embed take.lua
var takeScript string

// shared is the state of keys in Redis.
type shared struct {
	client   *redis.Client
	script   *redis.Script
	log      *slog.Logger
	failed   atomic.Int32 // in a row
	away     atomic.Bool
	wake     chan struct{} // tells run that Redis went away
	failures prometheus.Counter
	gauge    prometheus.Gauge
}

// quiet drops what the client library would print: failures are returned too, and told by this package.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { redis.SetLogger(quiet{}) })

func newShared(o Options) (*shared, error) {
	options, err := clientOptions(o)
	if err != nil {
		return nil, err
	}
	silence()
	s := &shared{
		client: redis.NewClient(options), script: redis.NewScript(takeScript), log: o.Log, wake: make(chan struct{}, 1),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fountain_limits_redis_failures_total", Help: "Requests and probes that got no answer of the Redis that shares the limits.",
		}),
		gauge: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fountain_limits_shared", Help: "1 while limits are shared over Redis, 0 while this process counts alone.",
		}),
	}
	s.gauge.Set(1)
	for _, metric := range []prometheus.Collector{s.failures, s.gauge} {
		if err := o.Registerer.Register(metric); err != nil {
			return nil, fmt.Errorf("register the metrics of limits: %w", err)
		}
	}
	return s, nil
}

// clientOptions are strict bounds, and nothing that the library would do by itself: no repeats, which would count twice.
func clientOptions(o Options) (*redis.Options, error) {
	target, err := o.Redis.Target()
	if err != nil {
		return nil, fmt.Errorf("settings of Redis: %w", err)
	}
	options := &redis.Options{
		Addr: target.Addr, Username: target.Username, Password: target.Password, DB: target.Database,
		Protocol: 2, DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		MaxRetries: -1, DialerRetries: 1, DialTimeout: dialTimeout, ReadTimeout: operationTimeout, WriteTimeout: operationTimeout, PoolTimeout: operationTimeout,
		PoolSize: maxConnections, MaxActiveConns: maxConnections, ConnMaxIdleTime: time.Minute, ReadBufferSize: 4096, WriteBufferSize: 4096,
	}
	if !target.TLS {
		return options, nil
	}
	transport, err := httpclient.NewTransport(o.CAFile)
	if err != nil {
		return nil, err
	}
	options.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: target.Host, RootCAs: transport.TLSClientConfig.RootCAs}
	return options, nil
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
	keys, args := make([]string, len(counts)), make([]any, 0, 3*len(counts))
	for i := range counts {
		c := &counts[i]
		keys[i] = redisKey(c.Key)
		args = append(args, c.Limit.increment().Microseconds(), c.Limit.Window().Microseconds(), used[i].Microseconds())
	}
	answer, err := s.script.Run(context.WithoutCancel(ctx), s.client, keys, args...).Int64Slice()
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
	defer s.client.Close()
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
		if s.ask(ctx, probe, make([]time.Duration, 1)) == nil {
			return true
		}
		s.failures.Inc()
	}
}
