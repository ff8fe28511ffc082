package kms_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain/verify"
	api "github.com/fountainai/fountain/clients/kms"
)

// consumer is a service of another team that verifies tokens with clients/fountain/verify and follows the feed with its own key.
func (h *house) consumer(name string, key *api.APIKeyWithSecret) *verify.Verifier {
	h.t.Helper()
	base := h.url + "/kms/v1"
	v, err := verify.New(verify.Config{
		Issuer: issuer, Audience: name, JWKSURL: base + "/.well-known/jwks.json", Client: h.http, Now: h.clock.Now, Log: slog.New(slog.DiscardHandler),
		Feed: &verify.Feed{KMSURL: h.url, TokenURL: base + "/oauth2/token", APIKey: func() (string, error) { return key.Key, nil }},
	})
	require.NoError(h.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	h.t.Cleanup(func() { cancel(); require.NoError(h.t, <-done) })
	return v
}

// A service that was registered with revocations:read learns from the feed what has ended, with only its own key.
func TestConsumer_learnsByTheFeedWhatHasEnded(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		prover := h.prover()
		raised := prover.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		_, key := h.resourceServer("notes", raised, []string{"revocations:read"}, "notes:read")
		require.Equal(t, http.StatusCreated, h.putRole("author", raised, nil, "notes:read").StatusCode())
		h.user("grace", "author", raised)
		v := h.consumer("notes", key)
		require.Eventually(t, func() bool { return v.Ready(t.Context()) == nil }, 10*time.Second, 10*time.Millisecond)

		login := h.login("grace", userPassword)
		forNotes := h.post(refreshFor(*login.RefreshToken, "notes"), nil)
		p, err := v.Verify(t.Context(), forNotes.AccessToken)
		require.NoError(t, err)
		require.Equal(t, []string{"notes:read"}, p.Scopes)
		require.Equal(t, verify.User, p.Kind)
		_, err = v.Verify(t.Context(), login.AccessToken)
		require.Error(t, err, "a token for the family is not for notes")
		stepped, err := v.Verify(t.Context(), prover.raise(h.login("grace", userPassword).AccessToken, "notes"))
		require.NoError(t, err)
		require.NoError(t, v.StepUp(stepped, verify.StepUp{ACR: "aal2", MaxAge: 5 * time.Minute}))

		out, err := h.client.LogoutUserWithResponse(t.Context(), nil, bearer(login.AccessToken))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, out.StatusCode())
		require.Eventually(t, func() bool { _, err := v.Verify(t.Context(), forNotes.AccessToken); return err != nil }, 10*time.Second, 10*time.Millisecond)
	})
}

// Without the scope, a service of another team can't read the feed, and then accepts no token.
func TestConsumer_withoutTheScopeReadsNoFeed(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	_, key := h.resourceServer("notes", raised, []string{}, "notes:read")
	got := h.ask(key.APIKey.ID, key.Key, "kms")
	require.Equal(t, "keys:rotate-own", got.JSON200.Scope)
	feed, err := h.client.ListRevocationsWithResponse(t.Context(), nil, bearer(got.JSON200.AccessToken))
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, feed.StatusCode())
	require.Equal(t, "insufficient_scope", code(feed.Body))
}
