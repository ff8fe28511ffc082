package kms_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
)

// rotateTo rotates a key with an expiry for the new one.
func (h *house) rotateTo(keyID, token string, end time.Time) *api.RotateAPIKeyResult {
	h.t.Helper()
	got, err := h.client.RotateAPIKeyWithResponse(h.t.Context(), keyID, nil, api.APIKeyRotate{ExpiresAt: &end}, bearer(token))
	require.NoError(h.t, err)
	return got
}

// Rotations never extend the time that was granted, however often and late they happen.
func TestRotateAPIKey_neverOutlivesWhatWasGranted(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		token := h.login("grace", userPassword).AccessToken
		end := h.clock.Now().Add(5 * time.Minute).Truncate(time.Microsecond)
		made, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{
			Name: "short", Scopes: []string{"keys:read", "keys:write", "session:manage"}, ExpiresAt: &end,
		}, bearer(token))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		key := made.JSON201
		require.Equal(t, []any{key.APIKey.ID, end.UTC()}, []any{key.APIKey.RootID, key.APIKey.GrantedUntil})

		h.clock.Advance(4*time.Minute - 15*time.Second) // 75 s left
		first := h.rotate(key.APIKey.ID, token, 300).JSON201
		require.Equal(t, end.UTC(), first.APIKey.ExpiresAt)
		h.clock.Advance(time.Minute + time.Second) // the first successor was not used: the old key may rotate again
		second := h.rotate(key.APIKey.ID, token, 300).JSON201
		require.Equal(t, end.UTC(), second.APIKey.ExpiresAt)
		require.Equal(t, []string{key.APIKey.ID, key.APIKey.ID}, []string{second.APIKey.RootID, *second.APIKey.RotatedFrom})

		// A later expiry is for callers who could create such a key, not for the token of the key itself.
		later := h.clock.Now().Add(24 * time.Hour)
		byKey := h.token(&api.APIKeyWithSecret{APIKey: second.APIKey, Key: second.Key}, "kms")
		refused := h.rotateTo(second.APIKey.ID, byKey, later)
		require.Equal(t, http.StatusForbidden, refused.StatusCode(), string(refused.Body))
		renewed := h.rotateTo(second.APIKey.ID, token, later)
		require.Equal(t, http.StatusCreated, renewed.StatusCode(), string(renewed.Body))
		require.WithinDuration(t, later, renewed.JSON201.APIKey.GrantedUntil, time.Millisecond)
		tooLong := h.rotateTo(renewed.JSON201.APIKey.ID, token, h.clock.Now().Add(366*24*time.Hour))
		require.Equal(t, "validation_failed", code(tooLong.Body))
		_ = grace
	})
}

func TestRevokeAPIKey_endsWhatDescendsFromItAlone(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		token := h.login("grace", userPassword).AccessToken
		first := h.ownKey(grace.ID, token, "elements:read", "session:manage")
		second := h.rotate(first.APIKey.ID, token, 3600).JSON201
		h.token(&api.APIKeyWithSecret{APIKey: second.APIKey, Key: second.Key}, "kms") // used: it counts
		third := h.rotate(second.APIKey.ID, token, 3600).JSON201
		access := h.token(&api.APIKeyWithSecret{APIKey: third.APIKey, Key: third.Key}, "kms")
		require.True(t, h.usable(access, grace.ID))

		got, err := h.client.RevokeAPIKeyWithResponse(t.Context(), second.APIKey.ID, bearer(token))
		require.NoError(t, err)
		require.EqualValues(t, 2, got.JSON200.Revoked)
		require.True(t, h.verify(first.Key, raised).Valid, "what it descends from goes on")
		for _, text := range []string{second.Key, third.Key} {
			require.EqualValues(t, "REVOKED", h.verify(text, raised).Code)
		}
		require.False(t, h.usable(access, grace.ID), "and the tokens of them are refused at once")
		again, err := h.client.RevokeAPIKeyWithResponse(t.Context(), second.APIKey.ID, bearer(token))
		require.NoError(t, err)
		require.EqualValues(t, 0, again.JSON200.Revoked)
	})
}

func TestRetireAPIKey_endsTheRotatedKeyAlone(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		token := h.login("grace", userPassword).AccessToken
		retire := func(keyID, token string) int {
			got, err := h.client.RetireAPIKeyWithResponse(t.Context(), keyID, bearer(token))
			require.NoError(t, err)
			return got.StatusCode()
		}
		old := h.ownKey(grace.ID, token, "elements:read", "session:manage")
		access := h.token(old, "kms")
		require.Equal(t, http.StatusConflict, retire(old.APIKey.ID, token), "it was not rotated")
		next := h.rotate(old.APIKey.ID, token, 3600).JSON201
		require.Equal(t, http.StatusUnauthorized, retire(old.APIKey.ID, h.login(adminName, adminPassword).AccessToken), "somebody else's")
		require.Equal(t, http.StatusNoContent, retire(old.APIKey.ID, token))
		require.Equal(t, http.StatusNoContent, retire(old.APIKey.ID, token), "repeating is safe")
		require.False(t, h.usable(access, grace.ID))
		require.True(t, h.verify(next.Key, raised).Valid)
	})
}

func TestCreateAPIKey_boundsTheKeysOfAnOwner(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	grace := h.user("grace", "editor", raised)
	token := h.login("grace", userPassword).AccessToken
	for range 100 {
		require.NotNil(t, h.tryKey(grace.ID, token))
	}
	got, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{Name: "one more", Scopes: []string{"keys:read"}}, bearer(token))
	require.NoError(t, err)
	require.Equal(t, "limit_reached", code(got.Body))
}

// The holder of a key of a family service is that service, so no administrator can create one, even with a second factor.
func TestFamilyServices_getKeysByEnrolmentAlone(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	services, err := h.client.ListServicesWithResponse(t.Context(), nil, bearer(raised))
	require.NoError(t, err)
	require.Len(t, services.JSON200.Items, 4)
	for _, s := range services.JSON200.Items {
		got, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{
			Name: "forged", OwnerKind: new(api.APIKeyCreateOwnerKind("service")), OwnerID: &s.ID, Scopes: s.Scopes[:1],
		}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, got.StatusCode(), "%s: %s", s.Name, got.Body)
		if s.Name != "twofactor" {
			continue
		}
		token, err := h.client.CreateEnrolmentTokenWithResponse(t.Context(), s.ID, nil, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, "forbidden", code(token.Body), "whoever enrols as twofactor forges second factors")
		disable := h.patchService(s.ID, s.Version, "disabled", raised)
		require.Equal(t, http.StatusConflict, disable.StatusCode())
		require.Equal(t, "required_service", code(disable.Body), "nobody could enable it again")
	}
}

// patchService changes a service's status if it is at a version.
func (h *house) patchService(serviceID string, version int64, status, token string) *api.UpdateServiceResult {
	h.t.Helper()
	got, err := h.client.UpdateServiceWithResponse(h.t.Context(), serviceID, &api.UpdateServiceParams{IfMatch: quoted(version)},
		api.ServiceUpdate{Status: ptr(api.ServiceUpdateStatus(status))}, bearer(token))
	require.NoError(h.t, err)
	return got
}

func quoted(version int64) string { return fmt.Sprintf("%q", fmt.Sprint(version)) }

func (h *house) introspect(id, secret, token string) *api.IntrospectTokenResult {
	h.t.Helper()
	got, err := h.client.IntrospectTokenWithFormdataBodyWithResponse(h.t.Context(), api.TokenQuestion{Token: token, ClientID: &id, ClientSecret: &secret})
	require.NoError(h.t, err)
	return got
}

func TestIntrospectToken_tellsWhatTheRowsSayNow(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		session := h.login("grace", userPassword)
		search, sequence := h.enrol("search"), h.enrol("sequence")
		ask := func(key *api.APIKeyWithSecret, token string) *api.Introspection {
			got := h.introspect(key.APIKey.ID, key.Key, token)
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
			return got.JSON200
		}
		known := ask(search, session.AccessToken)
		require.True(t, known.Active)
		require.Equal(t, []string{grace.ID, "grace", "fountain", "user"}, []string{*known.Sub, *known.Username, *known.ClientID, string(*known.Principal)})
		require.Equal(t, []string{"editor"}, *known.Roles)

		forSequence := h.token(h.ownKey(grace.ID, session.AccessToken, "elements:read"), "sequence")
		require.True(t, ask(sequence, forSequence).Active)
		require.Equal(t, api.Introspection{Active: false}, *ask(search, forSequence), "it is not for search")
		require.False(t, ask(search, "rubbish").Active)
		require.False(t, ask(search, session.AccessToken+"x").Active)

		wrong := h.introspect(search.APIKey.ID, sequence.Key, session.AccessToken)
		require.Equal(t, "invalid_client", code(wrong.Body))
		require.Contains(t, wrong.HTTPResponse.Header.Get("WWW-Authenticate"), "Basic")

		out, err := h.client.LogoutUserWithResponse(t.Context(), nil, bearer(session.AccessToken))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, out.StatusCode())
		require.Equal(t, api.Introspection{Active: false}, *ask(search, session.AccessToken))
	})
}

func TestRevokeToken_endsWhatItsHolderShows(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		session, other := h.login("grace", userPassword), h.login("grace", userPassword)
		revoke := func(form url.Values) int {
			answer, err := h.http.PostForm(h.url+"/kms/v1/oauth2/revoke", form)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			return answer.StatusCode
		}
		require.Equal(t, http.StatusOK, revoke(url.Values{"token": {*session.RefreshToken}, "client_id": {"fountain"}}))
		require.Equal(t, "session_ended", code(h.refresh(*session.RefreshToken).Body))
		require.False(t, h.usable(session.AccessToken, grace.ID), "the session's access tokens end with it")
		require.True(t, h.usable(other.AccessToken, grace.ID))
		require.Equal(t, http.StatusOK, revoke(url.Values{"token": {"rt_unknown"}}))

		key, stranger := h.ownKey(grace.ID, other.AccessToken, "session:manage"), h.ownKey(grace.ID, other.AccessToken, "session:manage")
		one, two := h.token(key, "kms"), h.token(key, "kms")
		as := func(k *api.APIKeyWithSecret, token string) url.Values {
			return url.Values{"token": {token}, "client_id": {k.APIKey.ID}, "client_secret": {k.Key}}
		}
		require.Equal(t, http.StatusOK, revoke(as(stranger, one)))
		require.True(t, h.usable(one, grace.ID), "another client's")
		require.Equal(t, http.StatusOK, revoke(as(key, one)))
		require.False(t, h.usable(one, grace.ID))
		require.True(t, h.usable(two, grace.ID), "that token alone")
		require.Nil(t, h.tryKey(grace.ID, one))
		require.Equal(t, http.StatusUnauthorized, revoke(url.Values{"token": {two}}), "an access token is revoked by its client")
	})
}

func TestGetJwks_answers304ToWhoHasTheSet(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	first, err := h.client.GetJwksWithResponse(t.Context(), nil)
	require.NoError(t, err)
	tag := first.HTTPResponse.Header.Get("ETag")
	for header, want := range map[string]int{tag: 304, `"other", W/` + tag: 304, `"other"`: 200} {
		got, err := h.client.GetJwksWithResponse(t.Context(), &api.GetJwksParams{IfNoneMatch: &header})
		require.NoError(t, err)
		require.Equal(t, want, got.StatusCode(), header)
	}
}

// A session's token may be for several services of the family; a key's token is for one.
func TestIssueToken_takesSeveralResources(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	grace := h.user("grace", "editor", raised)
	session := h.login("grace", userPassword)
	post := func(form string) (int, string) {
		answer, err := h.http.Post(h.url+"/kms/v1/oauth2/token", "application/x-www-form-urlencoded", strings.NewReader(form))
		require.NoError(t, err)
		defer answer.Body.Close()
		raw, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, string(raw)
	}
	status, body := post("grant_type=refresh_token&resource=sequence&resource=search&refresh_token=" + *session.RefreshToken)
	require.Equal(t, http.StatusOK, status, body)
	var got api.TokenResponse
	require.NoError(t, json.Unmarshal([]byte(body), &got))
	require.ElementsMatch(t, []string{"sequence", "search"}, claims(t, got.AccessToken).Audience)
	require.Equal(t, "collections:read documents:search elements:read elements:write", got.Scope)

	key := h.ownKey(grace.ID, h.login("grace", userPassword).AccessToken, "elements:read", "documents:search")
	credentials := "grant_type=client_credentials&client_id=" + key.APIKey.ID + "&client_secret=" + key.Key
	status, body = post(credentials + "&resource=sequence&resource=search")
	require.Equal(t, []any{http.StatusBadRequest, "invalid_target"}, []any{status, code([]byte(body))})
	status, _ = post(credentials + "&resource=sequence&unknown=ignored")
	require.Equal(t, http.StatusOK, status, "RFC 6749, section 3.2: unknown parameters are ignored")
	// Some decoders read this as a list of 10^9 elements.
	status, body = post(credentials + "&resource=sequence&resource%5B1000000000%5D=x")
	require.Equal(t, []any{http.StatusBadRequest, "invalid_request"}, []any{status, code([]byte(body))})
}
