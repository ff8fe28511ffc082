package kms_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
)

// resourceServer registers a service that declares scopes, and enrols it.
func (h *house) resourceServer(name, raised string, scopes []string, declared ...string) (*api.Service, *api.APIKeyWithSecret) {
	h.t.Helper()
	got, err := h.client.RegisterServiceWithResponse(h.t.Context(), nil, api.ServiceCreate{Name: name, Scopes: scopes, DeclaredScopes: new(append([]string{}, declared...))}, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusCreated, got.StatusCode(), string(got.Body))
	enrolled := h.tryEnrol(got.JSON201.Enrolment.Token)
	require.Equal(h.t, http.StatusCreated, enrolled.StatusCode(), string(enrolled.Body))
	return &got.JSON201.Service, enrolled.JSON201
}

func (h *house) putRole(name, raised string, over *api.PutRoleParams, scopes ...string) *api.PutRoleResult {
	h.t.Helper()
	got, err := h.client.PutRoleWithResponse(h.t.Context(), name, over, api.RolePut{Scopes: scopes}, bearer(raised))
	require.NoError(h.t, err)
	return got
}

func (h *house) updateService(s *api.Service, raised string, change api.ServiceUpdate) *api.UpdateServiceResult {
	h.t.Helper()
	got, err := h.client.UpdateServiceWithResponse(h.t.Context(), s.ID, &api.UpdateServiceParams{IfMatch: quoted(s.Version)}, change, bearer(raised))
	require.NoError(h.t, err)
	return got
}

func refreshFor(token string, resources ...string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "resource": resources}
}

// A token for a registered service has that single audience, whoever requests it. The family refuses it, and only the service may introspect it.
func TestResourceServer_itsTokensAreForItAlone(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		prover := h.prover()
		raised := prover.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		_, orders := h.resourceServer("orders", raised, []string{}, "orders:read", "orders:write")
		_, stock := h.resourceServer("stock", raised, []string{"orders:read", "elements:read"}, "stock:count")
		require.Equal(t, http.StatusCreated, h.putRole("clerk", raised, nil, "orders:read", "stock:count", "elements:read").StatusCode())
		grace := h.user("grace", "clerk", raised)

		login := h.login("grace", userPassword)
		signedIn := claims(t, login.AccessToken)
		require.NotContains(t, signedIn.Audience, "orders")
		require.NotContains(t, signedIn.Scope, "orders:", "a login token is for the family")
		require.Contains(t, signedIn.Scope, "elements:read")
		got := h.post(refreshFor(*login.RefreshToken, "orders", "sequence"), nil)
		require.Equal(t, "invalid_target", got.Error)
		got = h.post(refreshFor(*login.RefreshToken, "orders", "stock"), nil)
		require.Equal(t, "invalid_target", got.Error)
		got = h.post(refreshFor(*login.RefreshToken, "nothing"), nil)
		require.Equal(t, "invalid_target", got.Error)
		got = h.post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {*login.RefreshToken}, "scope": {"orders:read elements:read"}}, nil)
		require.Equal(t, "invalid_target", got.Error)
		got = h.post(refreshFor(*login.RefreshToken, "orders"), nil)
		require.Equal(t, http.StatusOK, got.status)
		mine := claims(t, got.AccessToken)
		require.Equal(t, "orders", strings.Join(mine.Audience, " "))
		require.Equal(t, "orders:read", mine.Scope, "write was not given to the role")

		who, err := h.client.GetUserWithResponse(t.Context(), grace.ID, nil, bearer(got.AccessToken))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, who.StatusCode(), "the family refuses it")
		require.True(t, h.introspect(orders.APIKey.ID, orders.Key, got.AccessToken).JSON200.Active)
		require.False(t, h.introspect(stock.APIKey.ID, stock.Key, got.AccessToken).JSON200.Active, "it is not stock's to ask about")

		stepped := prover.raise(h.login("grace", userPassword).AccessToken, "orders")
		require.Equal(t, "orders", strings.Join(claims(t, stepped).Audience, " "))
		require.Equal(t, "aal2", claims(t, stepped).ACR)

		key := h.ownKey(grace.ID, login.AccessToken, "orders:read")
		require.Equal(t, "orders", strings.Join(claims(t, h.token(key, "orders")).Audience, " "))
		alone := h.post(url.Values{"grant_type": {"client_credentials"}}, basic(key.APIKey.ID, key.Key))
		require.Equal(t, "orders", strings.Join(claims(t, alone.AccessToken).Audience, " "), "the one service that its scopes reach")
		require.Equal(t, "orders:read", claims(t, h.token(stock, "orders")).Scope, "services carry them too")
		several := h.post(url.Values{"grant_type": {"client_credentials"}}, basic(stock.APIKey.ID, stock.Key))
		require.Equal(t, "invalid_target", several.Error)
		several = h.post(url.Values{"grant_type": {"client_credentials"}, "resource": {"orders", "sequence"}}, basic(stock.APIKey.ID, stock.Key))
		require.Equal(t, "invalid_target", several.Error)
	})
}

// The family's words, the prefixes of its scopes and the first segments of the gateway's paths are refused as names of services.
func TestRegisterService_refusesReservedNames(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	reserved := []string{"kms", "twofactor", "search", "sequence", "gateway", "docs", "console", "openapi", "problems", "health", "ready", "well-known", "metrics", "api"}
	contracts, err := contract.LoadAll()
	require.NoError(t, err)
	for _, one := range contracts {
		reserved = append(reserved, one.Word)
		for scope := range one.Scopes {
			prefix, _, _ := strings.Cut(scope, ":")
			reserved = append(reserved, prefix)
		}
		if one.Word != "gateway" {
			continue
		}
		for _, op := range one.Operations { // what the gateway serves itself
			if word := strings.TrimPrefix(strings.Split(op.Path, "/")[1], "."); word != "" && !strings.Contains(word, ".") { // no name has a dot
				reserved = append(reserved, word)
			}
		}
	}
	require.Contains(t, reserved, "factors")
	for _, name := range reserved {
		got, err := h.client.RegisterServiceWithResponse(t.Context(), nil, api.ServiceCreate{Name: name, Scopes: []string{}}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusConflict, got.StatusCode(), name)
		require.Equal(t, "already_exists", code(got.Body), name)
	}
	for _, declared := range []string{"elements:read", "other:read", "order:read", "orders2:read"} {
		got, err := h.client.RegisterServiceWithResponse(t.Context(), nil, api.ServiceCreate{Name: "orders", Scopes: []string{}, DeclaredScopes: &[]string{declared}}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), declared)
	}
	got, err := h.client.RegisterServiceWithResponse(t.Context(), nil, api.ServiceCreate{Name: "orders", Scopes: []string{"stock:count"}}, bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), "a scope that no service declares")
}

// A scope that is no longer declared is removed at once from tokens, keys, roles and services.
func TestUpdateService_withdrawsWhatItNoLongerDeclares(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		prover := h.prover()
		raise := func() string { return prover.raise(h.login(adminName, adminPassword).AccessToken, "kms") }
		raised := raise()
		orders, _ := h.resourceServer("orders", raised, []string{}, "orders:read", "orders:write")
		stock, stockKey := h.resourceServer("stock", raised, []string{"orders:read", "orders:write"})
		require.Equal(t, http.StatusCreated, h.putRole("clerk", raised, nil, "orders:read", "orders:write").StatusCode())
		grace := h.user("grace", "clerk", raised)
		session := h.login("grace", userPassword)
		key := h.ownKey(grace.ID, session.AccessToken, "orders:write", "orders:read")

		got := h.updateService(orders, raised, api.ServiceUpdate{DeclaredScopes: &[]string{"orders:read", "orders:close"}})
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Equal(t, []string{"orders:close", "orders:read"}, got.JSON200.DeclaredScopes)
		h.refused(session.AccessToken) // the tokens of all who had it have ended
		raised = raise()
		role, err := h.client.GetRoleWithResponse(t.Context(), "clerk", nil, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, []string{"orders:read"}, role.JSON200.Scopes)
		require.EqualValues(t, 2, *role.JSON200.Version)
		require.Equal(t, "orders:read", claims(t, h.token(key, "orders")).Scope)
		require.Equal(t, "orders:read", claims(t, h.token(stockKey, "orders")).Scope)
		now, err := h.client.GetServiceWithResponse(t.Context(), stock.ID, nil, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, []string{"orders:read"}, now.JSON200.Scopes)
		require.NotNil(t, now.JSON200.LastUsedAt)

		// A scope that is declared again is not granted automatically.
		got = h.updateService(got.JSON200, raised, api.ServiceUpdate{DeclaredScopes: &[]string{"orders:read", "orders:write"}})
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Equal(t, "orders:read", claims(t, h.token(key, "orders")).Scope)

		raised = raise()
		ended, err := h.client.DeleteServiceWithResponse(t.Context(), orders.ID, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, ended.StatusCode(), string(ended.Body))
		require.Equal(t, "invalid_target", code(h.ask(key.APIKey.ID, key.Key, "orders").Body))
		raised = raise()
		again, err := h.client.RegisterServiceWithResponse(t.Context(), nil, api.ServiceCreate{Name: "orders", Scopes: []string{}}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusConflict, again.StatusCode(), "the name never means another service")
		gone, err := h.client.GetServiceWithResponse(t.Context(), orders.ID, nil, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, gone.StatusCode())
		gone2, err := h.client.DeleteServiceWithResponse(t.Context(), orders.ID, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, gone2.StatusCode())
	})
}

// refused requires that a token is no longer accepted.
func (h *house) refused(token string) {
	h.t.Helper()
	got, err := h.client.ListRolesWithResponse(h.t.Context(), nil, bearer(token))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusUnauthorized, got.StatusCode(), string(got.Body))
}

func TestUpdateService_takesScopesAndEndsItsTokens(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	reports, key := h.resourceServer("reports", raised, []string{"elements:read", "documents:search"})
	before := h.token(key, "sequence")
	sequence := h.enrol("sequence")
	require.True(t, h.introspect(key.APIKey.ID, key.Key, before).JSON200.Active)
	got := h.updateService(reports, raised, api.ServiceUpdate{Scopes: &[]string{"documents:search"}})
	require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
	require.False(t, h.introspect(key.APIKey.ID, key.Key, before).JSON200.Active)
	require.Equal(t, "invalid_target", code(h.ask(key.APIKey.ID, key.Key, "sequence").Body))
	got = h.updateService(reports, raised, api.ServiceUpdate{Scopes: &[]string{"documents:search"}})
	require.Equal(t, http.StatusPreconditionFailed, got.StatusCode())
	got = h.updateService(&api.Service{ID: reports.ID, Version: 2}, raised, api.ServiceUpdate{Scopes: &[]string{"no:such"}})
	require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode())
	all, err := h.client.ListServicesWithResponse(t.Context(), nil, bearer(raised))
	require.NoError(t, err)
	for _, s := range all.JSON200.Items {
		if s.ID == sequence.APIKey.OwnerID {
			got = h.updateService(&s, raised, api.ServiceUpdate{Scopes: &[]string{"documents:search"}})
			require.Equal(t, http.StatusForbidden, got.StatusCode(), "the scopes of the family are the release's")
			deleted, err := h.client.DeleteServiceWithResponse(t.Context(), s.ID, bearer(raised))
			require.NoError(t, err)
			require.Equal(t, http.StatusForbidden, deleted.StatusCode())
		}
	}
}

func TestRoles_areDefinedChangedAndDeleted(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		raised := h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")
		for _, scope := range []string{"users:write", "keys:verify", "factors:manage", "no:such", "revocations:read"} {
			require.Equal(t, http.StatusUnprocessableEntity, h.putRole("clerk", raised, nil, scope).StatusCode(), scope)
		}
		for _, name := range []string{"admin", "editor", "reader"} {
			require.Equal(t, http.StatusForbidden, h.putRole(name, raised, nil, "elements:read").StatusCode(), name)
			deleted, err := h.client.DeleteRoleWithResponse(t.Context(), name, bearer(raised))
			require.NoError(t, err)
			require.Equal(t, http.StatusForbidden, deleted.StatusCode())
		}
		made := h.putRole("clerk", raised, &api.PutRoleParams{IfNoneMatch: ptr("*")}, "elements:write", "elements:read")
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		require.Equal(t, []string{"elements:read", "elements:write"}, made.JSON201.Scopes)
		require.Equal(t, http.StatusPreconditionFailed, h.putRole("clerk", raised, &api.PutRoleParams{IfNoneMatch: ptr("*")}, "elements:read").StatusCode())
		require.Equal(t, http.StatusPreconditionFailed, h.putRole("clerk", raised, &api.PutRoleParams{IfMatch: ptr(`"7"`)}, "elements:read").StatusCode())

		grace := h.user("grace", "clerk", raised)
		token := h.login("grace", userPassword).AccessToken
		require.Contains(t, claims(t, token).Scope, "elements:write")
		require.Equal(t, []string{"clerk"}, claims(t, token).Roles)
		require.Equal(t, http.StatusPreconditionFailed, h.putRole("nobody", raised, &api.PutRoleParams{IfMatch: ptr("*")}, "elements:read").StatusCode(), "there is none")
		more := h.putRole("clerk", raised, &api.PutRoleParams{IfMatch: ptr(`"1"`)}, "elements:read", "elements:write", "documents:search")
		require.Equal(t, http.StatusOK, more.StatusCode(), string(more.Body))
		_, err := h.client.ListRolesWithResponse(t.Context(), nil, bearer(token))
		require.NoError(t, err)
		less := h.putRole("clerk", raised, nil, "elements:read")
		require.Equal(t, http.StatusOK, less.StatusCode(), string(less.Body))
		h.refused(token)
		require.NotContains(t, claims(t, h.login("grace", userPassword).AccessToken).Scope, "elements:write")

		got := h.patch(grace.ID, 1, `{"roles":["clerk","nobody"]}`, raised)
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), string(got.Body))
		used, err := h.client.DeleteRoleWithResponse(t.Context(), "clerk", bearer(raised))
		require.NoError(t, err)
		require.Equal(t, "state_conflict", code(used.Body))
		h.change(grace.ID, `{"roles":["reader"]}`, raised)
		used, err = h.client.DeleteRoleWithResponse(t.Context(), "clerk", bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, used.StatusCode(), string(used.Body))
		used, err = h.client.DeleteRoleWithResponse(t.Context(), "clerk", bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, used.StatusCode())

		reader := h.login("grace", userPassword).AccessToken
		roles, err := h.client.ListRolesWithResponse(t.Context(), &api.ListRolesParams{Limit: ptr(int32(2))}, bearer(reader))
		require.NoError(t, err)
		require.Len(t, roles.JSON200.Items, 2, "everybody reads which roles there are")
		roles, err = h.client.ListRolesWithResponse(t.Context(), &api.ListRolesParams{Cursor: roles.JSON200.NextCursor}, bearer(reader))
		require.NoError(t, err)
		require.Equal(t, "reader", roles.JSON200.Items[0].Name)
		scopes, err := h.client.ListScopesWithResponse(t.Context(), nil, bearer(reader))
		require.NoError(t, err)
		require.Greater(t, len(scopes.JSON200.Items), 20)
	})
}

// A tenant is set once, and copied into every token and key.
func TestTenant_isInEveryTokenAndKey(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		made, err := h.client.CreateUserWithResponse(t.Context(), nil,
			api.UserCreate{Username: "grace", Password: userPassword, Roles: []string{"editor"}, Tenant: ptr("globe")}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		require.Equal(t, "globe", *made.JSON201.Tenant)
		login := h.login("grace", userPassword)
		require.Equal(t, "globe", claims(t, login.AccessToken).Tenant)
		require.Equal(t, "globe", claims(t, h.refresh(*login.RefreshToken).JSON200.AccessToken).Tenant)
		key := h.ownKey(made.JSON201.ID, login.AccessToken, "elements:read", "keys:read")
		require.Equal(t, "globe", *key.APIKey.Tenant)
		require.Equal(t, "globe", claims(t, h.token(key, "sequence")).Tenant)
		rotated := h.rotate(key.APIKey.ID, login.AccessToken, 60)
		require.Equal(t, http.StatusCreated, rotated.StatusCode(), string(rotated.Body))
		require.Equal(t, "globe", *rotated.JSON201.APIKey.Tenant)
		sequence := h.enrol("sequence")
		require.Nil(t, sequence.APIKey.Tenant)
		require.Empty(t, claims(t, h.token(sequence, "kms")).Tenant, "the family belongs to no tenant")
		told := h.introspect(sequence.APIKey.ID, sequence.Key, h.token(key, "sequence"))
		require.Equal(t, "globe", *told.JSON200.Tenant)

		registered, err := h.client.RegisterServiceWithResponse(t.Context(), nil,
			api.ServiceCreate{Name: "reports", Scopes: []string{"elements:read"}, Tenant: ptr("globe")}, bearer(raised))
		require.NoError(t, err)
		reports := h.tryEnrol(registered.JSON201.Enrolment.Token).JSON201
		require.Equal(t, "globe", *reports.APIKey.Tenant)
		require.Equal(t, "globe", claims(t, h.token(reports, "sequence")).Tenant)
		require.Equal(t, "globe", *h.verify(reports.Key, raised).Tenant)

		refused, err := h.client.CreateUserWithResponse(t.Context(), nil,
			api.UserCreate{Username: "eve", Password: userPassword, Roles: []string{"admin"}, Tenant: ptr("globe")}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, refused.StatusCode(), "administrators act on all tenants")
		got := h.patch(made.JSON201.ID, 1, `{"roles":["admin"]}`, raised)
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode())
	})
}

// A scope that is withdrawn while it is being granted is in no role afterwards, and a role that is deleted while it is being assigned
// is assigned to no user.
func TestRoles_racesLeaveNothingBehind(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		prover := h.prover()
		raise := func() string { return prover.raise(h.login(adminName, adminPassword).AccessToken, "kms") }
		for range raceRounds(t) {
			raised := raise()
			name := strings.ToLower(strings.ReplaceAll(id.New("s"), "_", ""))
			s, _ := h.resourceServer(name, raised, []string{}, name+":read")
			require.Equal(t, http.StatusCreated, h.putRole("r"+name, raised, nil, "elements:read").StatusCode())
			var user *api.CreateUserResult
			var all sync.WaitGroup
			all.Go(func() { h.putRole("q"+name, raised, nil, name+":read") })
			all.Go(func() { h.updateService(s, raised, api.ServiceUpdate{DeclaredScopes: &[]string{}}) })
			all.Go(func() {
				user, _ = h.client.CreateUserWithResponse(t.Context(), nil, api.UserCreate{Username: name, Password: userPassword, Roles: []string{"r" + name}}, bearer(raised))
			})
			all.Go(func() { _, _ = h.client.DeleteRoleWithResponse(t.Context(), "r"+name, bearer(raised)) })
			all.Wait()

			raised = raise()
			now, err := h.client.GetServiceWithResponse(t.Context(), s.ID, nil, bearer(raised))
			require.NoError(t, err)
			q, err := h.client.GetRoleWithResponse(t.Context(), "q"+name, nil, bearer(raised))
			require.NoError(t, err)
			if q.JSON200 != nil && len(now.JSON200.DeclaredScopes) == 0 {
				require.Empty(t, q.JSON200.Scopes, "the role carries what no service declares")
			}
			if user != nil && user.JSON201 != nil {
				r, err := h.client.GetRoleWithResponse(t.Context(), "r"+name, nil, bearer(raised))
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, r.StatusCode(), "a user has a role that is not there")
				h.change(user.JSON201.ID, `{"roles":["reader"]}`, raised)
			}
			for _, role := range []string{"q" + name, "r" + name} {
				_, err := h.client.DeleteRoleWithResponse(t.Context(), role, bearer(raised))
				require.NoError(t, err)
			}
		}
	})
}

// The largest permitted values still fit into an audit event and into a token.
func TestUpdateService_takesTheLargestThereIs(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	name := "s" + strings.Repeat("e", 62)
	declared := make([]string, 32)
	for i := range declared {
		declared[i] = fmt.Sprintf("%s:v%s%02d", name, strings.Repeat("x", 29), i)
	}
	s, _ := h.resourceServer(name, raised, []string{}, declared...)
	got := h.updateService(s, raised, api.ServiceUpdate{Scopes: &declared, DeclaredScopes: &declared})
	require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
	require.Equal(t, http.StatusCreated, h.putRole("largest", raised, nil, declared...).StatusCode())
	h.user("grace", "largest", raised)
	answer := h.post(refreshFor(*h.login("grace", userPassword).RefreshToken, name), nil)
	require.Equal(t, http.StatusOK, answer.status)
	require.Less(t, len(answer.AccessToken), 8192, "what a header and introspection take")
}
