package tracing

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

func (w *world) work(n int) {
	for range n {
		_, end := w.tracer.Work(w.t.Context(), "work")
		end(nil)
	}
}

// An alert for every batch would soon be ignored, so a failing collector is reported once.
func TestAccount_saysOnceThatTheCollectorFails(t *testing.T) {
	w := newWorld(t, 1)
	w.answers(http.StatusForbidden)
	for range 3 {
		w.work(2)
		w.flush()
	}
	require.Equal(t, 1, strings.Count(w.logged(), "does not accept traces"))
	require.Contains(t, w.logged(), "the collector answers 403")
	require.EqualValues(t, 6, w.count("failed"))
	require.Equal(t, 3, w.calls, "what is refused for good is not sent again")
	w.answers(http.StatusOK)
	w.work(1)
	w.flush()
	require.Equal(t, 1, strings.Count(w.logged(), "accepts traces again"))
	require.EqualValues(t, 1, w.count("sent"))
	require.Equal(t, "hunter2", w.header.Get("X-Key"))
	require.Equal(t, "application/x-protobuf", w.header.Get("Content-Type"))
	require.NotContains(t, w.logged(), "hunter2", "neither a header of ours nor the collector's text")
}

// A collector that does not answer must not use up the memory.
func TestBounded_dropsWhatTooManyWaitFor(t *testing.T) {
	w := newWorld(t, 1)
	w.mu.Lock() // the collector hangs
	w.work(maxPending + 100)
	require.EqualValues(t, maxPending, w.tracer.account.pending.Load())
	require.EqualValues(t, 100, w.count("dropped"))
	w.mu.Unlock()
	w.flush()
	require.EqualValues(t, maxPending, w.count("sent"))
	require.Zero(t, w.tracer.account.pending.Load())
}

func TestClose_sendsWhatWaits(t *testing.T) {
	w := newWorld(t, 1)
	w.work(3)
	w.tracer.Close()
	require.Len(t, w.sent(), 3)
	require.Empty(t, w.logged())
}

func TestUpload_triesAgainWhatMayPass(t *testing.T) {
	w := newWorld(t, 1)
	u := &uploader{url: w.collector.URL, client: http.DefaultClient, pause: time.Nanosecond}
	spans := []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: "x"}}}}}}
	w.answers(http.StatusBadRequest)
	require.ErrorContains(t, u.UploadTraces(t.Context(), spans), "answers 400")
	require.Equal(t, 1, w.calls)

	w.collector.Close()
	require.ErrorContains(t, u.UploadTraces(t.Context(), spans), "call the collector")

	again := 0
	passing := newWorld(t, 1)
	passing.collector.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if again++; again < attempts {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		passing.ServeHTTP(rw, r)
	})
	u.url = passing.collector.URL
	require.NoError(t, u.UploadTraces(t.Context(), spans))
	require.Equal(t, attempts, again)
	require.Len(t, passing.sent(), 1)
}
