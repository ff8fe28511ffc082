package gateway

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A flood of requests of one operation does not all begin at its service: those beyond the limit are refused at once, say when to come again, and are
// told apart in the log. An operation beside it goes on.
func TestAdmit_refusesWhatTheServiceHasNoTimeFor(t *testing.T) {
	h := newHouse(t)
	var inside, most atomic.Int64
	release := make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	defer open()
	h.upstream = func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"items":[]}`))
			return
		}
		most.Store(max(most.Load(), inside.Add(1)))
		<-release
		inside.Add(-1)
		element(w)
	}
	bearer := "Bearer " + h.token(nil)
	var all sync.WaitGroup
	var served, refused atomic.Int64
	for range 300 {
		all.Go(func() {
			a := h.do("POST", createPath, createBody, "Authorization", bearer)
			switch {
			case a.StatusCode == 201:
				served.Add(1)
			case a.StatusCode == 503 && a.Code == "overloaded" && a.Header.Get("Retry-After") == "1":
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.StatusCode, a.Text)
			}
		})
	}
	require.Eventually(t, func() bool { return refused.Load() > 0 }, 5*time.Second, time.Millisecond)
	require.Equal(t, 200, h.do("GET", createPath, "", "Authorization", bearer).StatusCode)
	open()
	all.Wait()
	require.EqualValues(t, 300, served.Load()+refused.Load())
	require.LessOrEqual(t, most.Load(), int64(64))
	require.Contains(t, h.log.String(), `"refusedBy":"admission"`)
	require.Equal(t, 201, h.do("POST", createPath, createBody, "Authorization", bearer).StatusCode, "the places were given back")
}
