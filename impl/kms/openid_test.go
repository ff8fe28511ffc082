package kms_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/auth"
)

const (
	callback   = "https://app.example/callback"
	afterwards = "https://app.example/bye?from=us"
	verifier   = "a-verifier-of-the-client-that-nobody-else-knows-0123"
)

// webapp is a house with a web app and a person, grace.
type webapp struct {
	*house
	p      *prover
	raised string // the administrator's
	grace  *api.UserCreated
	access string // grace's own session
	app    *api.ClientRegistration
}

func newWebapp(h *house, edit func(*api.ClientCreate)) *webapp {
	h.t.Helper()
	h.bootstrap()
	w := &webapp{house: h, p: h.prover()}
	w.raised = w.p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
	w.grace = h.user("grace", "editor", w.raised)
	w.access = h.login("grace", userPassword).AccessToken
	body := reports()
	if edit != nil {
		edit(&body)
	}
	w.app = w.registered(body)
	return w
}

// reports is a web app of the own team.
func reports() api.ClientCreate {
	return api.ClientCreate{
		Name: "Reports", Type: api.ClientCreateTypeConfidential, RedirectUris: []string{callback}, PostLogoutRedirectUris: &[]string{afterwards},
		Scopes: &[]string{"elements:read"}, Trusted: new(true),
	}
}

func (w *webapp) registered(body api.ClientCreate) *api.ClientRegistration {
	w.t.Helper()
	got, err := w.client.RegisterClientWithResponse(w.t.Context(), nil, body, bearer(w.raised))
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusCreated, got.StatusCode(), string(got.Body))
	return got.JSON201
}

func challengeFor(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request returns a valid request; edits alternates names and values, "" removes a name.
func (w *webapp) request(edits ...string) api.AuthorizationRequest {
	words := map[string]string{
		"response_type": "code", "client_id": w.app.Client.ID, "redirect_uri": callback, "scope": "openid profile", "state": "st&te", "nonce": "n-1",
		"code_challenge": challengeFor(verifier), "code_challenge_method": "S256",
	}
	for i := 0; i < len(edits); i += 2 {
		words[edits[i]] = edits[i+1]
		if edits[i+1] == "" {
			delete(words, edits[i])
		}
	}
	raw, err := json.Marshal(words)
	require.NoError(w.t, err)
	var r api.AuthorizationRequest
	require.NoError(w.t, json.Unmarshal(raw, &r))
	return r
}

func (w *webapp) authorize(token string, r api.AuthorizationRequest, consent string) *api.AuthorizeClientResult {
	w.t.Helper()
	body := api.AuthorizationAnswer{Request: r}
	if consent != "" {
		body.Consent = new(api.AuthorizationAnswerConsent(consent))
	}
	got, err := w.client.AuthorizeClientWithResponse(context.WithoutCancel(w.t.Context()), body, bearer(token))
	require.NoError(w.t, err)
	return got
}

// sent returns the query that the browser brings back to the client.
func (w *webapp) sent(a *api.Authorization) url.Values {
	w.t.Helper()
	require.NotNil(w.t, a)
	require.EqualValues(w.t, "redirect", a.Status)
	at, query, _ := strings.Cut(*a.Redirect, "?")
	require.Equal(w.t, callback, at)
	values, err := url.ParseQuery(query)
	require.NoError(w.t, err)
	require.Equal(w.t, []string{"st&te", issuer}, []string{values.Get("state"), values.Get("iss")})
	return values
}

// code returns a code for grace.
func (w *webapp) code(edits ...string) string {
	w.t.Helper()
	got := w.authorize(w.access, w.request(edits...), "")
	require.Equal(w.t, http.StatusOK, got.StatusCode(), string(got.Body))
	code := w.sent(got.JSON200).Get("code")
	require.True(w.t, strings.HasPrefix(code, "ac_"), string(got.Body))
	return code
}

func (w *webapp) form(code string, edits ...string) url.Values {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	for i := 0; i < len(edits); i += 2 {
		form.Set(edits[i], edits[i+1])
		if edits[i+1] == "" {
			form.Del(edits[i])
		}
	}
	return form
}

func (w *webapp) itself(r *http.Request) { basic(w.app.Client.ID, *w.app.ClientSecret)(r) }

// trade exchanges a code, which must succeed.
func (w *webapp) trade(code string, edits ...string) oauthAnswer {
	w.t.Helper()
	got := w.post(w.form(code, edits...), w.itself)
	require.Equal(w.t, http.StatusOK, got.status, "%s %s", got.Error, got.ErrorDescription)
	return got
}

func (w *webapp) userinfo(token string) *api.GetUserInfoResult {
	w.t.Helper()
	got, err := w.client.GetUserInfoWithResponse(w.t.Context(), bearer(token))
	require.NoError(w.t, err)
	return got
}

func identity(t *testing.T, token string) (c auth.IDClaims) {
	t.Helper()
	parsed, _, err := jwt.NewParser().ParseUnverified(token, &c)
	require.NoError(t, err)
	require.Equal(t, "JWT", parsed.Header["typ"], "never taken for an access token")
	return c
}

func TestCodeFlow_tellsAWebAppWhoSignedIn(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, newWebapp(h, nil)
		got := w.trade(w.code("scope", "openid profile offline_access elements:read users:write no:such"))
		require.Equal(t, "elements:read offline_access openid profile", sortedWords(got.Scope), "what is not the client's is passed over")
		require.Equal(t, 600, got.ExpiresIn)
		require.NotEmpty(t, got.RefreshToken)

		id := identity(t, got.IDToken)
		require.Equal(t, []string{issuer, w.grace.ID, w.app.Client.ID}, []string{id.Issuer, id.Subject, strings.Join(id.Audience, " ")})
		require.Equal(t, []string{"n-1", "aal1", "pwd", "grace"}, []string{id.Nonce, id.ACR, strings.Join(id.AMR, " "), id.Username})
		require.InDelta(t, h.clock.Now().Unix(), id.AuthTime, 2)
		require.Equal(t, 10*time.Minute, id.ExpiresAt.Sub(id.IssuedAt.Time))

		c := claims(t, got.AccessToken)
		require.Equal(t, "kms sequence", strings.Join(c.Audience, " "))
		require.Equal(t, []string{"elements:read openid", w.app.Client.ID, id.SessionID, "aal1"}, []string{sortedWords(c.Scope), c.ClientID, c.SessionID, c.ACR})
		info := w.userinfo(got.AccessToken)
		require.Equal(t, http.StatusOK, info.StatusCode(), string(info.Body))
		require.Equal(t, []string{w.grace.ID, "grace"}, []string{info.JSON200.Sub, *info.JSON200.PreferredUsername})

		// The ID token is no access token, and the access token is accepted by no operation of the kms but userinfo.
		require.Equal(t, http.StatusUnauthorized, w.userinfo(got.IDToken).StatusCode())
		require.Equal(t, http.StatusForbidden, w.userinfo(w.access).StatusCode(), "a person's own token is no app's")
		require.Equal(t, http.StatusForbidden, w.authorize(got.AccessToken, w.request(), "").StatusCode(), "an app signs nobody in elsewhere")
		me, err := h.client.GetUserWithResponse(t.Context(), w.grace.ID, nil, bearer(got.AccessToken))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, me.StatusCode())

		little := w.trade(w.code("scope", "openid"), "resource", "kms")
		require.Empty(t, little.RefreshToken, "offline_access was not asked for")
		require.Nil(t, w.userinfo(little.AccessToken).JSON200.PreferredUsername)
		require.Equal(t, []string{"grace", ""}, []string{c.Username, claims(t, little.AccessToken).Username}, "the access token, which the app can read, tells no more")
		require.Empty(t, identity(t, little.IDToken).Username)
	})
}

func sortedWords(text string) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Fields(text))), " ")
}

// Errors are redirected only to a registered URI, not to any similar one (RFC 9700, section 2.1).
func TestAuthorize_sendsNothingToAnAddressThatIsNotRegistered(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := newWebapp(h, nil)
	for _, uri := range []string{
		"", callback + "/", callback + "/../callback", callback + "?x=1", callback + "#f", "https://app.example/callbac", "https://app.example/Callback",
		"https://APP.example/callback", "https://app.example:443/callback", "https://app.example./callback", "https://app.example@evil.example/callback",
		"https://evil.example/https://app.example/callback", "http://app.example/callback", "https://app.example/callback%00", "//app.example/callback", "javascript:alert(1)",
		"https://app.example\\@evil.example/callback",
	} {
		for _, edits := range [][]string{{"redirect_uri", uri}, {"redirect_uri", uri, "response_type", "token"}, {"redirect_uri", uri, "prompt", "none"}} {
			got := w.authorize(w.access, w.request(edits...), "")
			require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), "%s: %s", uri, got.Body)
			check, err := h.client.CheckAuthorizationWithResponse(t.Context(), w.request(edits...))
			require.NoError(t, err)
			require.Equal(t, http.StatusUnprocessableEntity, check.StatusCode(), "%s: %s", uri, check.Body)
			if len(uri) > 12 {
				require.NotContains(t, string(got.Body)+string(check.Body), uri, "what was sent is not repeated")
			}
		}
	}
	got := w.authorize(w.access, w.request("client_id", "cli_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"), "")
	require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode())
}

func TestAuthorize_tellsTheClientWhatIsWrong(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := newWebapp(h, nil)
	for name, c := range map[string]struct {
		edits []string
		want  string
	}{
		"implicit flow":       {[]string{"response_type", "token"}, "unsupported_response_type"},
		"hybrid flow":         {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
		"no response type":    {[]string{"response_type", ""}, "invalid_request"},
		"fragment":            {[]string{"response_mode", "fragment"}, "invalid_request"},
		"no openid":           {[]string{"scope", "profile"}, "invalid_scope"},
		"no PKCE":             {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		"plain PKCE":          {[]string{"code_challenge", verifier, "code_challenge_method", "plain"}, "invalid_request"},
		"method left out":     {[]string{"code_challenge_method", ""}, "invalid_request"},
		"challenge too short": {[]string{"code_challenge", "abc"}, "invalid_request"},
		"none and login":      {[]string{"prompt", "none login"}, "invalid_request"},
		"unknown prompt":      {[]string{"prompt", "dance"}, "invalid_request"},
		"max_age of words":    {[]string{"max_age", "soon"}, "invalid_request"},
		"negative max_age":    {[]string{"max_age", "-1"}, "invalid_request"},
		"request object":      {[]string{"request", "e30"}, "request_not_supported"},
		"request URI":         {[]string{"request_uri", "https://app.example/r"}, "request_uri_not_supported"},
		"hint of another":     {[]string{"id_token_hint", "e30.e30.x"}, "login_required"},
	} {
		got := w.authorize(w.access, w.request(c.edits...), "")
		require.Equal(t, http.StatusOK, got.StatusCode(), "%s: %s", name, got.Body)
		require.Equal(t, c.want, w.sent(got.JSON200).Get("error"), name)
		require.Empty(t, w.sent(got.JSON200).Get("code"), name)
	}
	denied := w.authorize(w.access, w.request(), "denied")
	require.Equal(t, "access_denied", w.sent(denied.JSON200).Get("error"))
	check, err := h.client.CheckAuthorizationWithResponse(t.Context(), w.request("prompt", "none"))
	require.NoError(t, err)
	require.Equal(t, "login_required", w.sent(check.JSON200).Get("error"), "nobody is signed in who checks")
	check, err = h.client.CheckAuthorizationWithResponse(t.Context(), w.request())
	require.NoError(t, err)
	require.EqualValues(t, "sign_in_required", check.JSON200.Status)
	require.Equal(t, "Reports", check.JSON200.Client.Name)
}

func TestAuthorize_asksForWhatTheClientAsksFor(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := newWebapp(h, nil)
	status := func(token string, edits ...string) string {
		got := w.authorize(token, w.request(edits...), "")
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		if got.JSON200.Redirect != nil {
			return w.sent(got.JSON200).Get("error")
		}
		return string(got.JSON200.Status)
	}
	require.Empty(t, status(w.access, "prompt", "login"), "who has just signed in, has")
	require.Equal(t, "factor_required", status(w.access, "acr_values", "phr aal2"))
	require.Equal(t, "unmet_authentication_requirements", status(w.access, "acr_values", "aal2", "prompt", "none"))
	require.Empty(t, status(w.access, "acr_values", "urn:somebody:else"), "levels of others are passed over")
	h.clock.Advance(6 * time.Minute)
	require.Equal(t, "sign_in_required", status(w.access, "prompt", "login"))
	require.Equal(t, "sign_in_required", status(w.access, "max_age", "300"))
	require.Equal(t, "sign_in_required", status(w.access, "max_age", "0"))
	require.Equal(t, "login_required", status(w.access, "max_age", "300", "prompt", "none"))
	require.Empty(t, status(w.access, "max_age", "3600"))

	raised := w.p.raise(w.access, "kms")
	require.Empty(t, status(raised, "acr_values", "aal2"))
	got := w.authorize(raised, w.request("acr_values", "aal2", "scope", "openid elements:read"), "")
	answer := w.trade(w.sent(got.JSON200).Get("code"))
	id := identity(t, answer.IDToken)
	require.Equal(t, []string{"aal2", "pwd otp"}, []string{id.ACR, strings.Join(id.AMR, " ")})
	require.Equal(t, "aal1", claims(t, answer.AccessToken).ACR, "an app steps nobody up")
}

// If a role begins to require a second factor, people who are already signed in must present it before they enter an app.
func TestAuthorize_asksForTheFactorThatARoleAsksForSince(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := newWebapp(h, nil)
	raised := w.p.raise(w.access, "kms")
	require.Equal(t, http.StatusOK, h.putPolicy("editor", w.raised, api.SecondFactorPolicyPut{Required: "always"}).StatusCode())
	asked := w.authorize(w.access, w.request(), "")
	require.Equal(t, http.StatusOK, asked.StatusCode(), string(asked.Body))
	require.EqualValues(t, "factor_required", asked.JSON200.Status)
	silent := w.authorize(w.access, w.request("prompt", "none"), "")
	require.Equal(t, "unmet_authentication_requirements", w.sent(silent.JSON200).Get("error"))
	require.NotEmpty(t, w.sent(w.authorize(raised, w.request(), "").JSON200).Get("code"))
}

func TestConsent_isAskedOfClientsOfOthersOnceForEachScope(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, newWebapp(h, func(c *api.ClientCreate) { c.Trusted = nil })
		status := func(consent string, edits ...string) *api.Authorization {
			got := w.authorize(w.access, w.request(edits...), consent)
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
			return got.JSON200
		}
		asked := status("")
		require.EqualValues(t, "consent_required", asked.Status)
		require.Equal(t, []string{"openid", "profile"}, *asked.Scopes)
		require.Equal(t, "consent_required", w.sent(status("", "prompt", "none")).Get("error"))
		require.NotEmpty(t, w.sent(status("granted")).Get("code"))
		require.NotEmpty(t, w.sent(status("")).Get("code"), "it is kept")
		require.NotEmpty(t, w.sent(status("", "prompt", "none")).Get("code"))
		require.EqualValues(t, "consent_required", status("", "scope", "openid elements:read").Status, "not for more")
		require.EqualValues(t, "consent_required", status("", "prompt", "consent").Status, "and it is asked again where the client wants so")
		require.NotEmpty(t, w.sent(status("granted", "scope", "openid elements:read")).Get("code"))
		require.NotEmpty(t, w.sent(status("", "scope", "openid profile elements:read")).Get("code"), "the one before still counts")
	})
}

func TestTrade_refusesWhatTheCodeIsNotBoundTo(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, newWebapp(h, nil)
		other := w.registered(api.ClientCreate{Name: "Other", Type: api.ClientCreateTypeConfidential, RedirectUris: []string{callback}})
		public := w.registered(api.ClientCreate{Name: "Public", Type: api.ClientCreateTypePublic, RedirectUris: []string{callback}, Trusted: new(true)})
		code := w.code()
		for name, c := range map[string]struct {
			form   url.Values
			edit   func(*http.Request)
			status int
			want   string
		}{
			"another client's":    {w.form(code), basic(other.Client.ID, *other.ClientSecret), 400, "invalid_grant"},
			"a public client's":   {w.form(code, "client_id", public.Client.ID), nil, 400, "invalid_grant"},
			"no secret":           {w.form(code, "client_id", w.app.Client.ID), nil, 401, "invalid_client"},
			"wrong secret":        {w.form(code), basic(w.app.Client.ID, *other.ClientSecret), 401, "invalid_client"},
			"unknown client":      {w.form(code), basic("cli_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", *other.ClientSecret), 401, "invalid_client"},
			"no client":           {w.form(code), nil, 401, "invalid_client"},
			"secret of a public":  {w.form(code, "client_id", public.Client.ID, "client_secret", "x"), nil, 401, "invalid_client"},
			"another redirect":    {w.form(code, "redirect_uri", callback+"/"), w.itself, 400, "invalid_grant"},
			"no redirect":         {w.form(code, "redirect_uri", ""), w.itself, 400, "invalid_request"},
			"another verifier":    {w.form(code, "code_verifier", verifier+"x"), w.itself, 400, "invalid_grant"},
			"challenge as plain":  {w.form(code, "code_verifier", challengeFor(verifier)), w.itself, 400, "invalid_grant"},
			"short verifier":      {w.form(code, "code_verifier", "short"), w.itself, 400, "invalid_grant"},
			"PKCE left out":       {w.form(code, "code_verifier", ""), w.itself, 400, "invalid_request"},
			"unknown code":        {w.form("ac_nobody"), w.itself, 400, "invalid_grant"},
			"no code":             {w.form(""), w.itself, 400, "invalid_request"},
			"resource not theirs": {w.form(code, "resource", "search"), w.itself, 400, "invalid_target"},
			"scope not granted":   {w.form(code, "scope", "elements:write"), w.itself, 400, "invalid_scope"},
			"as a refresh token":  {url.Values{"grant_type": {"refresh_token"}, "refresh_token": {code}}, w.itself, 400, "invalid_grant"},
		} {
			if name == "no code" {
				c.form.Del("code")
			}
			got := h.post(c.form, c.edit)
			require.Equal(t, c.status, got.status, "%s: %s", name, got.Error)
			require.Equal(t, c.want, got.Error, name)
		}
		w.trade(code) // none of these attempts used it up
		late := w.code()
		h.clock.Advance(61 * time.Second)
		require.Equal(t, "invalid_grant", h.post(w.form(late), w.itself).Error, "a code lives for a minute")

		form := url.Values{"grant_type": {"authorization_code"}, "redirect_uri": {callback}, "code_verifier": {verifier}, "client_id": {public.Client.ID}}
		got := w.authorize(w.access, w.request("client_id", public.Client.ID), "")
		form.Set("code", w.sent(got.JSON200).Get("code"))
		require.Equal(t, http.StatusOK, h.post(form, nil).status, "a public client proves itself by PKCE alone")
	})
}

// A code can be exchanged once. Of concurrent exchanges one gets tokens, and any later one ends that session, since the code has leaked.
func TestTrade_hasOneWinnerAndEndsWhatAReplayedCodeGave(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, newWebapp(h, nil)
		code := w.code("scope", "openid offline_access")
		first := w.trade(code)
		require.Equal(t, http.StatusOK, w.userinfo(first.AccessToken).StatusCode())
		require.Equal(t, "invalid_grant", h.post(w.form(code), w.itself).Error)
		require.Equal(t, http.StatusUnauthorized, w.userinfo(first.AccessToken).StatusCode(), "it ends at once")
		require.Equal(t, "invalid_grant", w.renew(first.RefreshToken).Error)
		require.True(t, h.usable(w.access, w.grace.ID), "the person's own session goes on")

		code = w.code()
		var won, lost atomic.Int64
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				r, err := http.NewRequest(http.MethodPost, h.url+"/kms/v1/oauth2/token", strings.NewReader(w.form(code).Encode()))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w.itself(r)
				answer, err := h.http.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = answer.Body.Close()
				switch answer.StatusCode {
				case http.StatusOK:
					won.Add(1)
				case http.StatusBadRequest:
					lost.Add(1)
				default:
					t.Errorf("status %d", answer.StatusCode)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 49, lost.Load())
		require.Len(t, h.events("code used twice"), 2)
	})
}

func (w *webapp) renew(refresh string, edits ...string) oauthAnswer {
	w.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
	for i := 0; i < len(edits); i += 2 {
		form.Set(edits[i], edits[i+1])
	}
	return w.post(form, w.itself)
}

// A client's tokens and unexchanged codes depend on the person, their session and the client, and end with any of them.
func TestTrade_standsOnPersonSessionAndClient(t *testing.T) {
	for name, end := range map[string]func(w *webapp){
		"the person signs out": func(w *webapp) {
			got, err := w.client.LogoutUserWithResponse(w.t.Context(), nil, bearer(w.access))
			require.NoError(w.t, err)
			require.Equal(w.t, http.StatusNoContent, got.StatusCode())
		},
		"the person is disabled": func(w *webapp) { w.change(w.grace.ID, `{"status":"disabled"}`, w.raised) },
		"the sessions end": func(w *webapp) {
			got, err := w.client.RevokeSessionsWithResponse(w.t.Context(), w.grace.ID, bearer(w.access))
			require.NoError(w.t, err)
			require.Equal(w.t, http.StatusOK, got.StatusCode())
		},
		"the client is deleted": func(w *webapp) {
			got, err := w.client.DeleteClientWithResponse(w.t.Context(), w.app.Client.ID, bearer(w.raised))
			require.NoError(w.t, err)
			require.Equal(w.t, http.StatusNoContent, got.StatusCode(), string(got.Body))
		},
	} {
		each(t, func(h *house) {
			t, w := h.t, newWebapp(h, nil)
			got, code := w.trade(w.code("scope", "openid offline_access")), w.code()
			require.Equal(t, http.StatusOK, w.userinfo(got.AccessToken).StatusCode())
			end(w)
			require.Equal(t, http.StatusUnauthorized, w.userinfo(got.AccessToken).StatusCode(), name)
			require.NotEqual(t, http.StatusOK, w.renew(got.RefreshToken).status, name)
			require.NotEqual(t, http.StatusOK, h.post(w.form(code), w.itself).status, name)
		})
	}
}

func TestRefreshOfAClient_rotatesAndIsItsOwnAlone(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, newWebapp(h, nil)
		other := w.registered(api.ClientCreate{Name: "Other", Type: api.ClientCreateTypeConfidential, RedirectUris: []string{callback}})
		first := w.trade(w.code("scope", "openid offline_access elements:read")).RefreshToken
		require.Equal(t, http.StatusUnauthorized, h.refresh(first).StatusCode(), "the sign-in's own refresh does not take it")
		grant := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first}}
		require.Equal(t, "invalid_grant", h.post(grant, nil).Error, "nor for the client fountain")
		require.Equal(t, "invalid_grant", h.post(grant, basic(other.Client.ID, *other.ClientSecret)).Error)
		require.Equal(t, "invalid_client", h.post(grant, basic(w.app.Client.ID, "cs_wrong")).Error)
		theirs := h.login("grace", userPassword)
		require.Equal(t, "invalid_grant", w.renew(*theirs.RefreshToken).Error, "a client does not take a person's own")

		narrowed := w.renew(first, "scope", "offline_access")
		require.Equal(t, []string{"openid", "offline_access openid"}, []string{claims(t, narrowed.AccessToken).Scope, sortedWords(narrowed.Scope)}, "what no service knows narrows too")

		second := w.renew(first, "resource", "sequence")
		require.Equal(t, http.StatusOK, second.status, second.ErrorDescription)
		require.Equal(t, jwt.ClaimStrings{"sequence"}, claims(t, second.AccessToken).Audience)
		require.NotEqual(t, first, second.RefreshToken)
		require.Equal(t, "invalid_scope", w.renew(second.RefreshToken, "scope", "elements:write").Error, "a refresh only narrows")
		h.clock.Advance(11 * time.Second)
		require.Equal(t, "invalid_grant", w.renew(first).Error, "used twice")
		require.Equal(t, "invalid_grant", w.renew(second.RefreshToken).Error, "so all of the client's session is over")
		require.True(t, h.usable(theirs.AccessToken, w.grace.ID))

		// A client can revoke its own tokens (RFC 7009).
		mine := w.trade(w.code("scope", "openid offline_access"))
		revoke := func(edit func(*http.Request)) int {
			r, err := http.NewRequest(http.MethodPost, h.url+"/kms/v1/oauth2/revoke", strings.NewReader(url.Values{"token": {mine.RefreshToken}}.Encode()))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			edit(r)
			answer, err := h.http.Do(r)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			return answer.StatusCode
		}
		require.Equal(t, http.StatusOK, revoke(basic(other.Client.ID, *other.ClientSecret)))
		require.Equal(t, http.StatusUnauthorized, revoke(basic(w.app.Client.ID, "cs_wrong")))
		require.Equal(t, http.StatusOK, w.userinfo(mine.AccessToken).StatusCode(), "nothing of that has ended it")
		require.Equal(t, http.StatusOK, revoke(w.itself))
		require.Equal(t, http.StatusUnauthorized, w.userinfo(mine.AccessToken).StatusCode())
	})
}

func TestEndSession_signsOutWhomTheIDTokenNames(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, newWebapp(h, nil)
		got, other := w.trade(w.code()), w.trade(w.code("scope", "openid offline_access"))
		end := func(body api.SignOut) *api.EndSessionResult {
			ended, err := h.client.EndSessionWithResponse(t.Context(), body)
			require.NoError(t, err)
			return ended
		}
		for name, body := range map[string]api.SignOut{
			"no token":         {IDTokenHint: "x"},
			"an access token":  {IDTokenHint: got.AccessToken},
			"another client":   {IDTokenHint: got.IDToken, ClientID: new("cli_01KBB6Q3Y5W1V9T2ZD0G7M4N8P")},
			"another address":  {IDTokenHint: got.IDToken, PostLogoutRedirectURI: new("https://app.example/bye")},
			"of the callbacks": {IDTokenHint: got.IDToken, PostLogoutRedirectURI: new(callback)},
			"forged":           {IDTokenHint: got.IDToken[:len(got.IDToken)-4] + "AAAA"},
		} {
			refused := end(body)
			require.Equal(t, http.StatusUnprocessableEntity, refused.StatusCode(), "%s: %s", name, refused.Body)
		}
		require.True(t, h.usable(w.access, w.grace.ID), "nothing of that has ended anything")
		h.clock.Advance(20 * time.Minute) // an ID token that has expired still says whose session it was
		ended := end(api.SignOut{IDTokenHint: got.IDToken, ClientID: new(w.app.Client.ID), PostLogoutRedirectURI: new(afterwards), State: new("s t")})
		require.Equal(t, http.StatusOK, ended.StatusCode(), string(ended.Body))
		require.Equal(t, afterwards+"&state=s+t", *ended.JSON200.Redirect)
		require.Equal(t, "invalid_grant", w.renew(other.RefreshToken).Error, "what all apps had by the session ends with it")
		require.Equal(t, http.StatusOK, end(api.SignOut{IDTokenHint: got.IDToken}).StatusCode(), "repeating is safe")
	})
}

// The key that signed an ID token is gone after half an hour, but the session lives for days. What a revoked key has signed is no longer accepted as a hint.
func TestIDTokenHint_outlivesTheKeyUntilItIsRevoked(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, newWebapp(h, nil)
		got := w.trade(w.code())
		signer := inState(t, h.signingKeys(w.raised), api.SigningKeyStateActive, false).Kid
		require.Equal(t, http.StatusOK, h.rotateSigning(w.raised, "").StatusCode())
		h.clock.Advance(6 * 24 * time.Hour)
		hinted := func() (fault string) {
			access := h.login("grace", userPassword).AccessToken
			answer := w.authorize(access, w.request("id_token_hint", got.IDToken, "prompt", "none"), "")
			require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
			return w.sent(answer.JSON200).Get("error")
		}
		end := func() int {
			ended, err := h.client.EndSessionWithResponse(t.Context(), api.SignOut{IDTokenHint: got.IDToken})
			require.NoError(t, err)
			return ended.StatusCode()
		}
		require.NotContains(t, h.jwks(), signer)
		require.Empty(t, hinted())
		require.Equal(t, http.StatusOK, end())

		raised := w.p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		revoked := h.revokeSigning(signer, raised)
		require.Equal(t, http.StatusOK, revoked.StatusCode(), string(revoked.Body))
		require.NotNil(t, revoked.JSON200.RevokedAt, "also of one that is gone")
		require.True(t, revoked.JSON200.GoneAt.Before(h.clock.Now().Add(-time.Hour)), "which does not come back for clocks that are behind")
		require.Equal(t, "login_required", hinted())
		require.Equal(t, http.StatusUnprocessableEntity, end())
	})
}

func TestRegisterClient_takesSafeAddressesAndScopesAlone(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := newWebapp(h, nil)
	try := func(body api.ClientCreate, token string) (int, string) {
		got, err := h.client.RegisterClientWithResponse(t.Context(), nil, body, bearer(token))
		require.NoError(t, err)
		return got.StatusCode(), code(got.Body)
	}
	for uri, good := range map[string]bool{
		"https://app.example/cb": true, "http://127.0.0.1:8080/cb": true, "http://[::1]:8080/cb": true, "http://localhost/cb": true, "https://app.example/cb?a=b": true,
		"http://app.example/cb": false, "https://app.example/cb#f": false, "https://app.example/cb#": false, "https://*.example/cb": false, "https://u@app.example/cb": false,
		"https://app.example/cb?code=1": false, "https:///cb": false, "http://localhost.evil.example/cb": false, "https://app.example/c b": false, "ftp://app.example/": false,
		"http://127.0.0.1.evil.example/": false, "https://app.example/cb?iss=x": false,
	} {
		status, word := try(api.ClientCreate{Name: "x", Type: api.ClientCreateTypePublic, RedirectUris: []string{uri}}, w.raised)
		if good {
			require.Equal(t, http.StatusCreated, status, uri)
		} else {
			require.Equal(t, http.StatusUnprocessableEntity, status, "%s %s", uri, word)
		}
	}
	for _, scope := range []string{"users:write", "session:manage", "factors:manage", "keys:write", "no:such"} {
		status, word := try(api.ClientCreate{Name: "x", Type: api.ClientCreateTypePublic, RedirectUris: []string{callback}, Scopes: &[]string{scope}}, w.raised)
		require.Equal(t, []any{422, "validation_failed"}, []any{status, word}, scope)
	}
	good := api.ClientCreate{Name: "x", Type: api.ClientCreateTypePublic, RedirectUris: []string{callback}}
	status, word := try(good, h.login(adminName, adminPassword).AccessToken)
	require.Equal(t, []any{401, "insufficient_user_authentication"}, []any{status, word})
	status, _ = try(good, w.access)
	require.Equal(t, http.StatusForbidden, status)
}

func TestClient_changesAreFeltAtOnce(t *testing.T) {
	each(t, func(h *house) {
		t, w := h.t, newWebapp(h, nil)
		id := w.app.Client.ID
		update := func(version string, change api.ClientUpdate) *api.UpdateClientResult {
			got, err := h.client.UpdateClientWithResponse(t.Context(), id, &api.UpdateClientParams{IfMatch: version}, change, bearer(w.raised))
			require.NoError(t, err)
			return got
		}
		got := w.trade(w.code("scope", "openid elements:read"))
		require.Equal(t, http.StatusPreconditionFailed, update(`"9"`, api.ClientUpdate{Name: new("x")}).StatusCode())
		require.Equal(t, http.StatusOK, update(`"1"`, api.ClientUpdate{Name: new("Renamed")}).StatusCode())
		require.Equal(t, http.StatusOK, w.userinfo(got.AccessToken).StatusCode())
		require.Equal(t, http.StatusOK, update(`"2"`, api.ClientUpdate{Scopes: &[]string{}}).StatusCode())
		require.Equal(t, http.StatusUnauthorized, w.userinfo(got.AccessToken).StatusCode(), "a scope was taken away")

		waits := w.code()
		require.Equal(t, http.StatusOK, update(`"3"`, api.ClientUpdate{RedirectUris: &[]string{"https://app.example/new"}}).StatusCode())
		require.Equal(t, "invalid_grant", h.post(w.form(waits), w.itself).Error, "the redirect URI was taken away")
		require.Equal(t, http.StatusOK, update(`"4"`, api.ClientUpdate{RedirectUris: &[]string{callback}}).StatusCode())

		rotated, err := h.client.RotateClientSecretWithResponse(t.Context(), id, nil, bearer(w.raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, rotated.StatusCode(), string(rotated.Body))
		fresh := w.code()
		require.Equal(t, "invalid_client", h.post(w.form(fresh), w.itself).Error)
		w.app.ClientSecret = rotated.JSON201.ClientSecret
		w.trade(fresh)

		list, err := h.client.ListClientsWithResponse(t.Context(), nil, bearer(w.raised))
		require.NoError(t, err)
		require.Len(t, list.JSON200.Items, 1)
		require.Equal(t, "Renamed", list.JSON200.Items[0].Name)
		require.NotContains(t, string(list.Body), *w.app.ClientSecret)
		public := w.registered(api.ClientCreate{Name: "Public", Type: api.ClientCreateTypePublic, RedirectUris: []string{callback}})
		none, err := h.client.RotateClientSecretWithResponse(t.Context(), public.Client.ID, nil, bearer(w.raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusConflict, none.StatusCode())
	})
}

func TestProviderMetadata_saysWhatThereIs(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	both := map[string]string{}
	for _, name := range []string{"openid-configuration", "oauth-authorization-server"} {
		answer, err := h.http.Get(h.url + "/kms/v1/.well-known/" + name)
		require.NoError(t, err)
		var m api.ServerMetadata
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&m))
		require.NoError(t, answer.Body.Close())
		require.Equal(t, issuer+"/kms/v1/oauth2/authorize", *m.AuthorizationEndpoint)
		require.Equal(t, []string{"code"}, m.ResponseTypesSupported)
		require.Equal(t, []string{"S256"}, *m.CodeChallengeMethodsSupported)
		require.NotContains(t, m.GrantTypesSupported, "password")
		require.NotContains(t, m.GrantTypesSupported, "implicit")
		require.True(t, *m.AuthorizationResponseIssParameterSupported)
		raw, err := json.Marshal(m)
		require.NoError(t, err)
		both[name] = string(raw)
	}
	require.Equal(t, both["openid-configuration"], both["oauth-authorization-server"])
}

// The pages can't be framed, load nothing from other origins, and send their address, which says who signs in where, to no one.
func TestPagesOfTheProvider_areStrict(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	for _, path := range []string{
		"/oauth2/authorize?client_id=x&scope=openid&state=%3Cscript%3E&access_type=offline&resource=sequence", "/oauth2/authorize", "/oauth2/logout?id_token_hint=x", "/auth/password-reset",
	} {
		answer, err := h.http.Get(h.url + "/kms/v1" + path)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode, path)
		policy := answer.Header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "require-trusted-types-for 'script'"} {
			require.Contains(t, policy, part)
		}
		require.Equal(t, "no-referrer", answer.Header.Get("Referrer-Policy"))
	}
}

// The audit trail has the scopes that a person granted to an app.
func TestAuthorize_recordsTheScopesThatWereGranted(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := newWebapp(h, nil)
	w.code("scope", "openid profile email")
	for _, r := range h.records() {
		if r.Action == "authorizeClient" {
			require.Equal(t, "openid profile", r.Detail["scopes"])
			return
		}
	}
	require.Fail(t, "it is not in the audit trail")
}

// A reset token in the query would appear in logs, in the history and in the Referer header, so such an address is refused.
func TestPasswordResetPage_takesNoTokenInItsQuery(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	answer, err := h.http.Get(h.url + "/kms/v1/auth/password-reset?token=pr_Zm91bnRhaW4tZm91bnRhaW4")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
}
