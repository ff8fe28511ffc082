package revocation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	ended "github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
)

// endings is the number of entries: enough for several pages in CI, and 100,000 in the long proofs.
func endings() int {
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		return 100_000
	}
	return 2400
}

// served serves listRevocations from a feed, like the kms's handler.
func served(t *testing.T, feed *revocation.Feed) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		after, _ := strconv.ParseInt(query.Get("after"), 10, 64)
		limit, _ := strconv.Atoi(query.Get("limit"))
		seconds, _ := strconv.Atoi(strings.TrimPrefix(r.Header.Get("Prefer"), "wait="))
		page, err := feed.After(r.Context(), query.Get("feed"), after, limit, time.Duration(seconds)*time.Second)
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"feed": page.Feed, "position": page.Position, "items": page.Entries}) // the reader may be gone
	}))
	t.Cleanup(server.Close)
	return server
}

type anyToken struct{}

func (anyToken) Token(context.Context, string) (string, error) { return "token", nil }
func (anyToken) Forget(string)                                 {}

// reader is a follower with the entries that it has applied.
type reader struct {
	*ended.Follower
	stop  context.CancelFunc
	ended chan struct{}
	last  int64 // position that was applied
	gaps  int64
}

// readFrom follows from the beginning, like a process that was just started.
func readFrom(t *testing.T, url string) *reader {
	t.Helper()
	r := &reader{ended: make(chan struct{})}
	r.Follower = ended.NewFollower(ended.Config{
		KMSURL: url, Client: &http.Client{}, Credential: anyToken{}, Clock: clock.System, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Apply: func(_ context.Context, e ended.Entry) error {
			r.gaps += e.Position - r.last - 1 // positions come from one row, so none is skipped
			r.last = e.Position
			return nil
		},
	})
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() {
		defer close(r.ended)
		_ = r.Run(ctx) // it ends with ctx alone
	}()
	return r
}

func (r *reader) close() {
	r.stop()
	<-r.ended
}

// heap returns the size of the process's heap.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Four writers add 100,000 entries, on PostgreSQL at two replicas, with some transactions rolled back. Two followers, one of them restarted in the middle, know
// all committed entries without missing a position, and hold no more memory than the entries need.
func TestFollowers_missNothingOfManyEndingsBesideARestart(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB, feed *revocation.Feed, more func() (*store.DB, *revocation.Feed)) {
		otherDB, other := db, feed
		if db.Dialect() == store.PostgreSQL { // SQLite allows a single process
			otherDB, other = more()
		}
		background, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, f := range slices.Compact([]*revocation.Feed{feed, other}) {
			running.Go(func() { _ = f.Run(background, func() {}) }) // it ends with the context alone
		}
		runtime.GC()
		before, peak := heap(), atomic.Uint64{}
		running.Go(func() {
			for background.Err() == nil {
				peak.Store(max(peak.Load(), heap()))
				time.Sleep(20 * time.Millisecond)
			}
		})
		steady, restarted := readFrom(t, served(t, feed).URL), readFrom(t, served(t, other).URL)
		restartURL := restarted.KMSURL

		const writers, batch = 4, 100
		began := time.Now()
		var all sync.WaitGroup
		half := make(chan struct{})
		var once sync.Once
		var written atomic.Int64
		for w := range writers {
			all.Go(func() {
				to, by := db, feed
				if w%2 == 1 {
					to, by = otherDB, other
				}
				for n := 0; n < endings()/writers; n += batch {
					ids := make([]string, batch)
					for i := range ids {
						ids[i] = name(w, n+i)
					}
					if n%(10*batch) == 0 { // a rolled-back transaction uses no position
						err := to.Write(t.Context(), func(_ context.Context, tx *store.Tx) error {
							by.Append(tx, ended.Session, "rolled-back", 0)
							return errors.New("no")
						})
						if err == nil {
							t.Error("a transaction that fails is committed")
						}
					}
					if err := end(t.Context(), to, by, ids...); err != nil {
						t.Error(err)
						return
					}
					if written.Add(batch) >= int64(endings()/2) {
						once.Do(func() { close(half) })
					}
				}
			})
		}
		<-half
		restarted.close()
		known := restarted.last
		restarted = readFrom(t, restartURL)
		all.Wait()
		took := time.Since(began)
		for _, r := range []*reader{steady, restarted} {
			require.Eventually(t, func() bool { return knows(t, r, writers) }, time.Minute, 20*time.Millisecond)
			r.close()
			require.EqualValues(t, endings(), r.last)
			require.Zero(t, r.gaps)
		}
		runtime.GC()
		held := int64(heap()) - int64(before)
		stop()
		running.Wait()
		t.Logf("%d endings in %.1f s, restarted at position %d: both followers know all of them; held by the feeds and two followers %.1f MiB, at most %.1f MiB with garbage",
			endings(), took.Seconds(), known, float64(held)/(1<<20), float64(int64(peak.Load())-int64(before))/(1<<20))
		require.Less(t, held, int64(4*endings()*400+16<<20), "some 200 bytes for each ending in each set")
		runtime.KeepAlive([]*reader{steady, restarted})
	})
}

// name returns the ID of the session that a writer ends.
func name(writer, n int) string { return fmt.Sprintf("ses_%02d%024d", writer, n) }

// knows reports whether a follower refuses tokens of all sessions that were ended, and of no others.
func knows(t *testing.T, r *reader, writers int) bool {
	t.Helper()
	if gone, err := r.Revoked(&auth.Principal{Subject: "usr_1", SessionID: "rolled-back"}); err != nil || gone {
		require.False(t, gone)
		return false
	}
	for w := range writers {
		for n := endings()/writers - 1; n >= 0; n-- {
			if gone, err := r.Revoked(&auth.Principal{Subject: "usr_1", SessionID: name(w, n)}); err != nil || !gone {
				return false
			}
		}
	}
	return true
}
