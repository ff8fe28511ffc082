package services

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/openapi"
)

// The state of a service is the best one of its targets.
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
	w := NewWatcher([]*contract.Contract{{Word: "sample", BasePath: "/sample/v1"}, {Word: "elsewhere"}}, set, http.DefaultClient, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
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

// A target with a different contract is reported once per change, and still gets requests.
func TestWatcher_tellsOfTargetsThatKeepAnotherContract(t *testing.T) {
	text := []byte("openapi: 3.0.3")
	var digest atomic.Value
	digest.Store(openapi.DigestOf(text))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"status":"ready","service":"sample","contractDigest":%q}`, digest.Load())
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	set := upstream.New(upstream.Options{Targets: map[string][]*url.URL{"sample": {u}}, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	var log bytes.Buffer
	w := NewWatcher([]*contract.Contract{{Word: "sample", BasePath: "/sample/v1", Document: text}}, set, http.DefaultClient, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	target := set.Service("sample").Targets()[0]
	look := func() {
		state, said, err := w.get(t.Context(), server.URL)
		require.NoError(t, err)
		require.Equal(t, upstream.Ready, state)
		w.skew.note(t.Context(), w.watched["sample"].Status, target, said)
	}
	look()
	require.Zero(t, w.List()[0].Skewed)
	require.Empty(t, log.String())
	digest.Store(openapi.DigestOf([]byte("openapi: 3.1.0")))
	look()
	look()
	require.Equal(t, 1, w.List()[0].Skewed)
	require.InDelta(t, 1, testutil.ToFloat64(w.skew.targets.WithLabelValues("sample")), 0)
	digest.Store(openapi.DigestOf(text))
	look()
	require.Zero(t, w.List()[0].Skewed)
	require.Equal(t, 1, strings.Count(log.String(), "has a different contract"))
	require.Equal(t, 1, strings.Count(log.String(), "contract again"))
}

// Adopted services come and go while the watcher runs. Only whether they accept connections is known.
func TestWatch_followsServicesThatComeAndGo(t *testing.T) {
	set := upstream.New(upstream.Options{Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
	registry := prometheus.NewRegistry()
	w := NewWatcher(nil, set, http.DefaultClient, slog.New(slog.DiscardHandler), registry)
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { _ = w.Run(ctx) }) // it always succeeds
	defer watching.Wait()
	defer stop()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	is := func(state string) func() bool {
		return func() bool { return len(w.List()) == 1 && w.List()[0].State == state }
	}

	notes := &contract.Contract{Word: "notes", Mount: "/notes", BasePath: "/notes/v1"}
	set.Put("notes", []*url.URL{u}, nil)
	w.Watch(notes, Connecting)
	require.Eventually(t, is("ready"), 10*time.Second, 5*time.Millisecond)
	require.True(t, w.List()[0].Adopted)

	newer := *notes
	newer.Version = "2.0.0"
	w.Watch(&newer, Connecting)
	require.Equal(t, "ready", w.List()[0].State, "a new contract says nothing of the health")
	require.Equal(t, "2.0.0", w.List()[0].ContractVersion)

	server.Close()
	require.Eventually(t, is("down"), 20*time.Second, 5*time.Millisecond)

	w.Leave("notes")
	require.Empty(t, w.List())
	w.Leave("notes") // there is none
}
