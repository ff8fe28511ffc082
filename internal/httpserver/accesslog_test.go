package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// lines returns the access log.
func (w *world) lines() (lines []map[string]any) {
	for text := range strings.Lines(w.log.String()) {
		var line map[string]any
		require.NoError(w.t, json.Unmarshal([]byte(text), &line))
		if line["msg"] == "request" {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestAccessLog_hasOneLineForEachRequest(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodGet, "/sample/v1/things/hunter2", nil)
	r.Header.Set("Authorization", w.token())
	r.Header.Set("X-Request-Id", "req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P")
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	w.handlers["getThing"] = func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte("12345")) }
	w.do(r)
	w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/things/hunter2?token=hunter2", nil))
	w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil))
	w.do(httptest.NewRequest("HUNTER2", "/sample/v1/things", nil))
	lines := w.lines()
	require.Len(t, lines, 4)
	delete(lines[0], "time")
	require.Positive(t, lines[0]["tookMs"])
	delete(lines[0], "tookMs")
	require.Equal(t, map[string]any{
		"level": "INFO", "msg": "request", "requestId": "req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "method": "GET", "route": "/sample/v1/things/{thingId}", "operationId": "getThing",
		"status": 200.0, "client": "203.0.113.9", "bytes": 5.0, "subject": "usr_1",
	}, lines[0])
	require.Equal(t, "authenticate", lines[1]["refusedBy"])
	require.Equal(t, "authentication_required", lines[1]["code"])
	require.Equal(t, "DEBUG", lines[2]["level"], "a probe")
	require.Equal(t, "guard", lines[3]["refusedBy"])
	require.Equal(t, "INFO", lines[3]["level"], "a stranger raises no alarm")
	require.NotContains(t, strings.ToLower(w.log.String()), "hunter2")
}

// A service that waits for another one at its start is probed ten times a second. The reason is logged only when it changes.
func TestAccessLog_tellsOncePerChangeWhyAProbeIsRefused(t *testing.T) {
	w := newWorld(t)
	reason := "no key yet"
	w.handlers["getHealth"] = func(rw http.ResponseWriter, r *http.Request) {
		if reason != "" {
			problem.Write(rw, r, problem.New(problem.NotReady, reason))
			return
		}
		_, _ = rw.Write([]byte("{}"))
	}
	var seen []any
	for _, now := range []string{"no key yet", "no key yet", "no key yet", "no feed yet", "no feed yet", "", "", "no feed yet", "no feed yet"} {
		reason = now
		w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil))
	}
	for _, line := range w.lines() {
		if line["level"] != "DEBUG" {
			seen = append(seen, line["err"])
		}
	}
	require.Equal(t, []any{"not_ready: no key yet", "not_ready: no feed yet", "not_ready: no feed yet"}, seen)
}

func TestAccessLog_leavesOutWhatSucceededWhereThatIsSet(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	require.NoError(t, o.AccessLog.UnmarshalText([]byte("failures")))
	w.Handler = New(o)
	r := httptest.NewRequest(http.MethodGet, "/sample/v1/things/a", nil)
	r.Header.Set("Authorization", w.token())
	require.Equal(t, 204, w.do(r).Code)
	require.Empty(t, w.lines())
	w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/things/a", nil))
	require.Len(t, w.lines(), 1, "refusals always have a line")
}

// When a client disconnects, its request is cancelled. An error that the handler returns because of that is not logged as a fault of the service.
func TestAccessLog_callsACallerThatLeft499(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request){
		"nothing":       func(http.ResponseWriter, *http.Request) {},
		"its own error": func(rw http.ResponseWriter, r *http.Request) { problem.Write(rw, r, r.Context().Err()) },
		"another error": func(rw http.ResponseWriter, r *http.Request) { problem.Write(rw, r, errors.New("interrupted (9)")) },
		"unavailable": func(rw http.ResponseWriter, r *http.Request) {
			problem.Write(rw, r, problem.New(problem.Unavailable, "The database is busy."))
		},
		"cut": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ctx, leave := context.WithCancel(t.Context())
			w.handlers["getThing"] = func(rw http.ResponseWriter, r *http.Request) {
				leave()
				answer(rw, r)
			}
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/sample/v1/things/a", nil)
			r.Header.Set("Authorization", w.token())
			func() {
				defer func() { _ = recover() }() // as net/http does
				w.do(r)
			}()
			lines := w.lines()
			require.Len(t, lines, 1)
			require.EqualValues(t, 499, lines[0]["status"])
			require.Equal(t, "INFO", lines[0]["level"])
			require.Contains(t, w.metrics(), `status:499`)
		})
	}
}

// A failure with another cause is an error, whether or not the client is still waiting.
func TestAccessLog_callsAFaultAnError(t *testing.T) {
	w := newWorld(t)
	w.handlers["getThing"] = func(rw http.ResponseWriter, r *http.Request) { problem.Write(rw, r, errors.New("disk on fire")) }
	r := httptest.NewRequest(http.MethodGet, "/sample/v1/things/a", nil)
	r.Header.Set("Authorization", w.token())
	w.do(r)
	line := w.lines()[0]
	require.EqualValues(t, 500, line["status"])
	require.Equal(t, "ERROR", line["level"])
	require.Contains(t, line["err"], "disk on fire")
}

// metrics returns the counted requests as text.
func (w *world) metrics() string {
	families, err := w.registry.Gather()
	require.NoError(w.t, err)
	var out strings.Builder
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, pair := range m.GetLabel() {
				out.WriteString(pair.GetName() + ":" + pair.GetValue() + " ")
			}
		}
	}
	return out.String()
}
