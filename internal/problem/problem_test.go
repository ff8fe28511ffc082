package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/requestid"
)

const pages = "../../docs/problems"

func TestCodes_eachHasItsPageAndItsStatus(t *testing.T) {
	for _, c := range Codes() {
		text, err := os.ReadFile(filepath.Join(pages, string(c)+".md"))
		require.NoError(t, err, "every code has a page")
		require.Contains(t, string(text), "# "+c.Title()+"\n", c)
		require.Contains(t, string(text), fmt.Sprintf("`%s`, HTTP status %d\n", c, c.Status()), c)
		require.Equal(t, "/problems/"+string(c), c.TypeURI())
	}
}

func TestPages_eachHasItsCode(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(pages, "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		require.True(t, Code(strings.TrimSuffix(filepath.Base(f), ".md")).Known(), f)
	}
}

func TestNew_refusesACodeOutsideTheTable(t *testing.T) {
	e := New("made_up", "something")
	require.Equal(t, InternalError, e.Code)
	require.NotContains(t, e.Detail, "something")
	require.Contains(t, e.Error(), "made_up")
}

func TestError_isImmutable(t *testing.T) {
	base := New(NotFound, "There is no such key.")
	with := base.WithField("body", "/a", "type", "x").WithHeader("Allow", "GET").Wrap(errors.New("cause")).WithRetryAfter(time.Second)
	require.Empty(t, base.Fields)
	require.Nil(t, base.Header)
	require.NoError(t, base.Unwrap())
	require.Len(t, with.Fields, 1)
	other := with.WithField("body", "/b", "type", "y").WithHeader("Allow", "PUT")
	require.Len(t, with.Fields, 1)
	require.Equal(t, []string{"GET"}, with.Header["Allow"])
	require.Equal(t, []string{"GET", "PUT"}, other.Header["Allow"])
}

func TestError_isFoundByCode(t *testing.T) {
	err := fmt.Errorf("read key: %w", New(NotFound, "x").Wrap(errors.New("no rows")))
	require.ErrorIs(t, err, NotFound)
	require.ErrorIs(t, err, New(NotFound, "other words"))
	require.NotErrorIs(t, err, Gone)
}

func TestFields_stopAtSixteen(t *testing.T) {
	e := New(InvalidBody, "x")
	for i := range 20 {
		e = e.WithField("body", "/"+strconv.Itoa(i), "type", "m")
	}
	require.Len(t, e.Fields, MaxFields)
	require.True(t, e.Truncated)
}

func TestFrom_hidesWhatIsNotAProblem(t *testing.T) {
	e := From(errors.New("dial tcp 10.0.0.7: password=hunter2"))
	require.Equal(t, InternalError, e.Code)
	require.NotContains(t, string(Encode(e, "req_1")), "hunter2")
	require.Contains(t, e.Error(), "hunter2", "the log has the cause")
	require.Equal(t, Timeout, From(fmt.Errorf("query: %w", context.DeadlineExceeded)).Code)
	require.Equal(t, BodyTooLarge, From(&http.MaxBytesError{Limit: 1}).Code)
	require.Nil(t, From(nil))
}

func TestWithRetryAfter_roundsUp(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", 1500 * time.Millisecond: "2", time.Minute: "60"} {
		require.Equal(t, want, New(Overloaded, "x").WithRetryAfter(d).Header.Get("Retry-After"))
	}
}

func write(t *testing.T, ctx context.Context, method string, err error) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"7"`)
	w.Header().Set("Content-Length", "999")
	w.Header().Set("Cache-Control", "public")
	Write(w, httptest.NewRequest(method, "/x", nil).WithContext(ctx), err)
	return w
}

func TestWrite_sendsOneProblemDocument(t *testing.T) {
	ctx := requestid.With(t.Context(), "req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P")
	w := write(t, ctx, http.MethodGet, New(InsufficientUserAuthentication, "A second factor is needed.").
		WithAuthentication([]string{"aal2"}, 5*time.Minute).WithHeader("WWW-Authenticate", "Bearer x").Wrap(errors.New("secret cause")))
	require.Equal(t, 401, w.Code)
	require.Equal(t, MediaType, w.Header().Get("Content-Type"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	require.Equal(t, []string{"Bearer x"}, w.Header()["Www-Authenticate"])
	require.Empty(t, w.Header().Get("ETag"))
	require.Empty(t, w.Header().Get("Content-Length"))
	require.JSONEq(t, `{"type":"/problems/insufficient_user_authentication",
		"title":"Stronger authentication required","status":401,"detail":"A second factor is needed.","code":"insufficient_user_authentication",
		"instance":"urn:fountain:request:req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P","requestId":"req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P",
		"acrValues":["aal2"],"maxAge":300}`, w.Body.String())
}

func TestWrite_sendsNoBodyToHead(t *testing.T) {
	w := write(t, t.Context(), http.MethodHead, New(NotFound, "x"))
	require.Equal(t, 404, w.Code)
	require.Zero(t, w.Body.Len())
}

func TestWrite_challengesEvery401(t *testing.T) {
	require.Equal(t, `Bearer realm="fountain"`, write(t, t.Context(), "POST", New(InvalidCredentials, "x")).Header().Get("WWW-Authenticate"))
	require.Equal(t, `Basic realm="fountain"`, write(t, t.Context(), "POST", New(InvalidClient, "x")).Header().Get("WWW-Authenticate"))
	require.Empty(t, write(t, t.Context(), "POST", New(Forbidden, "x")).Header().Get("WWW-Authenticate"))
}

func TestWrite_speaksOAuthWhereTheContractSaysSo(t *testing.T) {
	for code, want := range map[Code]struct {
		status int
		name   string
	}{
		InvalidGrant: {400, "invalid_grant"}, InvalidClient: {401, "invalid_client"}, MalformedBody: {400, "invalid_request"},
		InvalidBody: {400, "invalid_request"}, InvalidScope: {400, "invalid_scope"}, AuthenticationRequired: {401, "invalid_client"},
		Forbidden: {400, "invalid_request"},
	} {
		w := write(t, WithOAuthErrors(t.Context()), http.MethodPost, New(code, "why"))
		var body map[string]string
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		require.Equal(t, map[string]string{"error": want.name, "error_description": "why"}, body, code)
		require.Equal(t, want.status, w.Code, code)
		require.Equal(t, "application/json", w.Header().Get("Content-Type"))
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	}
	for _, code := range []Code{RateLimited, NotReady, InternalError, UnsupportedMedia, BodyTooLarge} {
		w := write(t, WithOAuthErrors(t.Context()), http.MethodPost, New(code, "why"))
		require.Equal(t, MediaType, w.Header().Get("Content-Type"), code)
		require.Equal(t, code.Status(), w.Code)
	}
}

type recorder struct {
	*httptest.ResponseRecorder
	seen *Error
}

func (r *recorder) RecordProblem(e *Error) { r.seen = e }

func TestWrite_tellsTheLogTheCause(t *testing.T) {
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	cause := errors.New("disk is full")
	Write(w, httptest.NewRequest("GET", "/", nil), cause)
	require.ErrorIs(t, w.seen, cause)
	require.NotContains(t, w.Body.String(), "disk")
}
