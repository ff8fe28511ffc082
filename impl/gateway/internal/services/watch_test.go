package services

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
)

// A service is what the best of its targets says of itself.
func TestWatcher_tellsTheBestOfTheTargets(t *testing.T) {
	var status [2]atomic.Int64
	var targets []*url.URL
	for i := range status {
		status[i].Store(http.StatusServiceUnavailable)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/sample/v1/ready" {
				w.WriteHeader(int(status[i].Load()))
			}
		}))
		defer server.Close()
		u, err := url.Parse(server.URL)
		require.NoError(t, err)
		targets = append(targets, u)
	}
	set := upstream.New(upstream.Options{Targets: map[string][]*url.URL{"sample": targets}, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	w := NewWatcher([]*contract.Contract{{Word: "sample", BasePath: "/sample/v1"}, {Word: "elsewhere"}}, set, http.DefaultClient)
	require.Equal(t, "down", w.List()[0].State, "nobody has asked yet")
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { _ = w.Run(ctx) }) // it always succeeds
	defer watching.Wait()
	defer stop()
	becomes := func(state string, ready int) {
		t.Helper()
		require.Eventually(t, func() bool { s := w.List()[0]; return s.State == state && s.Ready == ready && s.Targets == 2 }, 10*time.Second, 5*time.Millisecond)
	}
	becomes("starting", 0)
	status[1].Store(http.StatusOK)
	becomes("ready", 1)
	status[0].Store(http.StatusOK)
	becomes("ready", 2)
	status[1].Store(http.StatusServiceUnavailable)
	becomes("ready", 1)
	require.Len(t, w.List(), 1)
}
