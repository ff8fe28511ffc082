package store

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/fountainai/fountain/internal/tracing"
)

// A span shows the text of a slow statement, but not its arguments.
func TestTraces_haveASpanForEachStatement(t *testing.T) {
	var mu sync.Mutex
	var spans []*tracepb.Span
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data tracepb.TracesData
		if err != nil || proto.Unmarshal(body, &data) != nil {
			t.Error("no TracesData")
		}
		mu.Lock()
		defer mu.Unlock()
		spans = append(spans, data.ResourceSpans[0].ScopeSpans[0].Spans...)
	}))
	defer collector.Close()
	log := slog.New(slog.DiscardHandler)
	tracer, err := tracing.New(tracing.Options{
		Service: "test", Version: "0", Instance: "ins_1", Endpoint: collector.URL, Client: &http.Client{Timeout: 10 * time.Second}, Share: 1, Log: log,
		Registerer: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	migrations := fstest.MapFS{"00010_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (name TEXT PRIMARY KEY);\n")}}
	db, err := Open(t.Context(), Config{Dir: t.TempDir(), Name: "test", Log: log, Tracer: tracer, Migrations: []fs.FS{migrations}})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Ping(t.Context()), "what no request asked for is in no trace")

	ctx, end := tracer.Work(t.Context(), "request")
	insert := func(ctx context.Context, tx *Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO things (name) VALUES (?)", "hunter2")
		return err
	}
	require.NoError(t, db.Write(ctx, insert))
	require.True(t, IsUnique(db.Write(ctx, insert)))
	var names []string
	require.NoError(t, db.Read(ctx).Select(ctx, &names, "SELECT name FROM things WHERE name = ?", "hunter2"))
	require.Equal(t, []string{"hunter2"}, names)
	end(nil)
	tracer.Close()

	var got []string
	request := spans[len(spans)-1]
	for _, s := range spans[:len(spans)-1] {
		require.Equal(t, request.SpanId, s.ParentSpanId)
		require.NotContains(t, s.String(), "hunter2")
		require.Contains(t, s.String(), `"sqlite"`)
		name := s.Name
		if s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			name += " failed"
		}
		got = append(got, name)
	}
	require.Equal(t, []string{"BEGIN test", "INSERT test", "COMMIT test", "BEGIN test", "INSERT test failed", "SELECT test"}, got)
}
