package ratelimit

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/ratelimit/redistest"
)

// member is the limiter of one process, with its log.
type member struct {
	*Limiter
	log *lines
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// join starts another process that counts in a Redis server. It waits longer than a gateway does, for busy machines: the tests count what Redis
// allows.
func join(tb testing.TB, url string) *member { return launch(tb, config.Redis{URL: url}, "", patient) }

var patient = waits{time.Minute, time.Minute}

func launch(tb testing.TB, server config.Redis, ca string, w waits) *member {
	log := &lines{}
	l, err := New(Options{Redis: server, CAFile: ca, Clock: clock.System, Log: slog.New(slog.NewTextHandler(log, nil)), Registerer: prometheus.NewRegistry()})
	require.NoError(tb, err)
	l.shared.waits = w
	l.shared.connect()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = l.Run(ctx) }() // returns nil
	tb.Cleanup(func() { cancel(); <-ended })
	return &member{l, log}
}

// do sends a command to the member's Redis server.
func (s *shared) do(tb testing.TB, command string, args ...any) any {
	tb.Helper()
	conn := s.pool.Load().Get()
	defer conn.Close()
	answer, err := conn.Do(command, args...)
	require.NoError(tb, err)
	return answer
}

// flood has several processes take requests concurrently until each caller was refused, and returns how many were admitted.
func flood(processes []*member, limit Limit, key string, requests int) int {
	var admitted atomic.Int64
	var all sync.WaitGroup
	for _, m := range processes {
		for range 8 {
			all.Go(func() {
				for range requests / (8 * len(processes)) {
					if one(m.Limiter, key, limit).Allowed {
						admitted.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	return int(admitted.Load())
}

// hourly returns a quota of which nothing is replenished within a test.
func hourly(quota int) Limit { return NewLimit(quota, 1000*time.Hour, quota, 1) }

func TestShared_twoProcessesAdmitExactlyTheQuota(t *testing.T) {
	server := redistest.Start(t)
	two := []*member{join(t, server.URL), join(t, server.URL)}
	require.Equal(t, 500, flood(two, hourly(500), "ada", 3000))
	require.Equal(t, 500, flood(two, hourly(500), "grace", 3000), "another key has its own")
	for _, m := range two {
		require.Zero(t, testutil.ToFloat64(m.shared.failures))
	}
}

// After the burst the rate is shared: 100 in a second, by the clock of Redis.
func TestShared_twoProcessesAdmitTheRateAfterTheBurst(t *testing.T) {
	server := redistest.Start(t)
	a, b := join(t, server.URL), join(t, server.URL)
	limit, admitted, began := NewLimit(100, time.Second, 5, 1), 0, time.Now()
	for time.Since(began) < 300*time.Millisecond {
		for _, m := range []*member{a, b} {
			if one(m.Limiter, "ada", limit).Allowed {
				admitted++
			}
		}
	}
	most := 5 + int(time.Since(began)/(10*time.Millisecond))
	require.LessOrEqual(t, admitted, most)
	require.Greater(t, admitted, 5, "it does not stay refused")
}

// When Redis stops during a test, requests are neither all admitted nor all refused: two processes together admit at most twice the quota. When it
// comes back empty, the quota is shared again and no caller has a new allowance.
func TestShared_aRedisThatGoesAndComesAdmitsAtMostTwice(t *testing.T) {
	server := redistest.Start(t)
	a, b := join(t, server.URL), join(t, server.URL)
	two := []*member{a, b}
	limit := hourly(1000)
	require.Equal(t, 600, flood(two[:1], limit, "kim", 600))
	first := make(chan int)
	go func() { first <- flood(two, limit, "ada", 640) }()
	require.Eventually(t, func() bool { return a.memory.used(NewKey("ada"), 0) > limit.Window()/10 }, 20*time.Second, time.Millisecond)
	server.Kill()
	admitted := <-first
	require.Equal(t, 640, admitted, "within the quota nothing is refused")
	admitted += flood(two, limit, "ada", 64)
	require.Equal(t, 704, admitted)
	for _, m := range two {
		require.Zero(t, testutil.ToFloat64(m.shared.gauge))
		require.Equal(t, 1, m.log.count("Redis does not answer"), "one line for a change")
	}
	require.True(t, one(a.Limiter, "grace", limit).Allowed, "a new key is not refused")
	admitted += flood(two, limit, "ada", 4000)
	require.Greater(t, admitted, 1000)
	require.LessOrEqual(t, admitted, 2000)

	server.Restart()
	for _, m := range two {
		require.Eventually(t, func() bool { return testutil.ToFloat64(m.shared.gauge) == 1 }, 20*time.Second, 10*time.Millisecond)
		require.Equal(t, 1, m.log.count("Redis answers again"))
	}
	admitted += flood(two, limit, "ada", 4000)
	require.LessOrEqual(t, admitted, 2000)
	require.True(t, one(a.Limiter, "kim", limit).Allowed)
	require.Equal(t, 399, flood([]*member{join(t, server.URL)}, limit, "kim", 1600), "an empty Redis is told what was used, for those who don't know")
	require.Equal(t, 1000, flood(two, limit, "eve", 4000), "it is shared again")
}

// A Redis server that does not answer delays a few requests for a short time, and the others not at all.
func TestShared_aRedisThatHangsIsAway(t *testing.T) {
	server := redistest.Start(t)
	m, admin := launch(t, config.Redis{URL: server.URL}, "", brief), join(t, server.URL).shared
	admin.do(t, "CLIENT", "PAUSE", 1000)
	require.Equal(t, 50, flood([]*member{m}, hourly(50), "ada", 4000))
	require.Equal(t, 1, m.log.count("Redis does not answer"))
	require.Less(t, testutil.ToFloat64(m.shared.failures), 100.0, "it is not asked by each request")
	require.Eventually(t, func() bool { return !m.shared.away.Load() }, 20*time.Second, 10*time.Millisecond)
}

// If Redis is not there when the processes start, no request is refused or delayed for that.
func TestShared_aRedisThatNeverCameLimitsAllTheSame(t *testing.T) {
	m := join(t, "redis://:hunter2@127.0.0.1:1")
	require.Equal(t, 50, flood([]*member{m}, hourly(50), "ada", 400))
	require.True(t, m.shared.away.Load())
	require.Zero(t, m.log.count("hunter2"))
	failed := testutil.ToFloat64(m.shared.failures)
	require.Less(t, failed, 100.0, "a dead Redis is not asked by each request")
}

// Redis is used with rediss:// and a password. A server that is not encrypted, or whose certificate the authorities do not confirm, counts as
// unavailable.
func TestShared_overTLSAndWithAPassword(t *testing.T) {
	server := redistest.Start(t)
	join(t, server.URL).shared.do(t, "CONFIG", "SET", "requirepass", "hunter2")
	address, ca := behindTLS(t, strings.TrimPrefix(server.URL, "redis://"))
	for name, c := range map[string]struct {
		url, ca string
		shared  bool
	}{
		"as it should be":      {"rediss://:hunter2@" + address, ca, true},
		"another password":     {"rediss://:hunter3@" + address, ca, false},
		"no password":          {"rediss://" + address, ca, false},
		"an unknown authority": {"rediss://:hunter2@" + address, "", false},
		"without TLS":          {"redis://:hunter2@" + address, ca, false},
	} {
		m := launch(t, config.Redis{URL: c.url}, c.ca, patient)
		require.Equal(t, 5, flood([]*member{m}, hourly(5), name, 80), name)
		require.Equal(t, c.shared, testutil.ToFloat64(m.shared.gauge) == 1, name)
		require.Zero(t, m.log.count("hunter"), name)
	}
}

// behindTLS puts TLS in front of a server. It returns the address and the file of the authority that signed its certificate.
func behindTLS(t *testing.T, to string) (address, ca string) {
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	ca = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o600))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			front, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			back, err := net.Dial("tcp", to)
			if err != nil {
				_ = front.Close()
				continue
			}
			go func() { _, _ = io.Copy(back, front); _ = back.Close() }() // ends with either connection
			go func() { _, _ = io.Copy(front, back); _ = front.Close() }()
		}
	}()
	return l.Addr().String(), ca
}

// A Redis server that refuses commands counts as unavailable until it accepts them again.
func TestShared_aRedisThatTakesNoWritesIsAway(t *testing.T) {
	server := redistest.Start(t)
	m, admin := join(t, server.URL), join(t, server.URL).shared
	require.True(t, one(m.Limiter, "ada", hourly(10)).Allowed)
	admin.do(t, "CONFIG", "SET", "maxmemory", "1")
	admin.do(t, "CONFIG", "SET", "maxmemory-policy", "noeviction")
	require.Equal(t, 9, flood([]*member{m}, hourly(10), "ada", 400))
	require.True(t, m.shared.away.Load())
	admin.do(t, "CONFIG", "SET", "maxmemory", "0")
	require.Eventually(t, func() bool { return !m.shared.away.Load() }, 20*time.Second, 10*time.Millisecond)
}

// The script and decide are the same algorithm: for random sequences of requests with several limits and any stored TAT, their results are equal.
func TestShared_theScriptDecidesAsDecideDoes(t *testing.T) {
	server := redistest.Start(t)
	s := join(t, server.URL).shared
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		counts := make([]Count, 1+random.IntN(4))
		for i := range counts {
			counts[i] = Count{Key: NewKey(string(rune('a'+i)), string(rune('a'+random.IntN(3)))),
				Limit: NewLimit(1+random.IntN(1_000_000), time.Duration(1+random.Int64N(int64(1000*time.Hour))), random.IntN(1000), 1+random.IntN(9))}
		}
		if random.IntN(10) == 0 { // written by a clock that was ahead
			now := time.Now().Add(time.Duration(random.Int64N(int64(10000 * time.Hour)))).UnixMicro()
			s.do(t, "SET", redisKey(counts[0].Key), now, "EX", 3600)
		}
		for range random.IntN(30) {
			checkAgainstDecide(t, s, counts, random)
		}
	}
}

// checkAgainstDecide sends one request, and compares the state in Redis before and after it with the result of decide.
func checkAgainstDecide(t *testing.T, s *shared, counts []Count, random *rand.Rand) {
	before := make([]time.Duration, len(counts)) // as TAT, 0 where there is none
	for i := range counts {
		before[i] = tatOf(t, s, counts[i].Key)
	}
	least, used := make([]time.Duration, len(counts)), make([]time.Duration, len(counts))
	for i := range least {
		if random.IntN(3) == 0 {
			least[i] = time.Duration(random.Int64N(int64(counts[i].Limit.Window()))).Truncate(time.Microsecond)
		}
	}
	copy(used, least)
	require.NoError(t, s.ask(t.Context(), counts, used))
	// The moment at which Redis decided follows from any key that was used, and must be one for all.
	allowed := true
	for i, c := range counts {
		allowed = allowed && decide(c.Limit, used[i], 0, c.Limit.increment()).Allowed
		require.Equal(t, used[i], decide(c.Limit, used[i], 0, 0).Reset, "within the capacity")
		require.GreaterOrEqual(t, used[i], min(least[i], c.Limit.Window()))
	}
	for i, c := range counts {
		after := tatOf(t, s, c.Key)
		if !allowed {
			require.Contains(t, []time.Duration{before[i], 0}, after, "a refused request changes nothing")
			continue
		}
		d := decide(c.Limit, used[i], 0, c.Limit.increment())
		if after == 0 {
			require.Less(t, d.tat, time.Second, "only what is over is gone")
			continue
		}
		now := after - d.tat // of Redis
		require.Equal(t, decide(c.Limit, max(before[i], now+least[i]), now, c.Limit.increment()).tat, after)
	}
}

func tatOf(t *testing.T, s *shared, key Key) time.Duration {
	found := s.do(t, "GET", redisKey(key))
	if found == nil {
		return 0
	}
	n, err := redis.Int64(found, nil)
	require.NoError(t, err)
	return time.Duration(n) * time.Microsecond
}

// Redis contains no subject and no address, and no key stays longer than its limit needs it.
func TestShared_keysAreHashedAndEnd(t *testing.T) {
	server := redistest.Start(t)
	m := join(t, server.URL)
	require.True(t, one(m.Limiter, "usr_ada", NewLimit(60, time.Minute, 3, 1)).Allowed)
	keys, err := redis.Strings(m.shared.do(t, "KEYS", "*"), nil)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Regexp(t, `^fountain:limit:1:[0-9a-f]{32}$`, keys[0])
	require.NotContains(t, keys[0], "ada")
	left, err := redis.Int64(m.shared.do(t, "PTTL", keys[0]), nil)
	require.NoError(t, err)
	require.Positive(t, left)
	require.LessOrEqual(t, left, int64(1000), "ms")
}

// All limits of a request take one round trip.
func TestShared_asksOnceForAllLimits(t *testing.T) {
	server := redistest.Start(t)
	m := join(t, server.URL)
	counts := func() (c []Count) {
		for _, name := range []string{"a", "b", "c"} {
			c = append(c, Count{Name: name, Key: NewKey(name), Limit: hourly(100)})
		}
		return c
	}
	require.True(t, m.Take(t.Context(), counts())) // also loads the script
	m.shared.do(t, "CONFIG", "RESETSTAT")
	for range 10 {
		require.True(t, m.Take(t.Context(), counts()))
	}
	stats, err := redis.String(m.shared.do(t, "INFO", "commandstats"), nil)
	require.NoError(t, err)
	require.Contains(t, stats, "cmdstat_evalsha:calls=10,")
}

func BenchmarkTake_shared(b *testing.B) {
	m := join(b, redistest.Start(b).URL)
	limit := NewLimit(60_000_000, time.Minute, 1_000_000, 1)
	for name, clients := range map[string]int{"1 caller": 0, "32 callers": 16} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			if clients > 0 {
				b.SetParallelism(clients)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						one(m.Limiter, "ada", limit)
					}
				})
				return
			}
			for b.Loop() {
				one(m.Limiter, "ada", limit)
			}
		})
	}
	require.Zero(b, testutil.ToFloat64(m.shared.failures))
}
