package kms_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/id"
)

const userPassword = "a quiet harbour at dawn"

// user creates a user with one role.
func (h *house) user(username, role, raised string) *api.UserCreated {
	h.t.Helper()
	got, err := h.client.CreateUserWithResponse(h.t.Context(), nil,
		api.UserCreate{Username: username, Password: userPassword, Roles: []string{role}}, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusCreated, got.StatusCode(), string(got.Body))
	require.Equal(h.t, `"1"`, got.HTTPResponse.Header.Get("ETag"))
	return got.JSON201
}

// patch changes a user if they are at a version.
func (h *house) patch(userID string, version int64, body, raised string) *api.UpdateUserResult {
	h.t.Helper()
	got, err := h.client.UpdateUserWithBodyWithResponse(h.t.Context(), userID, &api.UpdateUserParams{IfMatch: fmt.Sprintf("%q", fmt.Sprint(version))},
		"application/json", strings.NewReader(body), bearer(raised))
	require.NoError(h.t, err)
	return got
}

// change changes a user at their current version.
func (h *house) change(userID, body, raised string) *api.User {
	h.t.Helper()
	now, err := h.client.GetUserWithResponse(h.t.Context(), userID, nil, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, now.StatusCode(), string(now.Body))
	got := h.patch(userID, now.JSON200.Version, body, raised)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200
}

// administrator bootstraps the kms and returns a raised token for it.
func (h *house) administrator() (*api.UserCreated, string) {
	h.t.Helper()
	admin := h.bootstrap()
	return admin, h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")
}

func TestCreateUser_namesAreUniqueAndListed(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		for _, name := range []string{"grace", "barbara", "edsger"} {
			h.user(name, "reader", raised)
		}
		again, err := h.client.CreateUserWithResponse(t.Context(), nil,
			api.UserCreate{Username: "grace", Password: userPassword, Roles: []string{"reader"}}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusConflict, again.StatusCode())
		require.Equal(t, "already_exists", code(again.Body))
		var names []string
		limit, cursor := int32(2), (*string)(nil)
		for {
			got, err := h.client.ListUsersWithResponse(t.Context(), &api.ListUsersParams{Limit: &limit, Cursor: cursor}, bearer(raised))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
			for _, u := range got.JSON200.Items {
				names = append(names, u.Username)
			}
			if cursor = got.JSON200.NextCursor; cursor == nil {
				break
			}
		}
		require.Equal(t, []string{"ada", "barbara", "edsger", "grace"}, names)
		foreign := "AAAA"
		got, err := h.client.ListUsersWithResponse(t.Context(), &api.ListUsersParams{Cursor: &foreign}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, "invalid_cursor", code(got.Body))
	})
}

func TestCreateUser_isRepeatedByItsIdempotencyKey(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		key := "make-grace-once"
		create := func(username string) *api.CreateUserResult {
			got, err := h.client.CreateUserWithResponse(t.Context(), &api.CreateUserParams{IdempotencyKey: &key},
				api.UserCreate{Username: username, Password: userPassword, Roles: []string{"reader"}}, bearer(raised))
			require.NoError(t, err)
			return got
		}
		first, second := create("grace"), create("grace")
		require.Equal(t, http.StatusCreated, first.StatusCode(), string(first.Body))
		require.Equal(t, http.StatusCreated, second.StatusCode(), string(second.Body))
		require.Equal(t, string(first.Body), strings.TrimSpace(string(second.Body)))
		require.Equal(t, `"1"`, second.HTTPResponse.Header.Get("ETag"))
		require.Equal(t, "idempotency_conflict", code(create("barbara").Body))
		spaced := `{ "username": "grace", "password": "` + userPassword + `", "roles": ["reader"] }`
		other, err := h.client.CreateUserWithBodyWithResponse(t.Context(), &api.CreateUserParams{IdempotencyKey: &key}, "application/json", strings.NewReader(spaced), bearer(raised))
		require.NoError(t, err)
		require.Equal(t, "idempotency_conflict", code(other.Body), "the bytes count, as at the other services")
	})
}

func TestGetUser_othersSeeThemselvesAlone(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	grace := h.user("grace", "reader", raised)
	token := h.login("grace", userPassword).AccessToken
	get := func(userID string) *api.GetUserResult {
		got, err := h.client.GetUserWithResponse(t.Context(), userID, nil, bearer(token))
		require.NoError(t, err)
		return got
	}
	require.Equal(t, http.StatusOK, get(grace.ID).StatusCode())
	somebody, nobody := get(admin.ID), get(id.New("usr"))
	require.Equal(t, http.StatusNotFound, somebody.StatusCode())
	require.Equal(t, code(nobody.Body), code(somebody.Body))
	require.Equal(t, http.StatusNotFound, nobody.StatusCode())
}

func TestUpdateUser_onlyOverTheVersionThatWasSeen(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "reader", raised)
		var changed, stale atomic.Int64
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				switch got := h.patch(grace.ID, 1, `{"roles":["editor"]}`, raised); got.StatusCode() {
				case http.StatusOK:
					changed.Add(1)
				case http.StatusPreconditionFailed:
					stale.Add(1)
				default:
					t.Errorf("%d %s", got.StatusCode(), got.Body)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, changed.Load())
		require.EqualValues(t, 15, stale.Load())
		for _, tag := range []string{`"7"`, `"abc"`, `"-1"`, `"99999999999999999999"`, `W/"2"`, `"7", "8"`} {
			got, err := h.client.UpdateUserWithResponse(t.Context(), grace.ID, &api.UpdateUserParams{IfMatch: tag}, api.UserUpdate{Roles: &[]string{"reader"}}, bearer(raised))
			require.NoError(t, err)
			require.Equal(t, http.StatusPreconditionFailed, got.StatusCode(), tag)
		}
		any, err := h.client.UpdateUserWithResponse(t.Context(), grace.ID, &api.UpdateUserParams{IfMatch: "*"}, api.UserUpdate{Roles: &[]string{"reader"}}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, any.StatusCode(), string(any.Body))
		several, err := h.client.UpdateUserWithResponse(t.Context(), grace.ID, &api.UpdateUserParams{IfMatch: `"1", ` + any.HTTPResponse.Header.Get("ETag")}, api.UserUpdate{Roles: &[]string{"editor"}}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, several.StatusCode(), string(several.Body))
		missing, err := h.client.UpdateUserWithResponse(t.Context(), grace.ID, &api.UpdateUserParams{}, api.UserUpdate{Roles: &[]string{"reader"}}, bearer(raised), withoutIfMatch)
		require.NoError(t, err)
		require.Equal(t, http.StatusPreconditionRequired, missing.StatusCode(), string(missing.Body))
		nobody := h.patch(id.New("usr"), 1, `{"roles":["editor"]}`, raised)
		require.Equal(t, http.StatusNotFound, nobody.StatusCode())
	})
}

// The last administrator can't be removed, even if two of them try to demote each other.
func TestUpdateUser_neverTheLastAdministrator(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		ada, p := h.bootstrap(), h.prover()
		raise := func(username, password string) string { return p.raise(h.login(username, password).AccessToken, "kms") }
		raised := raise(adminName, adminPassword)
		for _, body := range []string{`{"status":"disabled"}`, `{"roles":["editor"]}`} {
			got := h.patch(ada.ID, 1, body, raised)
			require.Equal(t, http.StatusConflict, got.StatusCode(), string(got.Body))
			require.Equal(t, "last_administrator", code(got.Body))
		}
		for round := range 5 {
			other := h.user(fmt.Sprintf("other%d", round), "admin", raised)
			now, err := h.client.GetUserWithResponse(t.Context(), ada.ID, nil, bearer(raised))
			require.NoError(t, err)
			var done atomic.Int64
			var all sync.WaitGroup
			demote := func(userID string, version int64) {
				if got := h.patch(userID, version, `{"roles":["reader"]}`, raised); got.StatusCode() == http.StatusOK {
					done.Add(1)
				} else if c := code(got.Body); c != "last_administrator" && c != "invalid_token" { // or the caller was demoted first
					t.Errorf("%d %s", got.StatusCode(), got.Body)
				}
			}
			all.Go(func() { demote(ada.ID, now.JSON200.Version) })
			all.Go(func() { demote(other.ID, 1) })
			all.Wait()
			require.EqualValues(t, 1, done.Load(), "one of two goes, never both")
			name := fmt.Sprintf("other%d", round)
			if current := claims(t, h.login(name, userPassword).AccessToken); slices.Contains(current.Roles, "admin") {
				h.change(ada.ID, `{"roles":["admin"]}`, raise(name, userPassword))
			}
			raised = raise(adminName, adminPassword)
			if got := h.change(other.ID, `{"roles":["reader"]}`, raised); got.Status != "active" {
				t.Fatal(got)
			}
		}
	})
}

func TestUpdateUser_disablingEndsSessionsAndKeys(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		tokens := h.login("grace", userPassword)
		key, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{
			Name: "mine", OwnerKind: new(api.APIKeyCreateOwnerKind("user")), OwnerID: new(grace.ID), Scopes: []string{"elements:read"},
		}, bearer(tokens.AccessToken))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, key.StatusCode(), string(key.Body))
		h.token(key.JSON201, "sequence")
		for _, status := range []string{"disabled", "active"} { // enabling the user restores neither
			h.change(grace.ID, `{"status":"`+status+`"}`, raised)
			refreshed, err := h.client.RefreshTokenWithResponse(t.Context(), api.Refresh{RefreshToken: *tokens.RefreshToken})
			require.NoError(t, err)
			require.Equal(t, "session_ended", code(refreshed.Body), status)
			require.Equal(t, "invalid_client", code(h.ask(key.JSON201.APIKey.ID, key.JSON201.Key, "sequence").Body), status)
		}
		h.login("grace", userPassword)
	})
}

func TestUpdateUser_rolesCountFromTheNextRefresh(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	grace := h.user("grace", "editor", raised)
	tokens := h.login("grace", userPassword)
	require.Contains(t, tokens.Scope, "elements:write")
	h.change(grace.ID, `{"roles":["reader"]}`, raised)
	got, err := h.client.RefreshTokenWithResponse(t.Context(), api.Refresh{RefreshToken: *tokens.RefreshToken})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
	require.NotContains(t, got.JSON200.Scope, "elements:write")
	require.Equal(t, []string{"reader"}, claims(t, got.JSON200.AccessToken).Roles)
}
