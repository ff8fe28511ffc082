package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Of a flood of requests of one operation not all reach the service: those beyond the limit are refused at once with Retry-After, and are
// marked in the log. Other operations are not affected.
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

// A service that reports overload gets fewer concurrent requests from then on: the gateway refuses those that it would refuse.
func TestAdmit_takesTheServiceAtItsWord(t *testing.T) {
	h := newHouse(t)
	var inside, asked atomic.Int64
	done := make(chan struct{}) // work of an admitted request
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		defer inside.Add(-1)
		if inside.Add(1) > 3 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"type":"about:blank","title":"Overloaded","status":503,"code":"overloaded","requestId":"req_01M8HK6FVCEMKTZJ5V33GBE6VF"}`))
			return
		}
		<-done
		element(w)
	}
	bearer := "Bearer " + h.token(nil)
	const clients = 40
	var refused atomic.Int64
	var all sync.WaitGroup
	defer all.Wait()
	defer close(done)
	crowd := func() {
		for range clients {
			all.Go(func() {
				if h.do("POST", createPath, createBody, "Authorization", bearer).StatusCode == http.StatusServiceUnavailable {
					refused.Add(1)
				}
			})
		}
	}
	crowd()
	require.Eventually(t, func() bool { return refused.Load() == clients-3 }, 10*time.Second, time.Millisecond)
	before := asked.Load()
	crowd()
	require.Eventually(t, func() bool { return refused.Load() > clients+8 }, 10*time.Second, time.Millisecond)
	require.Equal(t, before, asked.Load(), "three are inside, and no more get to the service")
	require.Contains(t, h.log.String(), `"refusedBy":"admission"`)
}

// slowClient is a client that has sent its request and reads nothing until released.
type slowClient struct {
	http.ResponseWriter
	reads chan struct{} // closed when it begins to read
	began func()
	once  sync.Once
}

func (c *slowClient) Write(p []byte) (int, error) {
	c.once.Do(c.began)
	<-c.reads
	return c.ResponseWriter.Write(p)
}

// Clients that do not read their answers hold none of the service's places, so that they can't block an operation for others.
func TestAdmit_givesThePlaceBackBeforeTheClientReads(t *testing.T) {
	h := newHouse(t)
	bearer := "Bearer " + h.token(nil)
	reads := make(chan struct{})
	const clients = 64 // the initial limit of concurrent requests
	var writing, ended sync.WaitGroup
	writing.Add(clients)
	defer ended.Wait()
	defer close(reads)
	for range clients {
		ended.Go(func() {
			r := httptest.NewRequest("POST", h.gate.URL+createPath, strings.NewReader(createBody))
			r.Header.Set("Authorization", bearer)
			r.Header.Set("Content-Type", "application/json")
			r.RequestURI, r.URL.Scheme, r.URL.Host = createPath, "", ""
			h.gate.Config.Handler.ServeHTTP(&slowClient{ResponseWriter: httptest.NewRecorder(), reads: reads, began: writing.Done}, r)
		})
	}
	writing.Wait()
	require.Equal(t, 201, h.do("POST", createPath, createBody, "Authorization", bearer).StatusCode)
}
