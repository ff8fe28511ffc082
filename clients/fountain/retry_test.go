package fountain_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
)

var whoIsThere = sequence.ElementCreate{Data: json.RawMessage(`{"text":"Who's there?"}`)}

func TestCreate_keepsItsIdempotencyKeyAcrossRetries(t *testing.T) {
	f := newFake(t)
	f.on("POST "+elementsPath, func(w http.ResponseWriter, _ *http.Request, nth int) {
		switch nth {
		case 1:
			drop(w)
		case 2:
			refuse(w, http.StatusServiceUnavailable, fountain.CodeOverloaded)
		case 3:
			refuse(w, http.StatusConflict, fountain.CodeIdempotencyInFlight)
		default:
			sendElement(w, http.StatusCreated)
		}
	})
	var info fountain.Response
	got, err := f.client(t).Sequence.CreateElement(t.Context(), "hamlet", "spokenWord", whoIsThere, fountain.WithResponse(&info))
	require.NoError(t, err)
	require.Equal(t, int64(1), got.Number)
	require.Equal(t, fountain.Response{Status: 201, Header: info.Header, ETag: fountain.IfMatch(1), Attempts: 4}, info)

	sent := f.requests(elementsPath)
	require.Len(t, sent, 4)
	for _, s := range sent {
		require.Equal(t, sent[0].header.Get("Idempotency-Key"), s.header.Get("Idempotency-Key"))
		require.JSONEq(t, `{"data":{"text":"Who's there?"}}`, s.body)
	}
	require.Regexp(t, `^[A-Za-z0-9_.:~-]{8,128}$`, sent[0].header.Get("Idempotency-Key"))

	_, err = f.client(t).Sequence.CreateElement(t.Context(), "hamlet", "spokenWord", whoIsThere, fountain.WithIdempotencyKey("import-0001"))
	require.NoError(t, err)
	require.Equal(t, "import-0001", f.requests(elementsPath)[4].header.Get("Idempotency-Key"))
}

func TestReorder_isNotRepeatedWhenTheAnswerIsLost(t *testing.T) {
	f := newFake(t)
	f.on("POST "+reorderPath, func(w http.ResponseWriter, _ *http.Request, _ int) { drop(w) })
	_, err := f.client(t).Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", sequence.Reorder{Order: []string{"b", "a"}})
	require.Error(t, err)
	require.Len(t, f.requests(reorderPath), 1)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// If a conditional change were repeated, it could be refused because of its own effect.
func TestRetry_leavesAChangeWithAConditionToTheCaller(t *testing.T) {
	f := newFake(t)
	const document, sync = "/search/v1/collections/plays/documents/1", "/search/v1/collections/plays/documents/sync"
	var answers atomic.Pointer[func(w http.ResponseWriter, nth int)] // a request whose connection was dropped may still be running
	for _, at := range []string{"PUT " + document, "POST " + sync} {
		f.on(at, func(w http.ResponseWriter, _ *http.Request, nth int) { (*answers.Load())(w, nth) })
	}
	c := f.client(t)
	tag, version := string(fountain.IfMatch(3)), int64(3)
	put := func(match *string) error {
		return c.Search.PutDocument(t.Context(), "plays", "1", &search.PutDocumentParams{IfMatch: match}, json.RawMessage(`{"id":"1"}`))
	}
	syncs := func(version *int64) error {
		_, err := c.Search.SyncDocuments(t.Context(), "plays", search.DocumentSync{Items: []search.SyncItem{{Op: search.SyncItemOpDelete, ID: "1"}, {Op: search.SyncItemOpDelete, ID: "2", IfVersion: version}}})
		return err
	}
	attempts := func(call func() error) int {
		before := f.count()
		require.Error(t, call())
		return f.count() - before
	}
	lost := func(w http.ResponseWriter, _ int) { drop(w) }
	away := func(w http.ResponseWriter, _ int) { refuse(w, 503, fountain.CodeEngineUnavailable) }
	for name, answer := range map[string]func(http.ResponseWriter, int){"the answer is lost": lost, "a part may be done": away} {
		answers.Store(&answer)
		require.Equal(t, 1, attempts(func() error { return put(&tag) }), name)
		require.Equal(t, 1, attempts(func() error { return syncs(&version) }), name)
		require.Equal(t, 4, attempts(func() error { return put(nil) }), name)
		require.Equal(t, 4, attempts(func() error { return syncs(nil) }), name)
	}
	for code, status := range map[fountain.Code]int{fountain.CodeConcurrencyLimited: 429, fountain.CodeNotReady: 503} { // nothing was done
		answer := func(w http.ResponseWriter, _ int) { refuse(w, status, code) }
		answers.Store(&answer)
		require.Equal(t, 4, attempts(func() error { return put(&tag) }), code)
		require.Equal(t, 4, attempts(func() error { return syncs(&version) }), code)
	}
}

func TestReorder_isRepeatedWhenNoConnectionWasMade(t *testing.T) {
	f := newFake(t)
	f.on("POST "+reorderPath, func(w http.ResponseWriter, _ *http.Request, _ int) {
		answer(w, 200, map[string]any{"changes": []any{}})
	})
	tries := 0
	c := f.client(t, fountain.WithMiddleware(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if tries++; tries < 3 {
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			return next.RoundTrip(r)
		})
	}))
	_, err := c.Sequence.ReorderElements(t.Context(), "hamlet", "spokenWord", sequence.Reorder{Order: []string{"b", "a"}})
	require.NoError(t, err)
	require.Equal(t, 3, tries)
}

func TestRetry_waitsAsRetryAfterSaysAndGivesUpWhenThatIsTooLong(t *testing.T) {
	f := newFake(t)
	after := "0"
	f.on("GET "+elementsPath, func(w http.ResponseWriter, _ *http.Request, nth int) {
		if nth == 2 {
			answer(w, 200, map[string]any{"items": []any{}})
			return
		}
		w.Header().Set("Retry-After", after)
		refuse(w, http.StatusTooManyRequests, fountain.CodeRateLimited)
	})
	c := f.client(t)
	_, err := c.Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	require.NoError(t, err)

	after = "3600"
	_, err = c.Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	require.ErrorIs(t, err, fountain.ErrRateLimited)
	var e *fountain.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, time.Hour, e.RetryAfter)
	require.Len(t, f.requests(elementsPath), 3)
}

func TestRetry_endsWithTheContextThePolicyAndTheBudget(t *testing.T) {
	f := newFake(t)
	f.on("GET "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) {
		refuse(w, http.StatusServiceUnavailable, fountain.CodeNotReady)
	})
	list := func(ctx context.Context, c *fountain.Client, opts ...fountain.CallOption) int {
		before := len(f.requests(elementsPath))
		_, err := c.Sequence.ListElements(ctx, "hamlet", "spokenWord", nil, opts...)
		require.ErrorIs(t, err, fountain.ErrUnavailable)
		return len(f.requests(elementsPath)) - before
	}
	c := f.client(t)
	require.Equal(t, 4, list(t.Context(), c))
	require.Equal(t, 1, list(t.Context(), c, fountain.WithoutRetry()))
	require.Equal(t, 1, list(t.Context(), c, fountain.WithOTP("123456")), "a code works once")

	slow := f.client(t, fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 4, Base: time.Hour, MaxWait: time.Hour}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.Equal(t, 1, list(ctx, slow), "no time is left for the wait")

	for range 40 { // 3 retries, which cost 5 each, use up the budget of 500
		list(t.Context(), c)
	}
	require.Equal(t, 1, list(t.Context(), c))
}

func TestResponse_largerThanTheLimitIsAnErrorAndNotRepeated(t *testing.T) {
	f := newFake(t)
	f.on("GET "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) { sendElement(w, 200) })
	_, err := f.client(t, fountain.WithMaxResponse(16)).Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	require.ErrorIs(t, err, fountain.ErrResponseTooLarge)
	require.Len(t, f.requests(elementsPath), 1)
}

func TestRedirect_isNotFollowed(t *testing.T) {
	f := newFake(t)
	f.on("GET "+elementsPath, func(w http.ResponseWriter, r *http.Request, _ int) {
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	c := f.client(t, fountain.WithTokenSource(fountain.TokenSourceFunc(func(context.Context, string) (string, error) { return "at", nil })))
	_, err := c.Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	require.ErrorIs(t, err, fountain.ErrUnexpectedResponse)
	require.Empty(t, f.requests("/elsewhere"))
}

func TestArguments_thatWouldNameAnotherResourceAreRefused(t *testing.T) {
	f := newFake(t)
	c := f.client(t)
	for _, id := range []string{"", ".", "..", "../../x"} {
		_, err := c.Sequence.GetElement(t.Context(), "hamlet", "spokenWord", id)
		if id == "../../x" { // escaped, so it stays one segment, which the server refuses
			require.ErrorIs(t, err, fountain.ErrUnexpectedResponse)
			continue
		}
		require.ErrorContains(t, err, "argument of the path", "%q", id)
	}
	require.Len(t, f.seen, 1)
}
