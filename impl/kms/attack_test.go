package kms_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
)

func TestRotateAPIKey_givesNoStrongerKeyToAKey(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	weak := h.ownKey(admin.ID, raised, "keys:write")
	strong := h.ownKey(admin.ID, raised, "secrets:read", "users:read", "elements:write")
	token := h.token(weak, "kms")

	refused := h.rotate(strong.APIKey.ID, token, 60)
	require.Equal(t, http.StatusForbidden, refused.StatusCode(), string(refused.Body))
	require.NotContains(t, string(refused.Body), "fk_live_")
	still, err := h.client.GetAPIKeyWithResponse(t.Context(), strong.APIKey.ID, nil, bearer(raised))
	require.NoError(t, err)
	require.EqualValues(t, "active", still.JSON200.Status)

	require.Equal(t, http.StatusCreated, h.rotate(weak.APIKey.ID, token, 60).StatusCode(), "a key replaces itself")
	both := h.ownKey(admin.ID, raised, "keys:write", "elements:write")
	require.Equal(t, http.StatusCreated, h.rotate(both.APIKey.ID, h.token(both, "kms"), 60).StatusCode(),
		"whatever else it is good for, though its token is for the kms alone")
	require.Equal(t, http.StatusCreated, h.rotate(strong.APIKey.ID, h.login(adminName, adminPassword).AccessToken, 60).StatusCode(),
		"and a session replaces its user's")
}

// A stored answer has the key's text. A caller who may not create the key may not have the stored answer either.
func TestIdempotency_replaysNoKeyToACallerWhoCouldNotMakeIt(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	weak := h.token(h.ownKey(admin.ID, raised, "keys:write"), "kms")
	plain := h.login(adminName, adminPassword).AccessToken
	service := h.register("reports", raised, "elements:read").Service

	once := "one-and-the-same"
	create := func(body api.APIKeyCreate, token string) *api.CreateAPIKeyResult {
		got, err := h.client.CreateAPIKeyWithResponse(t.Context(), &api.CreateAPIKeyParams{IdempotencyKey: &once}, body, bearer(token))
		require.NoError(t, err)
		return got
	}
	foreign := api.APIKeyCreate{Name: "robot", OwnerKind: new(api.APIKeyCreateOwnerKind("service")), OwnerID: new(service.ID), Scopes: []string{"elements:read"}}
	made := create(foreign, raised)
	require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
	require.Equal(t, made.Body, create(foreign, raised).Body)
	for _, token := range []string{plain, weak} {
		got := create(foreign, token)
		require.Equal(t, "insufficient_user_authentication", code(got.Body))
	}

	rotate := func(token string) *api.RotateAPIKeyResult {
		overlap := int64(60)
		got, err := h.client.RotateAPIKeyWithResponse(t.Context(), made.JSON201.APIKey.ID, &api.RotateAPIKeyParams{IdempotencyKey: &once},
			api.APIKeyRotate{OverlapSeconds: &overlap}, bearer(token))
		require.NoError(t, err)
		return got
	}
	require.Equal(t, http.StatusCreated, rotate(raised).StatusCode())
	require.Equal(t, http.StatusCreated, rotate(raised).StatusCode())
	require.Equal(t, "insufficient_user_authentication", code(rotate(plain).Body))

	once = "another-of-the-same"
	own := api.APIKeyCreate{Name: "own", OwnerKind: new(api.APIKeyCreateOwnerKind("user")), OwnerID: new(admin.ID), Scopes: []string{"users:write"}}
	require.Equal(t, http.StatusCreated, create(own, plain).StatusCode())
	require.Equal(t, http.StatusUnprocessableEntity, create(own, weak).StatusCode())
}

// All spellings of a name share one count of failed sign-ins. Two people whose names share a count could clear each other's failures, and guess without
// limit.
func TestCreateUser_refusesANameThatSharesAnothersLock(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	for _, name := range []string{adminName + ".", adminName + "..", "grace."} {
		got, err := h.client.CreateUserWithResponse(t.Context(), nil,
			api.UserCreate{Username: name, Password: userPassword, Roles: []string{"reader"}}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), string(got.Body))
		require.Equal(t, "validation_failed", code(got.Body))
	}
	h.user("grace.hopper", "reader", raised)
}

func TestGetUser_showsOthersOnlyToAnAdministratorWithASecondFactor(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	grace := h.user("grace", "reader", raised)
	read := func(id string, scopes ...string) int {
		token := h.token(h.ownKey(admin.ID, raised, scopes...), "kms")
		got, err := h.client.GetUserWithResponse(t.Context(), id, nil, bearer(token))
		require.NoError(t, err)
		return got.StatusCode()
	}
	require.Equal(t, http.StatusOK, read(admin.ID, "session:manage"), "oneself")
	require.Equal(t, http.StatusNotFound, read(grace.ID, "session:manage"), "others look as if there were nobody")
	require.Equal(t, http.StatusUnauthorized, read(grace.ID, "session:manage", "users:read"), "a key alone gives no second factor")
	weak := h.login(adminName, adminPassword).AccessToken
	for token, want := range map[string]int{weak: http.StatusUnauthorized, raised: http.StatusOK} {
		got, err := h.client.GetUserWithResponse(t.Context(), grace.ID, nil, bearer(token))
		require.NoError(t, err)
		require.Equal(t, want, got.StatusCode())
	}
}
