package search

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/internal/store"
)

// doors are three servers in front of one engine. Embedded engines don't replicate, so the servers stand for the nodes of a cluster whose
// followers never lag.
type doors struct {
	engine http.Handler
	mu     sync.Mutex
	keys   [3]map[string]bool // that each takes; nil: any
	all    [3]*httptest.Server
}

func newDoors(t *testing.T) *doors {
	t.Helper()
	e, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	require.NoError(t, e.WaitReady(t.Context()))
	d := &doors{engine: api.New(e, api.Options{Key: func(key string) bool { return key == "taken" }})}
	for i := range d.all {
		d.all[i] = httptest.NewServer(d.door(i))
		t.Cleanup(func() { d.all[i].Close() })
	}
	return d
}

// door returns one of them. Each accepts keys of its own.
func (d *doors) door(i int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		taken := d.keys[i] == nil || d.keys[i][r.Header.Get("X-Typesense-Api-Key")]
		d.mu.Unlock()
		if taken {
			r.Header.Set("X-Typesense-Api-Key", "taken")
		}
		d.engine.ServeHTTP(w, r)
	})
}

// take makes a door accept only these keys.
func (d *doors) take(i int, keys ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[i] = map[string]bool{}
	for _, k := range keys {
		d.keys[i][k] = true
	}
}

func (d *doors) addresses() string {
	return d.all[0].URL + "," + d.all[1].URL + "," + d.all[2].URL
}

// die closes a door as a power failure does.
func (d *doors) die(i int) {
	_ = d.all[i].Listener.Close()
	d.all[i].CloseClientConnections()
}

// comeBack opens a door again at its address.
func (d *doors) comeBack(t *testing.T, i int) {
	t.Helper()
	address := d.all[i].Listener.Addr().String()
	d.all[i].Close()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	require.NoError(t, err)
	next := httptest.NewUnstartedServer(d.door(i))
	require.NoError(t, next.Listener.Close())
	next.Listener = listener
	next.Start()
	d.all[i] = next
}

// load is a constant stream of searches and writes.
type load struct {
	w                  *world
	token              string
	searches, writes   atomic.Int64 // that went well
	refusals, searched atomic.Int64 // 503 with Retry-After; those of searches
	documents          atomic.Int64 // the next number
	stop               context.CancelFunc
	done               sync.WaitGroup
}

// begin starts it. Any status other than 200 fails the test. With patient, a 503 with Retry-After is retried.
func begin(t *testing.T, w *world, patient bool) *load {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &load{w: w, token: w.someone(t), stop: stop}
	t.Cleanup(stop)
	ask := func(path, body string, went, refused *atomic.Int64) {
		for ctx.Err() == nil {
			a := w.call(t, l.token, "POST", path, body)
			if patient && a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "" {
				l.refusals.Add(1)
				if refused != nil {
					refused.Add(1)
				}
				time.Sleep(20 * time.Millisecond) // the load of a client, not a wait for something
				continue
			}
			if a.Status != http.StatusOK || strings.Contains(string(a.Body), `"failed":1`) {
				t.Errorf("%s: %d %s", path, a.Status, a.Body)
				return
			}
			went.Add(1)
			return
		}
	}
	for range 2 {
		l.done.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				ask("/collections/plays/search", `{"q":"word","queryBy":["text"]}`, &l.searches, &l.searched)
			}
		})
		l.done.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				n := l.documents.Add(1)
				ask("/collections/plays/documents/sync", fmt.Sprintf(`{"items":[{"op":"upsert","id":"%d","document":{"text":"word","number":%d}},{"op":"delete","id":"gone-%d"}]}`, n, n, n), &l.writes, nil)
			}
		})
	}
	return l
}

// more waits for further successful searches and writes.
func (l *load) more(t *testing.T, n int64) {
	t.Helper()
	s, w := l.searches.Load()+n, l.writes.Load()+n
	require.Eventually(t, func() bool { return t.Failed() || l.searches.Load() >= s && l.writes.Load() >= w }, testWait, 5*time.Millisecond)
}

// end stops it, and checks that all successful writes are there.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	require.False(t, t.Failed())
	found := l.w.must(t, 200, l.token, "POST", "/collections/plays/search", `{"q":"*","queryBy":["text"]}`).JSON(t)
	require.GreaterOrEqual(t, int64(found["found"].(float64)), l.writes.Load(), "no write is lost")
	require.LessOrEqual(t, int64(found["found"].(float64)), l.documents.Load())
}

// nodes returns the state of the engine's nodes as the service reports it.
func (w *world) nodes(t *testing.T) (healthy []bool) {
	t.Helper()
	for _, n := range w.must(t, 200, w.someone(t), "GET", "/engine", "").JSON(t)["nodes"].([]any) {
		healthy = append(healthy, n.(map[string]any)["healthy"].(bool))
	}
	return healthy
}

// A node that dies under constant searches and writes makes none of them fail, and gets its share again when it is back.
func TestNodes_oneOfThreeDies(t *testing.T) {
	d := newDoors(t)
	w := newWorld(t, store.Config{})
	registry := prometheus.NewRegistry()
	w.settings.Registerer = registry
	w.settings.EngineURL, w.settings.EngineKeyFile = d.addresses(), keyFile(t)
	w.start(t)
	w.WaitReady(t)
	w.must(t, 201, w.someone(t), "POST", "/collections", plays)
	require.Equal(t, []bool{true, true, true}, w.nodes(t))
	l := begin(t, w, false)
	for i := range d.all {
		l.more(t, 20)
		d.die(i)
		l.more(t, 50)
		require.Eventually(t, func() bool { return !w.nodes(t)[i] }, testWait, 20*time.Millisecond)
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(fmt.Sprintf(`
# HELP fountain_search_engine_node_healthy 1 for a node of the search engine that can be used, as it was found last; otherwise 0.
# TYPE fountain_search_engine_node_healthy gauge
fountain_search_engine_node_healthy{node="%s"} 0
fountain_search_engine_node_healthy{node="%s"} 1
fountain_search_engine_node_healthy{node="%s"} 1
`, d.all[i].URL, d.all[(i+1)%3].URL, d.all[(i+2)%3].URL)), "fountain_search_engine_node_healthy"))
		d.comeBack(t, i)
		require.Eventually(t, func() bool { return w.nodes(t)[i] }, testWait, 20*time.Millisecond)
	}
	l.end(t)
	t.Logf("%d searches and %d writes, 3 nodes died in turn: none failed", l.searches.Load(), l.writes.Load())
	require.Equal(t, 3, strings.Count(w.logs.String(), "a node of the search engine does not answer"), "a change is told once")
	require.Equal(t, 3, strings.Count(w.logs.String(), "a node of the search engine answers again"))
}

// The key is rotated in the kms, while the nodes change to it at different times.
func TestNodes_keyIsRotatedUnderSearchesAndImports(t *testing.T) {
	d := newDoors(t)
	w := newWorld(t, store.Config{})
	w.kms.rotate("search.typesense", "key-0")
	for i := range d.all {
		d.take(i, "key-0")
	}
	w.settings.EngineURL = d.addresses()
	w.start(t)
	w.WaitReady(t)
	w.must(t, 201, w.someone(t), "POST", "/collections", plays)
	l := begin(t, w, false)
	for n := 1; n <= 10; n++ {
		old, key := fmt.Sprintf("key-%d", n-1), fmt.Sprintf("key-%d", n)
		l.more(t, 5)
		d.take(n%3, old, key) // as a rotation does: the engine has the key before the kms tells it, and not yet everywhere
		w.kms.rotate("search.typesense", key)
		l.more(t, 5)
		for i := range d.all {
			d.take(i, key)
		}
		l.more(t, 5)
		told := func() any { return w.must(t, 200, w.someone(t), "GET", "/engine", "").JSON(t)["keyVersion"] }
		require.Eventually(t, func() bool { return told() == float64(n+1) }, testWait, 10*time.Millisecond)
	}
	l.end(t)
	t.Logf("%d searches and %d writes under 10 rotations: none failed", l.searches.Load(), l.writes.Load())
	require.NotContains(t, w.logs.String(), "key-")
	for i := range d.all {
		d.take(i, "never")
	}
	a := w.call(t, l.token, "GET", "/collections/plays", "")
	refused(t, a, 503, "engine_unavailable")
}

// outage is how long the engine is away: a minute with FOUNTAIN_PROVE.
func outage() time.Duration {
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		return time.Minute
	}
	return 0
}

// If all nodes of the engine are away, no write fails permanently: each is told when to retry, and the service continues when the engine is
// back.
func TestNodes_engineIsAwayAndComesBack(t *testing.T) {
	d := newDoors(t)
	w := newWorld(t, store.Config{})
	w.settings.EngineURL, w.settings.EngineKeyFile = d.addresses(), keyFile(t)
	w.start(t)
	w.WaitReady(t)
	w.must(t, 201, w.someone(t), "POST", "/collections", plays)
	l := begin(t, w, true)
	l.more(t, 20)
	for i := range d.all {
		d.die(i)
	}
	began := time.Now()
	require.Eventually(t, func() bool { return l.refusals.Load() > 50 && l.searched.Load() > 5 && time.Since(began) >= outage() }, outage()+testWait, 20*time.Millisecond)
	for i := range d.all {
		d.comeBack(t, i)
	}
	l.more(t, 50)
	l.end(t)
	t.Logf("away for %.1f s: %d searches and %d writes, %d refused in between", time.Since(began).Seconds(), l.searches.Load(), l.writes.Load(), l.refusals.Load())
}
