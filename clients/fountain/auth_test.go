package fountain_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

// guardedList returns the list of elements for the token in accepted, and 401 for any other.
func (f *fake) guardedList(accepted *atomic.Value) {
	f.on("GET "+elementsPath, func(w http.ResponseWriter, r *http.Request, _ int) {
		if r.Header.Get("Authorization") != "Bearer "+accepted.Load().(string) {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			refuse(w, http.StatusUnauthorized, fountain.CodeInvalidToken)
			return
		}
		answer(w, 200, map[string]any{"items": []any{}})
	})
}

func holding(token string) *atomic.Value {
	var v atomic.Value
	v.Store(token)
	return &v
}

func TestUser_signsInOnceForManyCallers(t *testing.T) {
	f := newFake(t)
	f.guardedList(holding("at1"))
	f.on("POST /kms/v1/auth/login", func(w http.ResponseWriter, _ *http.Request, nth int) {
		answer(w, 200, tokens(fmt.Sprintf("at%d", nth), "rt1", 600))
	})
	c := f.client(t, fountain.WithUser("ada", "correct horse battery"))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := c.Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	logins := f.requests("/kms/v1/auth/login")
	require.Len(t, logins, 1)
	require.Empty(t, logins[0].header.Get("Authorization"))
}

func TestUser_renewsWhenATokenIsRefusedAndSignsInAgainWhenTheSessionEnded(t *testing.T) {
	f := newFake(t)
	accepted := holding("at1")
	f.guardedList(accepted)
	f.on("POST /kms/v1/auth/login", func(w http.ResponseWriter, _ *http.Request, nth int) {
		answer(w, 200, tokens([]string{"at1", "at3", "at4", "at5"}[nth-1], "rt"+fmt.Sprint(nth), 600))
	})
	f.on("POST /kms/v1/auth/refresh", func(w http.ResponseWriter, _ *http.Request, nth int) {
		if nth == 1 {
			answer(w, 200, tokens("at2", "rt9", 600))
			return
		}
		refuse(w, http.StatusUnauthorized, fountain.CodeSessionEnded)
	})
	c := f.client(t, fountain.WithUser("ada", "correct horse battery"))
	list := func() error { _, err := c.Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil); return err }
	require.NoError(t, list())
	accepted.Store("at2")
	require.NoError(t, list())
	accepted.Store("at3")
	require.NoError(t, list())
	refreshes := f.requests("/kms/v1/auth/refresh")
	require.Len(t, refreshes, 2)
	require.JSONEq(t, `{"refreshToken":"rt1"}`, refreshes[0].body)
	require.JSONEq(t, `{"refreshToken":"rt9"}`, refreshes[1].body)

	accepted.Store("nobody has it")
	require.ErrorIs(t, list(), fountain.ErrUnauthenticated, "a refused token is replaced once, not for ever")
}

func TestRefreshToken_isRotatedBeforeItsAccessTokenIsUsed(t *testing.T) {
	f := newFake(t)
	var kept []string
	f.on("GET "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) {
		require.Equal(t, []string{"rt2"}, kept)
		answer(w, 200, map[string]any{"items": []any{}})
	})
	f.on("POST /kms/v1/auth/refresh", func(w http.ResponseWriter, _ *http.Request, nth int) {
		if nth == 1 {
			drop(w) // the response is lost; within the grace period it can be requested again
			return
		}
		answer(w, 200, tokens("at1", "rt2", 600))
	})
	c := f.client(t, fountain.WithRefreshToken("rt1", func(token string) { kept = append(kept, token) }))
	_, err := c.Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	require.NoError(t, err)
	for _, r := range f.requests("/kms/v1/auth/refresh") {
		require.JSONEq(t, `{"refreshToken":"rt1"}`, r.body)
	}
}

func TestRefreshToken_thatEndedIsAnErrorWithoutTheToken(t *testing.T) {
	f := newFake(t)
	f.on("POST /kms/v1/auth/refresh", func(w http.ResponseWriter, _ *http.Request, _ int) {
		refuse(w, http.StatusUnauthorized, fountain.CodeSessionEnded)
	})
	c := f.client(t, fountain.WithRefreshToken("rt_secret", nil))
	_, err := c.Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	require.ErrorIs(t, err, fountain.CodeSessionEnded)
	require.ErrorContains(t, err, "sign in again")
	require.NotContains(t, err.Error(), "rt_secret")
}

func TestAPIKey_isTradedOncePerService(t *testing.T) {
	f := newFake(t)
	f.guardedList(holding("for-sequence"))
	f.on("POST /kms/v1/oauth2/token", func(w http.ResponseWriter, r *http.Request, _ int) {
		form, err := url.ParseQuery(f.requests("/kms/v1/oauth2/token")[len(f.requests("/kms/v1/oauth2/token"))-1].body)
		require.NoError(t, err)
		require.Equal(t, "client_credentials", form.Get("grant_type"))
		require.Equal(t, "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", form.Get("client_id"))
		require.Equal(t, testKey, form.Get("client_secret"))
		answer(w, 200, tokens("for-"+form.Get("resource"), "", 900))
	})
	f.on("GET /kms/v1/keys", func(w http.ResponseWriter, r *http.Request, _ int) {
		require.Equal(t, "Bearer for-kms", r.Header.Get("Authorization"))
		answer(w, 200, map[string]any{"items": []any{}})
	})
	c := f.client(t, fountain.WithAPIKey(testKey))
	for range 3 {
		_, err := c.Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
		require.NoError(t, err)
		_, err = c.KMS.ListAPIKeys(t.Context(), nil)
		require.NoError(t, err)
	}
	require.Len(t, f.requests("/kms/v1/oauth2/token"), 2)
}

func TestAPIKey_refusedIsAnOAuthErrorWithoutTheKey(t *testing.T) {
	f := newFake(t)
	f.on("POST /kms/v1/oauth2/token", func(w http.ResponseWriter, _ *http.Request, _ int) {
		answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "The client is unknown."})
	})
	_, err := f.client(t, fountain.WithAPIKey(testKey)).Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	require.ErrorIs(t, err, fountain.CodeInvalidClient)
	var e *fountain.Error
	require.ErrorAs(t, err, &e)
	require.True(t, e.OAuth)
	require.Equal(t, "The client is unknown.", e.Detail)
	require.NotContains(t, err.Error(), "fk_live")
}

func TestNew_refusesWhatCannotWorkWithoutEchoingIt(t *testing.T) {
	for name, opts := range map[string][]fountain.Option{
		"two credentials": {fountain.WithUser("ada", "hunter2hunter2"), fountain.WithAPIKey(testKey)},
		"malformed key":   {fountain.WithAPIKey("hunter2")},
		"empty refresh":   {fountain.WithRefreshToken("", nil)},
		"no attempts":     {fountain.WithRetry(fountain.RetryPolicy{})},
	} {
		_, err := fountain.New("http://127.0.0.1:1", opts...)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "hunter2", name)
	}
	for _, address := range []string{"", "127.0.0.1:8002", "ftp://x", "http://u:p@x", "http://x?y", "http://x#y"} {
		_, err := fountain.New(address)
		require.Error(t, err, address)
	}
}

func TestSignOut_endsTheSessionAndForgetsIt(t *testing.T) {
	f := newFake(t)
	f.on("POST /kms/v1/auth/refresh", func(w http.ResponseWriter, _ *http.Request, _ int) { answer(w, 200, tokens("at1", "rt2", 600)) })
	f.on("POST /kms/v1/auth/logout", func(w http.ResponseWriter, r *http.Request, _ int) {
		require.Equal(t, "Bearer at1", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNoContent)
	})
	c := f.client(t, fountain.WithRefreshToken("rt1", nil))
	require.NoError(t, c.SignOut(t.Context()))
	_, err := c.Token(t.Context(), "sequence")
	require.ErrorContains(t, err, "sign in again")
}

func TestTokenSource_hearsOfRefusedTokens(t *testing.T) {
	f := newFake(t)
	f.guardedList(holding("new"))
	source := &switching{}
	_, err := f.client(t, fountain.WithTokenSource(source)).Sequence.ListElements(t.Context(), "hamlet", "spokenWord", nil)
	require.NoError(t, err)
	require.Equal(t, "old", source.refused)
}

type switching struct{ refused string }

func (s *switching) Token(context.Context, string) (string, error) {
	if s.refused == "" {
		return "old", nil
	}
	return "new", nil
}
func (s *switching) Invalidate(token string) { s.refused = token }

func TestRaw_sendsExactlyWhatItIsGiven(t *testing.T) {
	f := newFake(t)
	f.on("POST "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) {
		refuse(w, http.StatusServiceUnavailable, fountain.CodeOverloaded)
	})
	source := fountain.TokenSourceFunc(func(context.Context, string) (string, error) { return "at", nil })
	raw := f.client(t, fountain.WithTokenSource(source)).Raw()
	anonymous := func(_ context.Context, r *http.Request) error { r.Header.Set("Authorization", ""); return nil }
	for _, editors := range [][]sequence.RequestEditorFn{nil, {anonymous}} {
		resp, err := raw.Sequence.CreateElement(t.Context(), "hamlet", "spokenWord", nil, whoIsThere, editors...)
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
	}
	sent := f.requests(elementsPath)
	require.Len(t, sent, 2)
	require.Equal(t, "Bearer at", sent[0].header.Get("Authorization"))
	require.NotContains(t, sent[1].header, "Authorization")
	require.NotContains(t, sent[0].header, "Idempotency-Key")
	require.Equal(t, f.URL+elementsPath, raw.URL("sequence", "/scopes/hamlet/spokenWord/elements"))
}
