package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// A refused connection has carried nothing: the request is sent to another target, whatever its method.
func TestDo_repeatsARefusedConnectionForAnyMethod(t *testing.T) {
	for range 20 {
		there := listen(t, answering(okAnswer))
		s := serviceOf(t, nobody(t), there.url(), nobody(t))
		r := post()
		r.Repeats = 0
		require.Equal(t, "ok", mustAsk(t, s, r))
		require.EqualValues(t, 1, there.requests.Load())
	}
}

// A request that may have arrived is repeated only if that is harmless, and only as often as allowed.
func TestDo_repeatsABrokenConnectionForWhatMayBeRepeated(t *testing.T) {
	for _, c := range []struct {
		name     string
		request  *Request
		arrives  int64
		answered bool
	}{
		{"GET", get(), 2, true},
		{"POST", post(), 1, false},
		{"POST with a key", &Request{Method: "POST", Target: "/", Body: []byte("{}"), Repeatable: true, Repeats: 1}, 2, true},
		{"none allowed", &Request{Method: "GET", Target: "/", Repeatable: true}, 1, false},
		{"stream", &Request{Method: "POST", Target: "/", Stream: strings.NewReader("abc"), Length: 3, Repeatable: true, Repeats: 1}, 1, false},
	} {
		var calls atomic.Int64
		there := listen(t, func(conn net.Conn, r *http.Request) bool {
			return calls.Add(1) > 1 && answering(okAnswer)(conn, r)
		})
		_, body, err := ask(t, serviceOf(t, there.url()), c.request)
		require.Equal(t, c.arrives, there.requests.Load(), c.name)
		if c.answered {
			require.NoError(t, err, c.name)
			require.Equal(t, "ok", body)
			continue
		}
		var broken *BrokenError
		require.ErrorAs(t, err, &broken, c.name)
	}
}

// A request is not repeated once its answer has begun.
func TestDo_repeatsNothingAfterTheFirstByteOfAnAnswer(t *testing.T) {
	for _, begin := range []string{"H", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", "HTTP/1.1 103 Early\r\n\r\n"} {
		there := listen(t, func(c net.Conn, r *http.Request) bool { answering(begin)(c, r); return false })
		_, _, err := ask(t, serviceOf(t, there.url()), get())
		require.Error(t, err)
		require.EqualValues(t, 1, there.requests.Load(), begin)
	}
}

const notReadyAnswer = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%s"

// A service that refuses with not_ready has done nothing; any other 503 is an answer, which reaches the caller completely.
func TestDo_goesElsewhereWhenATargetIsNotReady(t *testing.T) {
	refusal, other := `{"code":"not_ready","status":503}`, `{"code":"unavailable","status":503}`
	refusing := listen(t, answering(fmt.Sprintf(notReadyAnswer, len(refusal), refusal)))
	good := listen(t, answering(okAnswer))
	s := serviceOf(t, refusing.url(), good.url())
	for range 10 {
		require.Equal(t, "ok", mustAsk(t, s, post()))
	}
	require.LessOrEqual(t, refusing.requests.Load(), int64(1), "it is asked no more until it is ready")
	best, _ := s.Health()
	require.Equal(t, Starting, best)

	s = serviceOf(t, listen(t, answering(fmt.Sprintf(notReadyAnswer, len(other), other))).url())
	status, body, err := ask(t, s, post())
	require.NoError(t, err)
	require.Equal(t, 503, status)
	require.Equal(t, other, body)
}

// Overload is distinguished from other failures. The answer reaches the caller completely, and the target stays in use.
func TestDo_tellsThatAServiceHasTooMuchToDo(t *testing.T) {
	for text, want := range map[string]bool{`{"code":"overloaded","status":503}`: true, `{"code":"engine_unavailable"}`: false, `overloaded`: false} {
		s := serviceOf(t, listen(t, answering(fmt.Sprintf(notReadyAnswer, len(text), text))).url())
		res, err := s.Do(t.Context(), post())
		require.NoError(t, err)
		require.Equal(t, want, res.Overloaded, text)
		body, err := res.ReadAll(1 << 10)
		require.NoError(t, err)
		require.Equal(t, text, string(body))
		require.True(t, s.Available())
	}
}

// A health check gets the answer of a target that is not ready, which does not affect other requests.
func TestDo_asksATargetThatIsNotReadyHowItIs(t *testing.T) {
	refusal := `{"code":"not_ready","status":503}`
	s := serviceOf(t, listen(t, answering(fmt.Sprintf(notReadyAnswer, len(refusal), refusal))).url())
	probe := get()
	probe.Probe = true
	for _, h := range []Health{Starting, Ready, Starting} {
		s.targets[0].Report(h, time.Now())
		before := s.Available()
		status, body, err := ask(t, s, probe)
		require.NoError(t, err)
		require.Equal(t, 503, status)
		require.Equal(t, refusal, body)
		require.Equal(t, before, s.Available())
	}
	s.targets[0].Report(Down, time.Now())
	_, _, err := ask(t, s, probe)
	require.ErrorIs(t, err, ErrUnavailable)
}

// Requests wait while a service is being restarted, and are answered when it is back; they do not wait for one that is gone.
func TestWait_isForAServiceThatIsBeingRestarted(t *testing.T) {
	there := listen(t, answering(okAnswer))
	s := serviceOf(t, there.url())
	s.targets[0].Report(Ready, time.Now())
	s.targets[0].Report(Down, time.Now())
	require.False(t, s.Available())
	_, _, err := ask(t, s, post())
	require.ErrorIs(t, err, ErrUnavailable)

	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if err := s.Wait(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	require.Eventually(t, func() bool { return s.counts.waiting.Load() == 50 }, 5*time.Second, time.Millisecond)
	s.targets[0].Report(Ready, time.Now())
	all.Wait()
	require.Equal(t, "ok", mustAsk(t, s, post()))

	s.targets[0].Report(Down, time.Now())
	s.counts.waiting.Store(maxWaiting)
	require.ErrorIs(t, s.Wait(context.Background()), ErrUnavailable, "no more may wait")
	s.counts.waiting.Store(0)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, s.Wait(gone), context.Canceled)
	s.since = s.since.Add(-Patience)
	require.ErrorIs(t, s.Wait(context.Background()), ErrUnavailable, "it is not being restarted")
}

// A report from before a request found the target unavailable does not make it available.
func TestReport_isOutdatedByARequest(t *testing.T) {
	s := serviceOf(t, nobody(t))
	asked := time.Now()
	_, _, err := ask(t, s, get())
	require.ErrorIs(t, err, ErrUnavailable)
	select {
	case <-s.targets[0].Asked():
	default:
		t.Fatal("nobody asks the target again")
	}
	s.targets[0].Report(Ready, asked)
	require.False(t, s.Available())
	s.targets[0].Report(Ready, time.Now())
	require.True(t, s.Available())
}

// A target that reports that it is not ready gets no requests, and its connections are closed.
func TestReport_takesATargetThatDrainsOutOfTheChoice(t *testing.T) {
	a, b := listen(t, answering(okAnswer)), listen(t, answering(okAnswer))
	s := serviceOf(t, a.url(), b.url())
	for range 50 {
		mustAsk(t, s, get())
	}
	require.Positive(t, a.requests.Load())
	require.Positive(t, b.requests.Load())
	s.targets[0].Report(Starting, time.Now())
	open, _ := s.targets[0].pool.count()
	require.Zero(t, open)
	before := a.requests.Load()
	for range 50 {
		mustAsk(t, s, get())
	}
	require.Equal(t, before, a.requests.Load())
}

// The only instance that reports that it is stopping still gets requests, until it refuses one; one that is starting does not.
func TestReport_leavesTheOnlyInstanceUntilItRefuses(t *testing.T) {
	there := listen(t, answering(okAnswer))
	s := serviceOf(t, there.url())
	s.targets[0].Report(Starting, time.Now())
	require.False(t, s.Available(), "it was never ready")
	s.targets[0].Report(Ready, time.Now())
	s.targets[0].Report(Starting, time.Now())
	s.targets[0].Report(Starting, time.Now())
	require.Equal(t, "ok", mustAsk(t, s, post()))
	there.stop()
	_, _, err := ask(t, s, post())
	require.ErrorIs(t, err, ErrUnavailable)
	s.targets[0].Report(Starting, time.Now())
	require.False(t, s.Available(), "it is being started again")
}

// Refusals because of overload do not eject a target: the others would get more load.
func TestEject_isNotForOverload(t *testing.T) {
	busy := answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
	s := serviceOf(t, listen(t, busy).url(), listen(t, busy).url())
	for range 50 {
		_, _, err := ask(t, s, get())
		require.NoError(t, err)
	}
	require.Len(t, *s.usable.Load(), 2)
}

// Of two targets the one with fewer requests is chosen.
func TestPick_choosesTheLessBusyOfTwo(t *testing.T) {
	s := serviceOf(t, &url.URL{Scheme: "http", Host: "a:1"}, &url.URL{Scheme: "http", Host: "b:1"})
	s.targets[0].pending.Store(1)
	for range 50 {
		require.Same(t, s.targets[1], s.pick(nil))
		require.Same(t, s.targets[0], s.pick(s.targets[1]), "another one than that which failed")
	}
}

// A target whose requests fail is excluded for a while; never more than half of the targets, and never the last.
func TestEject_leavesOutTargetsThatFail(t *testing.T) {
	urls := []*url.URL{}
	for range 4 {
		urls = append(urls, listen(t, hangUp).url())
	}
	s := serviceOf(t, urls...)
	s.budget.tenths.Store(0)
	for range 100 {
		_, _, err := ask(t, s, get())
		require.Error(t, err)
	}
	require.Len(t, *s.usable.Load(), 2)
	require.EqualValues(t, 2, s.counts.ejections.Load())
	for _, target := range s.targets {
		if target.ejected {
			s.admit(target)
		}
	}
	require.Len(t, *s.usable.Load(), 4)

	alone := serviceOf(t, listen(t, hangUp).url())
	for range 20 {
		_, _, err := ask(t, alone, post())
		require.Error(t, err)
		require.NotErrorIs(t, err, ErrUnavailable)
	}

	pair := serviceOf(t, listen(t, hangUp).url(), nobody(t))
	for range 20 {
		_, _, err := ask(t, pair, post())
		require.NotErrorIs(t, err, ErrUnavailable, "the last that works")
	}
}

// Repeats are bounded to a tenth of the requests and a burst of a hundred.
func TestBudget_boundsRepetitions(t *testing.T) {
	s := serviceOf(t, listen(t, hangUp).url())
	const requests = 400
	for range requests {
		_, _, err := ask(t, s, get())
		require.Error(t, err)
	}
	require.InDelta(t, budgetMost/budgetCost+requests/10, s.counts.broken.Load(), 2)
}

// An operation whose requests are accepted and not answered gets none for a while, then one probe, with increasing pauses.
func TestBreaker_leavesASilentOperationAlone(t *testing.T) {
	var told []string
	b := &breakers{told: func(operation string, open bool, pause time.Duration) {
		told = append(told, fmt.Sprint(operation, " ", open, pause))
	}}
	now := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	for range breakAfter - 1 {
		require.True(t, b.admit("x", now, true))
		b.timedOut("x", now)
	}
	b.answered("x")
	for range breakAfter {
		require.True(t, b.admit("x", now, true))
		b.timedOut("x", now)
	}
	require.False(t, b.admit("x", now, true))
	now = now.Add(breakFor)
	require.True(t, b.admit("x", now, true), "one finds out")
	require.False(t, b.admit("x", now, true), "and only one")
	b.timedOut("x", now)
	now = now.Add(breakFor)
	require.False(t, b.admit("x", now, true), "twice as long")
	now = now.Add(breakFor)
	require.True(t, b.admit("x", now, true))
	b.ended("x")
	require.True(t, b.admit("x", now, true), "a client that left has shown nothing")
	b.answered("x")
	require.True(t, b.admit("x", now, true))
	require.True(t, b.admit("x", now, true))
	require.Equal(t, []string{"x true 1s", "x true 2s", "x false 0s"}, told)
}

// An operation that hangs does not affect others, and their answers do not hide that it hangs.
func TestDo_leavesASilentOperationAloneAndNoOther(t *testing.T) {
	silent := make(chan struct{})
	s := serviceOf(t, listen(t, func(c net.Conn, r *http.Request) bool {
		if r.URL.Path == "/hangs" {
			<-silent
			return false
		}
		return answering(okAnswer)(c, r)
	}).url())
	defer close(silent)
	hangs := func(ctx context.Context) error {
		_, err := s.Do(ctx, &Request{Method: "GET", Target: "/hangs", Operation: "hangs"})
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), breakTook+breakTook/10)
	defer cancel()
	var all sync.WaitGroup
	for range breakAfter {
		all.Go(func() {
			require.ErrorIs(t, hangs(ctx), context.DeadlineExceeded)
			r := get()
			r.Operation = "works"
			require.Equal(t, "ok", mustAsk(t, s, r))
		})
	}
	all.Wait()
	require.ErrorIs(t, hangs(t.Context()), ErrOpen)
	require.EqualValues(t, 1, s.breakers.open())
	r := get()
	r.Operation = "works"
	require.Equal(t, "ok", mustAsk(t, s, r))
}

// The number of watched operations is bounded.
func TestBreaker_watchesABoundedNumberOfOperations(t *testing.T) {
	b := &breakers{told: func(string, bool, time.Duration) {}}
	for i := range 2 * maxSilent {
		b.timedOut(fmt.Sprint(i), time.Now())
	}
	require.Len(t, b.silent, maxSilent)
	for i := range 2 * maxSilent {
		b.answered(fmt.Sprint(i))
	}
	require.Empty(t, b.silent)
	require.Zero(t, b.watched.Load())
}

// A streamed body, which may be arbitrarily slow, does not prevent another request from probing the service.
func TestBreaker_takesNoStreamForAProbe(t *testing.T) {
	b := &breakers{told: func(string, bool, time.Duration) {}}
	now := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	for range breakAfter {
		b.timedOut("x", now)
	}
	require.False(t, b.admit("x", now, false))
	now = now.Add(breakFor)
	require.True(t, b.admit("x", now, false))
	require.True(t, b.admit("x", now, true))
	require.False(t, b.admit("x", now, false), "a probe runs")
}

// Client bodies that break off or do not arrive are not blamed on the target: nothing is ejected, and the breaker stays closed.
func TestDo_blamesNoTargetForABodyThatDoesNotCome(t *testing.T) {
	a, b := listen(t, answering(okAnswer)), listen(t, answering(okAnswer))
	s := serviceOf(t, a.url(), b.url())
	mustAsk(t, s, get())
	broken := errors.New("the client's body broke")
	for _, length := range []int64{-1, 5} {
		for range 4 * ejectAfter {
			_, _, err := ask(t, s, &Request{Method: "POST", Target: "/", Stream: iotest.ErrReader(broken), Length: length})
			require.Error(t, err)
		}
	}
	require.Zero(t, s.counts.ejections.Load())
	for _, target := range s.targets {
		require.Zero(t, target.failed.Load())
	}

	ctx, cancel := context.WithTimeout(context.Background(), breakTook+breakTook/10)
	defer cancel()
	var all sync.WaitGroup
	for range 2 * breakAfter {
		all.Go(func() {
			reader, writer := io.Pipe()
			defer writer.Close()
			_, err := s.Do(ctx, &Request{Method: "POST", Target: "/", Stream: reader, Length: -1})
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
	all.Wait()
	require.Zero(t, s.breakers.open())
	require.Zero(t, s.counts.ejections.Load())
}

// A target that does not read a body, or does not answer after reading it, is blamed all the same.
func TestDo_blamesTheTargetForABodyThatItDoesNotTake(t *testing.T) {
	s := serviceOf(t, listen(t, hangUp).url(), listen(t, hangUp).url())
	for range 4 * ejectAfter {
		_, _, err := ask(t, s, &Request{Method: "POST", Target: "/", Stream: strings.NewReader("abc"), Length: 3})
		require.Error(t, err)
	}
	require.EqualValues(t, 1, s.counts.ejections.Load())
}
