package kms_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	api "github.com/fountainai/fountain/clients/kms"
)

const nextPassword = "a lantern over the river"

func (h *house) changePassword(userID, current, next, token string) (int, string) {
	h.t.Helper()
	got, err := h.client.ChangePasswordWithResponse(h.t.Context(), userID, api.PasswordChange{CurrentPassword: current, NewPassword: next}, bearer(token))
	require.NoError(h.t, err)
	return got.StatusCode(), string(got.Body)
}

// loginStatus is 200 for a good sign-in.
func (h *house) loginStatus(username, password string) int {
	h.t.Helper()
	got, err := h.client.LoginUserWithResponse(h.t.Context(), nil, api.Login{Username: username, Password: password})
	require.NoError(h.t, err)
	return got.StatusCode()
}

func TestChangePassword_endsTheOtherSessions(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		mine, other := h.login("grace", userPassword), h.login("grace", userPassword)
		key := h.token(h.ownKey(grace.ID, mine.AccessToken, "session:manage"), "kms")

		for name, refusal := range map[string]struct {
			userID, current, next, token string
			status                       int
			code                         string
		}{
			"a wrong current password": {grace.ID, "not the password", nextPassword, mine.AccessToken, 401, "invalid_credentials"},
			"a password that is known": {grace.ID, userPassword, "passwordpassword", mine.AccessToken, 422, "weak_password"},
			"somebody else's":          {grace.ID, userPassword, nextPassword, raised, 404, "not_found"},
			"the token of an API key":  {grace.ID, userPassword, nextPassword, key, 403, "forbidden"},
			"a short one":              {grace.ID, userPassword, "short", mine.AccessToken, 422, "invalid_body"},
		} {
			status, body := h.changePassword(refusal.userID, refusal.current, refusal.next, refusal.token)
			require.Equal(t, refusal.status, status, "%s: %s", name, body)
			require.Equal(t, refusal.code, code([]byte(body)), name)
			require.NotContains(t, body, refusal.next, name)
		}
		status, body := h.changePassword(grace.ID, userPassword, nextPassword, mine.AccessToken)
		require.Equal(t, http.StatusNoContent, status, body)

		require.Equal(t, "session_ended", code(h.refresh(*other.RefreshToken).Body))
		for _, token := range []string{other.AccessToken, mine.AccessToken, key} {
			require.False(t, h.usable(token, grace.ID), "access tokens of before are over")
		}
		again := h.refresh(*mine.RefreshToken)
		require.Equal(t, http.StatusOK, again.StatusCode(), "the session that changed it goes on")
		require.True(t, h.usable(again.JSON200.AccessToken, grace.ID))
		require.Equal(t, http.StatusUnauthorized, h.loginStatus("grace", userPassword))
		require.Equal(t, http.StatusOK, h.loginStatus("grace", nextPassword))
	})
}

// An attacker with an open session can't guess the password without limit.
func TestChangePassword_countsWrongOnesAsFailedSignIns(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	grace := h.user("grace", "editor", raised)
	token := h.login("grace", userPassword).AccessToken
	for range 5 {
		status, _ := h.changePassword(grace.ID, "not the password", nextPassword, token)
		require.Equal(t, http.StatusUnauthorized, status)
	}
	status, _ := h.changePassword(grace.ID, userPassword, nextPassword, token)
	require.Equal(t, http.StatusUnauthorized, status, "locked")
	require.Equal(t, http.StatusUnauthorized, h.loginStatus("grace", userPassword))

	got, err := h.client.UnlockUserWithResponse(t.Context(), grace.ID, bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, got.StatusCode(), string(got.Body))
	require.Equal(t, http.StatusOK, h.loginStatus("grace", userPassword))
	weak, err := h.client.UnlockUserWithResponse(t.Context(), grace.ID, bearer(h.login(adminName, adminPassword).AccessToken))
	require.NoError(t, err)
	require.Equal(t, "insufficient_user_authentication", code(weak.Body))
}

func TestResetPassword_worksOnceAndForAnHour(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		session := h.login("grace", userPassword)
		make := func() string {
			got, err := h.client.CreatePasswordResetWithResponse(t.Context(), grace.ID, nil, bearer(raised))
			require.NoError(t, err)
			require.Equal(t, http.StatusCreated, got.StatusCode(), string(got.Body))
			return got.JSON201.Token
		}
		reset := func(token, password string) (int, string) {
			got, err := h.client.ResetPasswordWithResponse(t.Context(), api.PasswordResetUse{Token: token, NewPassword: password})
			require.NoError(t, err)
			return got.StatusCode(), code(got.Body)
		}
		first := make()
		second := make()
		require.Equal(t, http.StatusOK, h.loginStatus("grace", userPassword), "the old password works until then")
		status, why := reset(first, nextPassword)
		require.Equal(t, []any{401, "invalid_reset_token"}, []any{status, why}, "a newer one was made")
		status, why = reset(second, "passwordpassword")
		require.Equal(t, []any{422, "weak_password"}, []any{status, why}, "and is not used up by a refused password")
		status, _ = reset(second, nextPassword)
		require.Equal(t, http.StatusNoContent, status)
		status, why = reset(second, "another lantern elsewhere")
		require.Equal(t, []any{401, "invalid_reset_token"}, []any{status, why})
		require.Equal(t, "session_ended", code(h.refresh(*session.RefreshToken).Body))
		require.False(t, h.usable(session.AccessToken, grace.ID))
		require.Equal(t, http.StatusOK, h.loginStatus("grace", nextPassword))

		late := make()
		h.clock.Advance(time.Hour)
		status, _ = reset(late, "another lantern elsewhere")
		require.Equal(t, http.StatusUnauthorized, status)
	})
}

// People recognise their sessions by the User-Agent of the sign-in. Characters other than printable ASCII are dropped, and long values are cut.
func TestSessions_tellWhatTheClientCalledItself(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		var token string
		for _, agent := range []string{"Mozilla/5.0 (X11; Linux x86_64)", "b\u00e9ta " + strings.Repeat("x", 300)} {
			got, err := h.client.LoginUserWithResponse(t.Context(), nil, api.Login{Username: "grace", Password: userPassword}, func(_ context.Context, r *http.Request) error {
				r.Header.Set("User-Agent", agent)
				return nil
			})
			require.NoError(t, err)
			require.NotNil(t, got.JSON200, string(got.Body))
			token = got.JSON200.AccessToken
		}
		got, err := h.client.ListSessionsWithResponse(t.Context(), grace.ID, nil, bearer(token))
		require.NoError(t, err)
		require.Len(t, got.JSON200.Items, 2)
		require.Equal(t, "bta "+strings.Repeat("x", 252), *got.JSON200.Items[0].UserAgent)
		require.Equal(t, "Mozilla/5.0 (X11; Linux x86_64)", *got.JSON200.Items[1].UserAgent)
	})
}

func TestSessions_areListedAndEnded(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		h.user("barbara", "editor", raised)
		one, two, three := h.login("grace", userPassword), h.login("grace", userPassword), h.login("grace", userPassword)
		stranger := h.login("barbara", userPassword).AccessToken
		list := func(token string) (int, []api.Session) {
			got, err := h.client.ListSessionsWithResponse(t.Context(), grace.ID, nil, bearer(token))
			require.NoError(t, err)
			if got.JSON200 == nil {
				return got.StatusCode(), nil
			}
			return got.StatusCode(), got.JSON200.Items
		}
		_, mine := list(one.AccessToken)
		require.Len(t, mine, 3)
		for _, s := range mine {
			require.Equal(t, s.ID == claims(t, one.AccessToken).SessionID, s.Current)
		}
		status, _ := list(stranger)
		require.Equal(t, http.StatusNotFound, status)
		status, _ = list(h.login(adminName, adminPassword).AccessToken)
		require.Equal(t, http.StatusUnauthorized, status, "an administrator without a second factor")
		status, _ = list(raised)
		require.Equal(t, http.StatusOK, status)

		end := func(sid, token string) int {
			got, err := h.client.RevokeSessionWithResponse(t.Context(), grace.ID, sid, bearer(token))
			require.NoError(t, err)
			return got.StatusCode()
		}
		sid := claims(t, two.AccessToken).SessionID
		require.Equal(t, http.StatusNotFound, end(sid, stranger))
		require.Equal(t, http.StatusNotFound, end(claims(t, stranger).SessionID, one.AccessToken), "not a session of this user")
		require.Equal(t, http.StatusNoContent, end(sid, one.AccessToken))
		require.Equal(t, http.StatusNoContent, end(sid, one.AccessToken), "repeating is safe")
		require.False(t, h.usable(two.AccessToken, grace.ID))
		require.True(t, h.usable(one.AccessToken, grace.ID))

		all, err := h.client.RevokeSessionsWithResponse(t.Context(), grace.ID, bearer(three.AccessToken))
		require.NoError(t, err)
		require.EqualValues(t, 2, all.JSON200.Revoked, string(all.Body))
		for _, token := range []string{one.AccessToken, three.AccessToken} {
			require.False(t, h.usable(token, grace.ID))
		}
		require.Equal(t, http.StatusOK, h.loginStatus("grace", userPassword))
	})
}

func TestDeleteUser_isForEver(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		tokens := h.login("grace", userPassword)
		key := h.ownKey(grace.ID, tokens.AccessToken, "elements:read")
		remove := func(id string) (int, string) {
			got, err := h.client.DeleteUserWithResponse(t.Context(), id, bearer(raised))
			require.NoError(t, err)
			return got.StatusCode(), code(got.Body)
		}
		status, why := remove(admin.ID)
		require.Equal(t, []any{409, "last_administrator"}, []any{status, why})
		status, _ = remove(grace.ID)
		require.Equal(t, http.StatusNoContent, status)
		require.False(t, h.usable(tokens.AccessToken, grace.ID))
		require.Equal(t, "session_ended", code(h.refresh(*tokens.RefreshToken).Body))
		require.False(t, h.verify(key.Key, raised).Valid)
		require.Equal(t, http.StatusUnauthorized, h.loginStatus("grace", userPassword))
		status, _ = remove(grace.ID)
		require.Equal(t, http.StatusNotFound, status)
		got, err := h.client.CreateUserWithResponse(t.Context(), nil,
			api.UserCreate{Username: "grace", Password: userPassword, Roles: []string{"reader"}}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, "already_exists", code(got.Body), "the name never means somebody else")
	})
}

// A password may be typed in either Unicode form, whichever one it was set in.
func TestLogin_takesEitherUnicodeForm(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	composed := norm.NFC.String("ein Käfer über Zürich hinaus")
	got, err := h.client.CreateUserWithResponse(t.Context(), nil, api.UserCreate{Username: "grace", Password: composed, Roles: []string{"reader"}}, bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, got.StatusCode(), string(got.Body))
	require.Equal(t, http.StatusOK, h.loginStatus("grace", norm.NFD.String(composed)))
	require.Equal(t, http.StatusOK, h.loginStatus("grace", composed))
	require.Equal(t, http.StatusUnauthorized, h.loginStatus("grace", strings.ToUpper(composed)))
}
