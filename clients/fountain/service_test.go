package fountain_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
)

// notesRequest returns a request to the adopted service "notes".
func notesRequest(t *testing.T, s *fountain.Service, method, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL()+"/v2/notes", io.NopCloser(strings.NewReader(body))) // a body that net/http cannot rewind
	require.NoError(t, err)
	return req
}

// A refused token is replaced, a busy gateway is asked again, and the body is the same each time.
func TestService_sendsTheSameRequestAgain(t *testing.T) {
	f := newFake(t)
	f.on("PUT /notes/v2/notes", func(w http.ResponseWriter, _ *http.Request, nth int) {
		switch nth {
		case 1:
			refuse(w, 401, fountain.CodeInvalidToken)
		case 2:
			refuse(w, 503, fountain.CodeOverloaded)
		default:
			answer(w, 200, map[string]string{"id": "a"})
		}
	})
	source := &source{}
	notes := f.client(t, fountain.WithTokenSource(source)).Service("notes")
	res, err := notes.Do(notesRequest(t, notes, "PUT", "text"))
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	seen := f.requests("/notes/v2/notes")
	require.Len(t, seen, 3)
	for i, r := range seen {
		require.Equal(t, "text", r.body)
		require.Equal(t, []string{"Bearer notes-1", "Bearer notes-2", "Bearer notes-2"}[i], r.header.Get("Authorization"))
	}
}

// source is a TokenSource that numbers its tokens by audience.
type source struct{ given int }

func (s *source) Token(_ context.Context, audience string) (string, error) {
	return audience + "-" + string(rune('1'+s.given)), nil
}

func (s *source) Invalidate(string) { s.given++ }

// A refusal that cannot be resolved is returned as a response.
func TestService_returnsRefusalsAsAnswers(t *testing.T) {
	f := newFake(t)
	f.on("POST /notes/v2/notes", func(w http.ResponseWriter, _ *http.Request, _ int) { refuse(w, 503, fountain.CodeOverloaded) })
	notes := f.client(t).Service("notes")
	res, err := notes.Do(notesRequest(t, notes, "POST", "text"))
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Len(t, f.requests("/notes/v2/notes"), 1, "it may have been done")
	err = fountain.ErrorOf("createNote", res, body)
	require.ErrorIs(t, err, fountain.ErrUnavailable)
	require.ErrorContains(t, err, "createNote: 503 overloaded")
	require.NoError(t, fountain.ErrorOf("createNote", &http.Response{StatusCode: 204}, nil))

	keyed := notesRequest(t, notes, "POST", "text")
	keyed.Header.Set("Idempotency-Key", "one")
	_, err = notes.Do(keyed)
	require.NoError(t, err)
	require.Len(t, f.requests("/notes/v2/notes"), 5, "four more: the key makes them one")
}

// A token for a service is sent to its address only.
func TestService_sendsNothingElsewhere(t *testing.T) {
	f := newFake(t)
	notes := f.client(t, fountain.WithTokenSource(&source{})).Service("notes")
	for _, address := range []string{f.URL + "/kms/v1/users", f.URL + "/notesmore", "https://elsewhere.example/notes/v2/notes", f.URL + "/"} {
		u, err := url.Parse(address)
		require.NoError(t, err)
		_, err = notes.Do(&http.Request{Method: "GET", URL: u, Header: http.Header{}})
		require.ErrorContains(t, err, "another address", address)
	}
	require.Empty(t, f.seen)
	req := notesRequest(t, notes, "BREW", "")
	_, err := notes.Do(req)
	require.ErrorContains(t, err, "method")
}

// If an operation requires a second factor, the callback is asked for it, and the raised token is for the service.
func TestService_stepsUp(t *testing.T) {
	f := newFake(t)
	f.on("POST /twofactor/v1/verify", func(w http.ResponseWriter, _ *http.Request, _ int) {
		answer(w, 200, map[string]any{"proof": "proof", "acr": "aal2", "amr": []string{"otp"}, "authTime": time.Now(), "expiresAt": time.Now()})
	})
	f.on("POST /kms/v1/auth/step-up", func(w http.ResponseWriter, _ *http.Request, _ int) { answer(w, 200, tokens("raised", "", 300)) })
	f.on("DELETE /notes/v2/notes", func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.Header.Get("Authorization") != "Bearer raised" {
			challenge(w)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	codes := 0
	notes := f.client(t, fountain.WithTokenSource(&source{}), fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) {
		codes++
		return "123456", nil
	})).Service("notes")
	for range 2 {
		res, err := notes.Do(notesRequest(t, notes, "DELETE", ""))
		require.NoError(t, err)
		require.Equal(t, 204, res.StatusCode)
	}
	require.Equal(t, 1, codes, "the raised token is used again")
	require.Contains(t, f.requests("/kms/v1/auth/step-up")[0].body, `"resource":"notes"`)
}
