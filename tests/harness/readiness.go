package harness

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Readiness asks the service at this base URL whether it is ready.
func Readiness(tb testing.TB, base, word string) (status int, detail string) {
	tb.Helper()
	answer, err := http.Get(base + "/" + word + "/v1/ready")
	require.NoError(tb, err)
	defer answer.Body.Close()
	var problem struct{ Detail string }
	require.NoError(tb, json.NewDecoder(answer.Body).Decode(&problem))
	return answer.StatusCode, problem.Detail
}

// Watch polls the readiness of several services, each every 50 ms.
type Watch struct {
	tb    testing.TB
	bases map[string]string // base URLs by word
}

const pause = 50 * time.Millisecond

// bound is how long a change of readiness may take. Two seconds are promised; the rest is for a busy machine.
const bound = 20 * time.Second

// WatchReadiness watches the services of these words and base URLs.
func WatchReadiness(tb testing.TB, bases map[string]string) *Watch { return &Watch{tb, bases} }

// each runs f for all services concurrently and collects the results.
func (w *Watch) each(f func(word, base string) time.Duration) map[string]time.Duration {
	out := map[string]time.Duration{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for word, base := range w.bases {
		all.Go(func() {
			took := f(word, base)
			mu.Lock()
			defer mu.Unlock()
			out[word] = took
		})
	}
	all.Wait()
	return out
}

// Until waits until each service has responded with status. It returns how long after began that was.
func (w *Watch) Until(status int, began time.Time) map[string]time.Duration {
	w.tb.Helper()
	took := w.each(func(word, base string) time.Duration {
		for time.Since(began) < bound {
			if got, _ := Readiness(w.tb, base, word); got == status {
				break
			}
			time.Sleep(pause)
		}
		return time.Since(began)
	})
	for word, t := range took {
		require.Less(w.tb, t, bound, "%s answers %d", word, status)
	}
	return took
}

// Away returns for how long each service was not ready within the given time.
func (w *Watch) Away(of time.Duration) map[string]time.Duration {
	return w.each(func(word, base string) (away time.Duration) {
		last := time.Now()
		for end := last.Add(of); last.Before(end); {
			status, _ := Readiness(w.tb, base, word)
			time.Sleep(pause)
			now := time.Now()
			if status != http.StatusOK {
				away += now.Sub(last)
			}
			last = now
		}
		return away
	})
}

// LogReadiness logs the figures of one fault.
func LogReadiness(tb testing.TB, fault string, said, over map[string]time.Duration) {
	tb.Helper()
	for _, word := range slices.Sorted(maps.Keys(said)) {
		tb.Logf("%s: %s said so after %.2f s, and was ready %.2f s after its end", fault, word, said[word].Seconds(), over[word].Seconds())
	}
}
