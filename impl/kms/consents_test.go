package kms_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
)

// stranger is a web app of another team that grace has allowed to sign her in.
func stranger(h *house) *webapp {
	w := newWebapp(h, func(c *api.ClientCreate) { c.Trusted = nil })
	w.allows()
	return w
}

// allows gives grace's consent.
func (w *webapp) allows() {
	w.t.Helper()
	got := w.authorize(w.access, w.request("scope", "openid profile offline_access elements:read"), "granted")
	require.NotEmpty(w.t, w.sent(got.JSON200).Get("code"))
}

func (w *webapp) consents(token string) *api.ListConsentsResult {
	w.t.Helper()
	got, err := w.client.ListConsentsWithResponse(w.t.Context(), w.grace.ID, nil, bearer(token))
	require.NoError(w.t, err)
	return got
}

func (w *webapp) withdraw(token, clientID string) *api.WithdrawConsentResult {
	w.t.Helper()
	got, err := w.client.WithdrawConsentWithResponse(context.WithoutCancel(w.t.Context()), w.grace.ID, clientID, bearer(token))
	require.NoError(w.t, err)
	return got
}

func TestWithdrawConsent_endsWhatTheAppHas(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, stranger(h)
		listed := w.consents(w.access)
		require.Equal(t, http.StatusOK, listed.StatusCode(), string(listed.Body))
		require.Len(t, listed.JSON200.Items, 1)
		require.Equal(t, api.ClientName{ID: w.app.Client.ID, Name: "Reports"}, listed.JSON200.Items[0].Client)
		require.Equal(t, []string{"elements:read", "offline_access", "openid", "profile"}, listed.JSON200.Items[0].Scopes)

		other := w.registered(api.ClientCreate{Name: "Other", Type: api.ClientCreateTypePublic, RedirectUris: []string{callback}})
		stays := w.authorize(w.access, w.request("client_id", other.Client.ID), "granted")
		form := w.form(w.sent(stays.JSON200).Get("code"), "client_id", other.Client.ID)
		theirs := h.post(form, nil)
		require.Equal(t, http.StatusOK, theirs.status, theirs.ErrorDescription)

		got, unused := w.trade(w.code("scope", "openid offline_access")), w.code()
		require.Equal(t, http.StatusOK, w.userinfo(got.AccessToken).StatusCode())
		withdrawn := w.withdraw(w.access, w.app.Client.ID)
		require.Equal(t, http.StatusOK, withdrawn.StatusCode(), string(withdrawn.Body))
		require.EqualValues(t, 1, withdrawn.JSON200.Revoked)

		require.Equal(t, http.StatusUnauthorized, w.userinfo(got.AccessToken).StatusCode(), "its access token")
		require.Equal(t, "invalid_grant", w.renew(got.RefreshToken).Error, "its refresh token")
		require.Equal(t, "invalid_grant", h.post(w.form(unused), w.itself).Error, "a code that it has not traded yet")
		again := w.authorize(w.access, w.request(), "")
		require.EqualValues(t, "consent_required", again.JSON200.Status, "the next sign-in asks")
		require.True(t, h.usable(w.access, w.grace.ID), "her own session goes on")
		require.Equal(t, http.StatusOK, w.userinfo(theirs.AccessToken).StatusCode(), "and what she has allowed another app")
		require.Equal(t, http.StatusNotFound, w.withdraw(w.access, w.app.Client.ID).StatusCode(), "there is nothing more to withdraw")
		require.Equal(t, other.Client.ID, w.consents(w.access).JSON200.Items[0].Client.ID)

		w.allows()
		require.EqualValues(t, 0, w.withdraw(w.access, w.app.Client.ID).JSON200.Revoked, "what has ended is not ended again")
		var ended []string
		for _, r := range h.records() {
			if r.Action == "withdrawConsent" && r.Target == w.app.Client.ID && r.Actor == w.grace.ID {
				ended = append(ended, r.Detail["sessions"])
			}
		}
		require.ElementsMatch(t, []string{"1", "0"}, ended, "the audit trail says who has withdrawn what, and how many sessions ended")
	})
}

// Only the person, with a session of their own, can see or withdraw their consents.
func TestConsents_areThePersonsOwn(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := stranger(h)
	got := w.trade(w.code("scope", "openid profile offline_access elements:read"))
	key := h.ownKey(w.grace.ID, w.access, "keys:read", "session:manage")
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"an administrator":          {w.raised, http.StatusNotFound},
		"another user":              {h.as("lin", w.raised), http.StatusNotFound},
		"the app itself":            {got.AccessToken, http.StatusForbidden},
		"an API key of the user":    {h.token(key, "kms"), http.StatusForbidden},
		"nobody":                    {"", http.StatusUnauthorized},
		"a refresh token as access": {got.RefreshToken, http.StatusUnauthorized},
	} {
		require.Equal(t, c.want, w.consents(c.token).StatusCode(), name)
		require.Equal(t, c.want, w.withdraw(c.token, w.app.Client.ID).StatusCode(), name)
	}
	require.Equal(t, http.StatusNotFound, w.withdraw(w.access, "cli_01KBB6Q3Y5W1V9T2ZD0G7M4N8P").StatusCode())
	require.Equal(t, http.StatusOK, w.userinfo(got.AccessToken).StatusCode(), "nothing of that has ended anything")
	require.Len(t, w.consents(w.access).JSON200.Items, 1)
	signedOut, err := h.client.LogoutUserWithResponse(t.Context(), nil, bearer(w.access))
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, signedOut.StatusCode())
	require.Equal(t, http.StatusUnauthorized, w.withdraw(w.access, w.app.Client.ID).StatusCode(), "a session that has ended withdraws nothing")
}

// as creates an editor and returns the token of their session.
func (h *house) as(name, raised string) string {
	h.user(name, "editor", raised)
	return h.login(name, userPassword).AccessToken
}

// The consents to a client are deleted with its registration: a later client inherits none, and the person no longer sees any.
func TestDeleteClient_endsConsents(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, stranger(h)
		got := w.trade(w.code("scope", "openid offline_access"))
		deleted, err := h.client.DeleteClientWithResponse(t.Context(), w.app.Client.ID, bearer(w.raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, deleted.StatusCode())
		require.Empty(t, w.consents(w.access).JSON200.Items)
		require.Equal(t, http.StatusNotFound, w.withdraw(w.access, w.app.Client.ID).StatusCode())
		require.Equal(t, http.StatusUnauthorized, w.userinfo(got.AccessToken).StatusCode())
	})
}

func TestListConsents_goesPageByPage(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := stranger(h)
	second := w.registered(api.ClientCreate{Name: "Second", Type: api.ClientCreateTypePublic, RedirectUris: []string{callback}})
	require.Equal(t, http.StatusOK, w.authorize(w.access, w.request("client_id", second.Client.ID), "granted").StatusCode())
	var seen []string
	params := &api.ListConsentsParams{Limit: new(int32(1))}
	for {
		got, err := h.client.ListConsentsWithResponse(t.Context(), w.grace.ID, params, bearer(w.access))
		require.NoError(t, err)
		require.Len(t, got.JSON200.Items, 1)
		seen = append(seen, got.JSON200.Items[0].Client.Name)
		if got.JSON200.NextCursor == nil {
			break
		}
		params.Cursor = got.JSON200.NextCursor
	}
	require.Equal(t, []string{"Reports", "Second"}, seen)
}

// Whatever an app obtains for a person concurrently with the withdrawal, by a code or a refresh at either replica, has ended when the withdrawal is complete.
func TestWithdrawConsent_leavesNothingBesideIt(t *testing.T) {
	races(t, func(t *testing.T, r *racer) {
		w := &webapp{house: r.a, raised: r.raised, grace: r.user}
		body := reports()
		body.Trusted = nil
		w.app = w.registered(body)
		apart := &racer{a: r.a, b: r.b, raised: r.raised, prover: r.prover, user: r.user, app: w}
		refresh := ""
		renewed := func(r *racer, h *house) []minted {
			form := "grant_type=refresh_token&refresh_token=" + refresh + "&client_id=" + w.app.Client.ID + "&client_secret=" + *w.app.ClientSecret
			got, err := h.client.IssueTokenWithBodyWithResponse(context.Background(), "application/x-www-form-urlencoded", strings.NewReader(form))
			if err != nil || got.JSON200 == nil {
				return nil
			}
			return []minted{{"", func() bool {
				info, err := r.a.client.GetUserInfoWithResponse(context.Background(), bearer(got.JSON200.AccessToken))
				next := w.renew(*got.JSON200.RefreshToken)
				return err != nil || info.StatusCode() == http.StatusOK || next.status == http.StatusOK
			}}}
		}
		for name, mint := range map[string]func(*racer, *house) []minted{"authorization_code": mints["authorization_code"], "refresh_token": renewed} {
			t.Run(name, func(t *testing.T) {
				rounds, survivors, made := 0, 0, 0
				defer func() { t.Logf("%d rounds, %d made beside a withdrawal, %d survived", rounds, made, survivors) }()
				for ; rounds < raceRounds(t); rounds++ {
					apart.tokens = r.a.login(r.user.Username, userPassword)
					w.access = apart.tokens.AccessToken
					w.allows()
					refresh = w.trade(w.code("scope", "openid offline_access")).RefreshToken
					got := apart.race(mint, func() {
						_, _ = w.client.WithdrawConsentWithResponse(context.Background(), r.user.ID, w.app.Client.ID, bearer(w.access)) // the checks afterwards tell the result
					})
					require.Empty(t, w.consents(w.access).JSON200.Items)
					made += len(got)
					for _, m := range got {
						if m.works() {
							survivors++
							t.Errorf("what was made beside the withdrawal works")
						}
					}
				}
			})
		}
	})
}
