package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCache_fetchesOnceForAllAndAgainWhenStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		c := NewCache(time.Now, func(context.Context, string) (Token, error) {
			fetches++
			time.Sleep(time.Second)
			return Token{Value: "t", Fresh: time.Now().Add(time.Minute), Expiry: time.Now().Add(2 * time.Minute)}, nil
		})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				token, err := c.Get(t.Context(), "k")
				require.NoError(t, err)
				require.Equal(t, "t", token.Value)
			})
		}
		wg.Wait()
		require.Equal(t, 1, fetches)
		time.Sleep(time.Minute)
		_, err := c.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, 2, fetches)
	})
}

func TestCache_givesTheGoodTokenWhileTheNextCannotBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure error
		c := NewCache(time.Now, func(context.Context, string) (Token, error) {
			return Token{Value: "t", Fresh: time.Now().Add(time.Minute), Expiry: time.Now().Add(2 * time.Minute)}, failure
		})
		_, err := c.Get(t.Context(), "k")
		require.NoError(t, err)
		failure = errors.New("down")
		time.Sleep(90 * time.Second)
		token, err := c.Get(t.Context(), "k")
		require.NoError(t, err)
		require.Equal(t, "t", token.Value)
		time.Sleep(time.Minute)
		_, err = c.Get(t.Context(), "k")
		require.ErrorIs(t, err, failure)
	})
}

func TestCache_waiterTriesItselfWhenTheFetchingCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(time.Now, func(ctx context.Context, _ string) (Token, error) {
			if err := Sleep(ctx, time.Minute); err != nil {
				return Token{}, err
			}
			return Token{Value: "t", Fresh: time.Now().Add(time.Minute), Expiry: time.Now().Add(time.Hour)}, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { _, err := c.Get(ctx, "k"); first <- err }()
		synctest.Wait()
		second := make(chan error, 1)
		go func() { _, err := c.Get(t.Context(), "k"); second <- err }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-first, context.Canceled)
		require.NoError(t, <-second)
	})
}

func TestCache_doesNotKeepATokenFetchedBeforeItWasCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(time.Now, func(context.Context, string) (Token, error) {
			time.Sleep(time.Second)
			return Token{Value: "t", Fresh: time.Now().Add(time.Minute), Expiry: time.Now().Add(time.Hour)}, nil
		})
		done := make(chan struct{})
		go func() { _, _ = c.Get(t.Context(), "k"); close(done) }()
		synctest.Wait()
		c.Clear()
		<-done
		_, kept := c.Peek("k")
		require.False(t, kept)
	})
}

func TestCache_panicOfFetchLeavesNobodyWaiting(t *testing.T) {
	calls := 0
	c := NewCache(time.Now, func(context.Context, string) (Token, error) {
		if calls++; calls == 1 {
			panic("callback")
		}
		return Token{Value: "t", Fresh: time.Now().Add(time.Minute), Expiry: time.Now().Add(time.Hour)}, nil
	})
	require.Panics(t, func() { _, _ = c.Get(t.Context(), "k") })
	token, err := c.Get(t.Context(), "k")
	require.NoError(t, err)
	require.Equal(t, "t", token.Value)
}

func TestBackoff_growsToItsMaximumLessAQuarter(t *testing.T) {
	b := Backoff{Base: 100 * time.Millisecond, Max: time.Second}
	for attempt, want := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 4: 800 * time.Millisecond, 5: time.Second, 500: time.Second} {
		for range 50 {
			got := b.Wait(attempt)
			require.LessOrEqual(t, got, want)
			require.GreaterOrEqual(t, got, want*3/4)
		}
	}
}

func TestRetryAfter_readsSecondsAndDates(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "-1": 0,
		"Mon, 23 Nov 2026 10:00:30 GMT": 30 * time.Second, "Mon, 23 Nov 2026 09:00:00 GMT": 0,
	} {
		got, ok := RetryAfter(http.Header{"Retry-After": {value}}, now)
		require.True(t, ok, value)
		require.Equal(t, want, got, value)
	}
	for _, value := range []string{"", "soon", "99999999999999999999"} {
		_, ok := RetryAfter(http.Header{"Retry-After": {value}}, now)
		require.False(t, ok, value)
	}
}

func TestBudget_isSpentByRetriesAndFilledBySuccesses(t *testing.T) {
	b := NewBudget(10, 5)
	require.True(t, b.Take())
	require.True(t, b.Take())
	require.False(t, b.Take())
	for range 100 {
		b.Refund()
	}
	require.True(t, b.Take())
	require.True(t, b.Take())
	require.False(t, b.Take())
}

func TestNotSent_isTrueForDialErrorsOnly(t *testing.T) {
	require.True(t, NotSent(&net.OpError{Op: "dial", Err: errors.New("refused")}))
	require.False(t, NotSent(&net.OpError{Op: "read", Err: errors.New("reset")}))
	require.False(t, NotSent(context.Canceled))
}
