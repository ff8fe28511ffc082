package search

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A set reports whether the engine has it, and its entity tag changes with that for the same version.
func TestSets_tellWhatTheEngineHasOfThem(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	var status atomic.Int64 // of what the engine says to a change of a set; 0: it does it
	engine.failing(func(r *http.Request) int {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/stopwords/") {
			return int(status.Load())
		}
		return 0
	})
	told := func(body map[string]any) map[string]any { return body["engine"].(map[string]any) }
	read := func(kind string) (map[string]any, string) {
		a := w.must(t, 200, admin, "GET", "/sets/"+kind+"/small", "")
		return a.JSON(t), a.Header.Get("ETag")
	}
	become := func(state string) {
		require.Eventually(t, func() bool { now, _ := read("stopwords"); return told(now)["state"] == state }, 2*time.Minute, 100*time.Millisecond)
	}
	require.Equal(t, map[string]any{"state": "applied"}, told(w.must(t, 201, admin, "PUT", "/sets/stopwords/small", `{"stopwords":["the"]}`).JSON(t)))
	_, applied := read("stopwords")
	require.Equal(t, `"1-applied"`, applied)
	list := w.must(t, 200, admin, "GET", "/sets/stopwords", "").JSON(t)["items"].([]any)
	require.Equal(t, map[string]any{"state": "applied"}, told(list[0].(map[string]any)))

	status.Store(503)
	require.Equal(t, map[string]any{"state": "pending"}, told(w.must(t, 200, admin, "PUT", "/sets/stopwords/small", `{"stopwords":["the","a"]}`, "If-Match", applied).JSON(t)))
	status.Store(400)
	become("failed")
	now, tag := read("stopwords")
	require.Equal(t, `"2-failed"`, tag)
	require.Equal(t, map[string]any{"state": "failed", "code": "validation_failed", "message": "Not Ready or Lagging."}, told(now))
	status.Store(0)
	become("applied")

	w.must(t, 201, admin, "PUT", "/sets/presets/small", `{"preset":{"perPage":3}}`)
	preset, tag := read("presets")
	require.NotContains(t, preset, "engine")
	require.Equal(t, `"1"`, tag)
}
