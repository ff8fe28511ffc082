package kms_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
)

type oauthAnswer struct {
	status           int
	header           http.Header
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int    `json:"expires_in"`
	RefreshToken     string `json:"refresh_token"`
	IDToken          string `json:"id_token"`
	Scope, Error     string
	ErrorDescription string `json:"error_description"`
	Type, Code       string // the code of a problem, which must not appear
}

// post sends a form to the token endpoint like any OAuth client.
func (h *house) post(form url.Values, edit func(*http.Request)) (out oauthAnswer) {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodPost, h.url+"/kms/v1/oauth2/token", strings.NewReader(form.Encode()))
	require.NoError(h.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if edit != nil {
		edit(r)
	}
	answer, err := h.http.Do(r)
	require.NoError(h.t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(h.t, err)
	require.NoError(h.t, json.Unmarshal(raw, &out), string(raw))
	out.status, out.header = answer.StatusCode, answer.Header
	require.Contains(h.t, answer.Header.Get("Content-Type"), "application/json")
	require.Equal(h.t, "no-store", answer.Header.Get("Cache-Control"))
	return out
}

func basic(id, secret string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret)) }
}

func TestIssueToken_clientCredentials(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		key := h.enrol("sequence")
		grant := url.Values{"grant_type": {"client_credentials"}}
		with := func(more ...string) url.Values {
			form := url.Values{"grant_type": {"client_credentials"}}
			for i := 0; i < len(more); i += 2 {
				form.Set(more[i], more[i+1])
			}
			return form
		}
		auth := basic(key.APIKey.ID, key.Key)

		got := h.post(grant, auth)
		require.Equal(t, http.StatusBadRequest, got.status)
		require.Equal(t, "invalid_target", got.Error, "its scopes reach two services")

		got = h.post(with("resource", "search"), auth)
		require.Equal(t, http.StatusOK, got.status, got.ErrorDescription)
		require.Equal(t, "Bearer", got.TokenType)
		require.Equal(t, 900, got.ExpiresIn)
		require.Empty(t, got.RefreshToken)
		require.Equal(t, "no-cache", got.header.Get("Pragma"))
		require.Equal(t, "collections:read collections:write documents:search documents:write", got.Scope)
		c := claims(t, got.AccessToken)
		require.Equal(t, jwt.ClaimStrings{"search"}, c.Audience)
		require.Equal(t, []string{"service", key.APIKey.ID, key.APIKey.OwnerID}, []string{c.Principal, c.ClientID, c.Subject})
		require.Equal(t, []string{"", "", got.Scope}, []string{c.SessionID, c.ACR, c.Scope})
		require.Equal(t, 15*time.Minute, c.ExpiresAt.Sub(c.IssuedAt.Time))

		got = h.post(with("scope", "documents:write"), auth)
		require.Equal(t, http.StatusOK, got.status, "one scope reaches one service")
		require.Equal(t, "documents:write", got.Scope)
		got = h.post(with("resource", issuer+"/kms/v1", "client_id", key.APIKey.ID, "client_secret", key.Key), nil)
		require.Equal(t, http.StatusOK, got.status, "authentication in the body, resource as URI")
		require.Equal(t, "keyrings:use keys:rotate-own revocations:read", got.Scope)

		for name, refused := range map[string]struct {
			form   url.Values
			edit   func(*http.Request)
			status int
			code   string
		}{
			"scope of nobody":      {with("resource", "search", "scope", "no:such"), auth, 400, "invalid_scope"},
			"scope of others":      {with("resource", "kms", "scope", "users:write"), auth, 400, "invalid_scope"},
			"scope elsewhere":      {with("resource", "kms", "scope", "documents:write"), auth, 400, "invalid_target"},
			"resource of nobody":   {with("resource", "nowhere"), auth, 400, "invalid_target"},
			"resource not reached": {with("resource", "twofactor"), auth, 400, "invalid_target"},
			"foreign issuer":       {with("resource", "https://example.org/kms/v1"), auth, 400, "invalid_target"},
			"no client":            {with("resource", "kms"), nil, 401, "invalid_client"},
			"unknown client":       {with("resource", "kms"), basic("key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", key.Key), 401, "invalid_client"},
			"wrong secret":         {with("resource", "kms"), basic(key.APIKey.ID, key.Key[:len(key.Key)-1]+"~"), 401, "invalid_client"},
			"twice":                {with("resource", "kms", "client_id", key.APIKey.ID, "client_secret", key.Key), auth, 400, "invalid_request"},
			"two ids":              {with("resource", "kms", "client_id", "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"), auth, 400, "invalid_request"},
			"bearer":               {with("resource", "kms"), func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, 401, "invalid_client"},
			"not base64":           {with("resource", "kms"), func(r *http.Request) { r.Header.Set("Authorization", "Basic !!!") }, 401, "invalid_client"},
			"password grant":       {url.Values{"grant_type": {"password"}, "username": {adminName}, "password": {adminPassword}}, nil, 400, ""},
			"unknown grant":        {url.Values{"grant_type": {"token-exchange"}}, auth, 400, "unsupported_grant_type"},
			"no grant":             {url.Values{}, auth, 400, "invalid_request"},
			"scope twice":          {url.Values{"grant_type": {"client_credentials"}, "scope": {"documents:write", "documents:search"}}, auth, 400, "invalid_request"},
		} {
			got := h.post(refused.form, refused.edit)
			require.Equal(t, refused.status, got.status, "%s: %s %s", name, got.Error, got.ErrorDescription)
			if refused.code != "" {
				require.Equal(t, refused.code, got.Error, name)
			}
			require.Empty(t, got.Type+got.Code, name)
			if got.status == 401 {
				require.Contains(t, got.header.Get("WWW-Authenticate"), "Basic", name)
			}
		}
	})
}

func TestIssueToken_refreshGrant(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	tokens := h.login(adminName, adminPassword)
	form := func(token string, more ...string) url.Values {
		out := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
		for i := 0; i < len(more); i += 2 {
			out.Set(more[i], more[i+1])
		}
		return out
	}
	token := *tokens.RefreshToken
	require.Equal(t, "invalid_scope", h.post(form(token, "scope", "keys:rotate-own"), nil).Error)
	require.Equal(t, "invalid_target", h.post(form(token, "resource", "nowhere"), nil).Error)
	require.Equal(t, "invalid_grant", h.post(form(token, "client_id", "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"), nil).Error)
	got := h.post(form(token, "scope", "elements:read", "resource", "sequence", "client_id", "fountain"), nil)
	require.Equal(t, http.StatusOK, got.status, "what was refused has used nothing up: %s", got.Error)
	require.Equal(t, "elements:read", got.Scope)
	require.Equal(t, jwt.ClaimStrings{"sequence"}, claims(t, got.AccessToken).Audience)
	again := h.post(form(got.RefreshToken), nil)
	require.Equal(t, http.StatusOK, again.status)
	require.Equal(t, tokens.Scope, again.Scope, "narrowing is for one access token, not for the session")
	require.Equal(t, "invalid_grant", h.post(form("rt_nothing"), nil).Error)
	require.Equal(t, "invalid_request", h.post(url.Values{"grant_type": {"refresh_token"}}, nil).Error)
}

func TestIssueToken_usersKeyIsOneFactorAndNoSession(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, _ := h.administrator()
	session := h.login(adminName, adminPassword).AccessToken
	made, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{
		Name: "mine", OwnerKind: new(api.APIKeyCreateOwnerKind("user")), OwnerID: new(admin.ID), Scopes: []string{"secrets:read", "session:manage", "keys:write"},
	}, bearer(session))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
	token := h.token(made.JSON201, "kms")
	c := claims(t, token)
	require.Equal(t, []string{"user", "aal1", ""}, []string{c.Principal, c.ACR, c.SessionID})
	require.Zero(t, c.AuthTime)
	secret, err := h.client.GetSecretWithResponse(t.Context(), "search.typesense", nil, bearer(token))
	require.NoError(t, err)
	require.Equal(t, "insufficient_user_authentication", code(secret.Body))
	out, err := h.client.LogoutUserWithResponse(t.Context(), nil, bearer(token))
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, out.StatusCode())
	// A key can't create a stronger key.
	for scope, want := range map[string]int{"secrets:read": http.StatusCreated, "secrets:write": http.StatusUnprocessableEntity} {
		got, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{
			Name: "child", OwnerKind: new(api.APIKeyCreateOwnerKind("user")), OwnerID: new(admin.ID), Scopes: []string{scope},
		}, bearer(token))
		require.NoError(t, err)
		require.Equal(t, want, got.StatusCode(), "%s: %s", scope, got.Body)
	}
}

func TestMetadata_namesWhatWorks(t *testing.T) {
	c := databaseOfSQLite(t)
	c.PublicURL = "https://fountain.example"
	h := start(t, c)
	got, err := h.client.GetServerMetadataWithResponse(t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, got.StatusCode())
	require.Equal(t, issuer, got.JSON200.Issuer)
	require.Equal(t, "https://fountain.example/kms/v1/oauth2/token", got.JSON200.TokenEndpoint)
	require.Equal(t, "https://fountain.example/kms/v1/.well-known/jwks.json", got.JSON200.JwksURI)
	require.Contains(t, got.JSON200.ScopesSupported, "elements:write")
	require.NotContains(t, got.JSON200.GrantTypesSupported, "password")
}
