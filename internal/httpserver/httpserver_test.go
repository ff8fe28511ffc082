package httpserver

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/problem"
)

const thing = `{"name":"hamlet"}`

// A request violates every check at once and is corrected step by step. The answer must always be that of the first check that still fails (DESIGN
// section 5).
func TestOrder_eachCheckComesBeforeTheNext(t *testing.T) {
	w := newWorld(t)
	w.ready = errors.New("the store is away")
	token := func(change ...func(*auth.Claims)) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", w.token(change...)) }
	}
	steps := []struct {
		code string
		mend func(r *http.Request)
	}{
		{"headers_too_large", func(r *http.Request) { r.Header.Del("X-Many") }},
		{"not_found", func(r *http.Request) { r.URL.Path, r.RequestURI = "/sample/v1/things", "/sample/v1/things?x=1" }},
		{"method_not_allowed", func(r *http.Request) { r.Method = http.MethodPost }},
		{"not_ready", func(*http.Request) { w.ready = nil }},
		{"authentication_required", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x.y.z") }},
		{"invalid_token", token(func(c *auth.Claims) { c.Audience = []string{"other"} })},
		{"invalid_token", token(func(c *auth.Claims) {
			c.Scope, c.Roles, c.ACR, c.Principal, c.Subject = "things:read", nil, "", auth.KindService, "svc_1"
		})},
		{"insufficient_scope", token(func(c *auth.Claims) { c.Roles, c.ACR, c.Principal, c.Subject = nil, "", auth.KindService, "svc_1" })},
		{"principal_not_allowed", token(func(c *auth.Claims) { c.Roles, c.ACR = nil, "" })},
		{"insufficient_role", token(func(c *auth.Claims) { c.ACR = "aal1" })},
		{"insufficient_user_authentication", token()},
		{"not_acceptable", func(r *http.Request) { r.Header.Del("Accept") }},
		{"unsupported_encoding", func(r *http.Request) { r.Header.Del("Content-Encoding") }},
		{"unsupported_media_type", func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }},
		{"idempotency_missing", func(r *http.Request) { r.Header.Set("Idempotency-Key", "0123456789") }},
		{"invalid_parameter", func(r *http.Request) { r.URL.RawQuery, r.RequestURI = "", "/sample/v1/things" }},
		{"body_too_large", func(r *http.Request) { r.ContentLength = int64(len(thing)) }},
	}
	r := httptest.NewRequest(http.MethodDelete, "/sample/v1/thing?x=1", untouchable{t})
	r.ContentLength = 1 << 30
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Content-Encoding", "gzip")
	for range 70 {
		r.Header.Add("X-Many", "x")
	}
	for _, step := range steps {
		require.Equal(t, step.code, code(t, w.do(r)))
		step.mend(r)
	}
	r.Body = io.NopCloser(strings.NewReader(thing))
	require.Equal(t, http.StatusNoContent, w.do(r).Code)
}

func TestNew_hidesTheReasonOfNothing(t *testing.T) {
	w := newWorld(t)
	w.handlers["listThings"] = func(rw http.ResponseWriter, r *http.Request) {
		ResponseError(rw, r, errors.New("dial tcp 10.0.0.7: password=hunter2"))
	}
	r := httptest.NewRequest(http.MethodGet, "/sample/v1/things", nil)
	r.Header.Set("Authorization", w.token())
	rec := w.do(r)
	require.Equal(t, "internal_error", code(t, rec))
	require.NotContains(t, rec.Body.String(), "hunter2")
	require.Contains(t, w.log.String(), "hunter2", "the log has the cause")
}

func TestNew_refusesToStartWithoutAVerifier(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Verifier = nil
	require.Panics(t, func() { New(o) })
}

func TestHandler_seesTheBodyThatWasChecked(t *testing.T) {
	w := newWorld(t)
	w.handlers["createThing"] = func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, thing, string(body))
		require.EqualValues(t, len(thing), r.ContentLength)
		op := OperationFrom(r.Context())
		require.Equal(t, "createThing", op.ID)
		p, ok := auth.FromContext(r.Context())
		require.True(t, ok)
		require.Equal(t, "usr_1", p.Subject)
		deadline, ok := r.Context().Deadline()
		require.True(t, ok)
		require.WithinDuration(t, time.Now().Add(op.Policy.Timeout), deadline, time.Second)
		require.Regexp(t, `^req_[0-9A-Z]{26}$`, RequestID(r.Context()))
		rw.WriteHeader(http.StatusNoContent)
	}
	rec := w.do(w.creation(strings.NewReader(thing)))
	require.Equal(t, http.StatusNoContent, rec.Code)
	require.Equal(t, "no-store", rec.Header().Get("Cache-Control"))
	require.Equal(t, "nosniff", rec.Header().Get("X-Content-Type-Options"))
}

func TestHandler_isNotReachedByWhatTheContractRefuses(t *testing.T) {
	w := newWorld(t)
	w.handlers["createThing"] = func(http.ResponseWriter, *http.Request) { t.Error("reached") }
	for body, want := range map[string]string{
		`{"name":"hamlet","name":"x"}`: "malformed_body", `{"name":1}`: "invalid_body", `{}`: "invalid_body", `{"name":"hamlet"} x`: "malformed_body",
		`{"name":"` + strings.Repeat("a", 9000) + `"}`: "body_too_large",
	} {
		require.Equal(t, want, code(t, w.do(w.creation(strings.NewReader(body)))))
	}
	chunked := w.creation(io.MultiReader(strings.NewReader(`{"name":"`), strings.NewReader(strings.Repeat("a", 9000))))
	chunked.ContentLength = -1
	require.Equal(t, "body_too_large", code(t, w.do(chunked)))
	empty := w.creation(nil)
	require.Equal(t, "malformed_body", code(t, w.do(empty)))
}

func TestProbes_answerWhenTheServiceIsNotReady(t *testing.T) {
	w := newWorld(t)
	w.ready = errors.New("it waits for its credential")
	require.Equal(t, http.StatusNoContent, w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil)).Code)
	rec := w.do(httptest.NewRequest(http.MethodPost, "/sample/v1/forms", strings.NewReader("name=a")))
	require.Equal(t, "not_ready", code(t, rec))
	require.NotEmpty(t, rec.Header().Get("Retry-After"))
}

func TestOptions_answersWithAllow(t *testing.T) {
	w := newWorld(t)
	rec := w.do(httptest.NewRequest(http.MethodOptions, "/sample/v1/things", nil))
	require.Equal(t, http.StatusNoContent, rec.Code)
	require.Equal(t, []string{"GET, HEAD, OPTIONS, POST"}, rec.Header()["Allow"])
	rec = w.do(httptest.NewRequest(http.MethodOptions, "/sample/v1/nothing", nil))
	require.Equal(t, "not_found", code(t, rec))
	require.Empty(t, rec.Header()["Allow"])
	rec = w.do(httptest.NewRequest(http.MethodDelete, "/sample/v1/things", nil))
	require.Equal(t, "method_not_allowed", code(t, rec))
	require.Equal(t, []string{"GET, HEAD, OPTIONS, POST"}, rec.Header()["Allow"])
	require.Equal(t, "method_unknown", code(t, w.do(httptest.NewRequest("BREW", "/sample/v1/things", nil))))
}

func TestHead_isGetWithoutABody(t *testing.T) {
	w := newWorld(t)
	w.handlers["getThing"] = func(rw http.ResponseWriter, r *http.Request) {
		require.Equal(t, http.MethodGet, r.Method)
		rw.Header().Set("ETag", `"7"`)
		rw.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(rw, thing)
	}
	server := httptest.NewServer(w.Handler)
	defer server.Close()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/sample/v1/things/1", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", w.token())
		res, err := server.Client().Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, `"7"`, res.Header.Get("ETag"))
		require.Equal(t, method == http.MethodGet, len(body) > 0)
	}
}

// Each of the five ways in which an error can leave a service ends in a problem.
func TestDoors_allLeadToProblems(t *testing.T) {
	const leak = "hunter2"
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		code    string
	}{
		"parameter":         {func(w http.ResponseWriter, r *http.Request) { ParameterError(w, r, errors.New(leak)) }, "invalid_parameter"},
		"request":           {func(w http.ResponseWriter, r *http.Request) { RequestError(w, r, errors.New(leak)) }, "malformed_body"},
		"request of a size": {func(w http.ResponseWriter, r *http.Request) { RequestError(w, r, &http.MaxBytesError{Limit: 1}) }, "body_too_large"},
		"request of ours": {func(w http.ResponseWriter, r *http.Request) {
			RequestError(w, r, problem.New(problem.InvalidBody, "x"))
		}, "invalid_body"},
		"response": {func(w http.ResponseWriter, r *http.Request) { ResponseError(w, r, errors.New(leak)) }, "internal_error"},
		"response of ours": {func(w http.ResponseWriter, r *http.Request) {
			ResponseError(w, r, problem.New(problem.AlreadyExists, "x"))
		}, "already_exists"},
		"response too late":   {func(w http.ResponseWriter, r *http.Request) { ResponseError(w, r, context.DeadlineExceeded) }, "timeout"},
		"router":              {unmounted, "internal_error"},
		"panic":               {func(http.ResponseWriter, *http.Request) { panic(leak) }, "internal_error"},
		"no answer, no error": {func(http.ResponseWriter, *http.Request) {}, "internal_error"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.handlers["sendText"] = c.handler
			r := httptest.NewRequest(http.MethodPost, "/sample/v1/texts", strings.NewReader("x"))
			r.Header.Set("Content-Type", "text/plain")
			r.Header.Set("Authorization", w.token())
			rec := w.do(r)
			require.Equal(t, c.code, code(t, rec))
			require.Equal(t, problem.MediaType, rec.Header().Get("Content-Type"))
			require.NotContains(t, rec.Body.String(), leak)
			require.Equal(t, rec.Header().Get("X-Request-Id"), requestIDOf(t, rec), "the header names the same request as the body")
			require.NoError(t, w.contract.Operation("sendText").CheckResponse(rec.Code, rec.Header(), rec.Body.Bytes()))
		})
	}
}

func requestIDOf(t *testing.T, rec *httptest.ResponseRecorder) string {
	t.Helper()
	var body struct {
		RequestID string `json:"requestId"`
	}
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &body))
	return body.RequestID
}

func TestErrors_afterTheFirstByteCutTheConnection(t *testing.T) {
	for name, fail := range map[string]func(http.ResponseWriter, *http.Request){
		"response error": func(w http.ResponseWriter, r *http.Request) { ResponseError(w, r, errors.New("broken")) },
		"panic":          func(http.ResponseWriter, *http.Request) { panic("broken") },
		"abort":          func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.handlers["followEvents"] = func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(rw, "data: 1\n\n")
				rw.(http.Flusher).Flush()
				fail(rw, r)
			}
			server := httptest.NewServer(w.Handler)
			defer server.Close()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/sample/v1/events", nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", w.token())
			res, err := server.Client().Do(r)
			require.NoError(t, err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			require.Error(t, err, "the client must see that the answer is not whole")
			require.Equal(t, "data: 1\n\n", string(body), "and no problem is appended")
		})
	}
}

func TestStream_isSentAtOnceAndOutlivesTheTimeout(t *testing.T) {
	w := newWorld(t)
	next := make(chan struct{})
	w.handlers["followEvents"] = func(rw http.ResponseWriter, r *http.Request) {
		deadline, ok := r.Context().Deadline()
		require.True(t, ok)
		require.Greater(t, time.Until(deadline), time.Minute, "the longest duration, not the timeout of 3 s")
		rw.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(rw, "data: x\n\n")
			rw.(http.Flusher).Flush()
			<-next
		}
	}
	server := httptest.NewServer(w.Handler)
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/sample/v1/events", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", w.token())
	res, err := server.Client().Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	buffer := make([]byte, 64)
	for range 3 {
		n, err := res.Body.Read(buffer)
		require.NoError(t, err)
		require.Equal(t, "data: x\n\n", string(buffer[:n]))
		next <- struct{}{}
	}
}

func TestOAuthOperation_failsInItsOwnForm(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodPost, "/sample/v1/tokens", strings.NewReader("grant_type=password"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	rec := w.do(r)
	require.Equal(t, 400, rec.Code)
	require.JSONEq(t, `{"error":"invalid_request","error_description":"The body does not match the contract."}`, rec.Body.String())
	r = httptest.NewRequest(http.MethodPost, "/sample/v1/tokens", strings.NewReader("x"))
	require.Equal(t, "unsupported_media_type", code(t, w.do(r)))
}

func TestPublicOperation_looksAtNoCredentials(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil)
	r.Header.Set("Authorization", "Bearer garbage")
	w.handlers["getHealth"] = func(rw http.ResponseWriter, r *http.Request) {
		_, ok := auth.FromContext(r.Context())
		require.False(t, ok)
		rw.WriteHeader(http.StatusNoContent)
	}
	rec := w.do(r)
	require.Equal(t, http.StatusNoContent, rec.Code)
	require.Empty(t, rec.Header().Get("Cache-Control"), "what is public may be kept if the handler says so")
}

func TestRequestID_isBelievedFromTrustedProxiesAlone(t *testing.T) {
	w := newWorld(t)
	const theirs = "req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
	for name, c := range map[string]struct {
		peer     string
		values   []string
		believed bool
	}{
		"trusted":         {"192.0.2.7:1234", []string{theirs}, true},
		"trusted, a UUID": {"192.0.2.7:1234", []string{"6f9619ff-8b86-4011-b42d-00c04fc964ff"}, true},
		"mapped":          {"[::ffff:192.0.2.7]:1234", []string{theirs}, true},
		"stranger":        {"203.0.113.1:1234", []string{theirs}, false},
		"odd form":        {"192.0.2.7:1234", []string{"x\" onload=1"}, false},
		"too long":        {"192.0.2.7:1234", []string{strings.Repeat("a", 300)}, false},
		"two":             {"192.0.2.7:1234", []string{theirs, theirs}, false},
		"no address":      {"@", []string{theirs}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil)
		r.RemoteAddr, r.Header["X-Request-Id"] = c.peer, c.values
		got := w.do(r).Header().Get("X-Request-Id")
		if c.believed {
			require.Equal(t, c.values[0], got, name)
		} else {
			require.Regexp(t, `^req_[0-9A-Z]{26}$`, got, name)
			require.NotEqual(t, theirs, got, name)
		}
	}
}

func TestLog_namesTheOperationAndNothingThatWasSent(t *testing.T) {
	w := newWorld(t)
	const marker = "hunter2marker"
	r := w.creation(strings.NewReader(`{"name":"` + marker + `X"}`))
	r.URL.RawQuery, r.RequestURI = "q="+marker, "/sample/v1/things?q="+marker
	r.Header.Set("X-Otp", marker)
	w.do(r)
	r = httptest.NewRequest(http.MethodGet, "/sample/v1/things/"+marker, nil)
	r.Header.Set("Authorization", w.token())
	w.do(r)
	w.do(httptest.NewRequest(http.MethodGet, "/"+marker, nil))
	log := w.log.String()
	require.NotContains(t, log, marker)
	require.NotContains(t, log, "Bearer")
	lines := strings.Split(strings.TrimSpace(log), "\n")
	require.Len(t, lines, 3)
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &line))
	require.Equal(t, "createThing", line["operationId"])
	require.Equal(t, "usr_1", line["subject"])
	require.Equal(t, "invalid_parameter", line["code"])
	require.EqualValues(t, 400, line["status"])
	require.NotEmpty(t, line["requestId"])
	require.Contains(t, lines[2], "unmatched")
}

func TestLog_isNoErrorWhenTheCallerLeft(t *testing.T) {
	for name, leaves := range map[string]bool{"left": true, "stayed": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			w.handlers["createThing"] = func(rw http.ResponseWriter, r *http.Request) {
				if leaves {
					leave()
				}
				ResponseError(rw, r, context.Canceled)
			}
			w.do(w.creation(strings.NewReader(`{"name":"x"}`)).WithContext(ctx))
			require.Equal(t, leaves, !strings.Contains(w.log.String(), `"level":"ERROR"`), w.log.String())
		})
	}
}

func TestMetrics_countByOperationAndStatus(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil))
	}
	w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/"+strings.Repeat("x", 9), nil))
	w.do(httptest.NewRequest(http.MethodGet, "/sample/v1/health?undeclared=1", nil))
	require.Equal(t, map[string]float64{"getHealth 204": 3, "getHealth 400": 1, "unmatched 404": 1}, w.requests())
	again := New(w.options()) // the same service, started again in this process
	again.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil))
	require.Equal(t, map[string]float64{"getHealth 204": 4, "getHealth 400": 1, "unmatched 404": 1}, w.requests())
}

// requests returns the request counter, by "operation status".
func (w *world) requests() map[string]float64 {
	families, err := w.registry.Gather()
	require.NoError(w.t, err)
	out := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "fountain_http_requests_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			out[strings.Join(labels, " ")] = m.GetCounter().GetValue()
		}
	}
	return out
}

func TestGuard_refusesWhatNoContractAllows(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		change func(*http.Request)
		code   string
	}{
		"long target":       {func(r *http.Request) { r.RequestURI = "/" + strings.Repeat("a", MaxTarget) }, "target_too_long"},
		"many fields":       {func(r *http.Request) { r.Header["X-A"] = make([]string, 65) }, "headers_too_large"},
		"large field":       {func(r *http.Request) { r.Header.Set("X-A", strings.Repeat("a", MaxHeaderBytes)) }, "headers_too_large"},
		"absolute form":     {func(r *http.Request) { r.URL.Host = "evil.example" }, "malformed_target"},
		"asterisk":          {func(r *http.Request) { r.URL.Path, r.RequestURI = "*", "*" }, "malformed_target"},
		"fragment":          {func(r *http.Request) { r.RequestURI = "/sample/v1/health#x" }, "malformed_target"},
		"read in two ways":  {func(r *http.Request) { r.RequestURI = "/sample/v1/%68ealth" }, "malformed_target"},
		"trailing slash":    {func(r *http.Request) { r.URL.Path, r.RequestURI = "/sample/v1/health/", "/sample/v1/health/" }, "not_found"},
		"NUL in the path":   {func(r *http.Request) { r.URL.Path, r.RequestURI = "/sample/v1/things/\x00", "/sample/v1/things/%00" }, "malformed_target"},
		"body that is none": {func(r *http.Request) { r.ContentLength, r.Body = 5, untouchable{t} }, "unexpected_body"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil)
		c.change(r)
		require.Equal(t, c.code, code(t, w.do(r)), name)
	}
}

// A service with a router of its own is not routed twice; its router creates the route context.
func TestNew_leadsStraightToAHandlerOfEverything(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	routed := true
	o.Mount = func(r chi.Router) {
		r.Handle("/*", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			routed = chi.RouteContext(r.Context()) != nil
			rw.WriteHeader(http.StatusNoContent)
		}))
	}
	w.Handler = New(o)
	require.Equal(t, http.StatusNoContent, w.do(w.creation(strings.NewReader(`{"name":"x"}`))).Code)
	require.False(t, routed)
}
