package kms_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
)

const sessionCookie = "__Host-fountain-session"

// seen is an answer as a browser sees it.
type seen struct {
	*http.Response
	text string
}

// token is the answer's access token.
func (s seen) token(t *testing.T) string {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal([]byte(s.text), &body), s.text)
	require.NotContains(t, body, "refresh_token", "no script gets it")
	return body["access_token"].(string)
}

// cookie returns the cookie that the answer sets, or nil.
func (s seen) cookie(t *testing.T) *http.Cookie {
	t.Helper()
	if len(s.Header["Set-Cookie"]) == 0 {
		return nil
	}
	require.Len(t, s.Cookies(), 1)
	one := s.Cookies()[0]
	require.Equal(t, sessionCookie, one.Name)
	require.True(t, one.HttpOnly && one.Secure && one.SameSite == http.SameSiteStrictMode && one.Path == "/" && one.Domain == "", s.Header["Set-Cookie"])
	require.True(t, one.Expires.IsZero())
	return one
}

// page sends a request like a page does; header alternates names and values.
func (h *house) page(method, path, body string, header ...string) seen {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.url+"/kms/v1"+path, strings.NewReader(body))
	require.NoError(h.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := h.http.Do(req)
	require.NoError(h.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	return seen{res, string(text)}
}

// forPage signs grace in from a page, with additional headers.
func (h *house) forPage(header ...string) seen {
	h.t.Helper()
	return h.page("POST", "/auth/login", `{"username":"grace","password":"`+userPassword+`","refreshIn":"cookie"}`, header...)
}

const browserRefresh = "/auth/browser-session/refresh"

// goesOn requests the next access token with a cookie, like a page of the family.
func (h *house) goesOn(cookie string) seen {
	h.t.Helper()
	return h.page("POST", browserRefresh, "{}", "Origin", h.url, "Sec-Fetch-Site", "same-origin", "Cookie", sessionCookie+"="+cookie)
}

// withGrace creates grace, an editor.
func (h *house) withGrace() {
	h.t.Helper()
	h.bootstrap()
	h.user("grace", "editor", h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms"))
}

func TestBrowserSession_isInACookieThatNoScriptReads(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.withGrace()
		in := h.forPage("Origin", h.url)
		require.Equal(t, http.StatusOK, in.StatusCode, in.text)
		first := in.cookie(t).Value
		require.NotContains(t, in.text, first)

		next := h.goesOn(first)
		require.Equal(t, http.StatusOK, next.StatusCode, next.text)
		second := next.cookie(t).Value
		require.NotEqual(t, first, second)
		again := h.goesOn(first)
		require.Equal(t, second, again.cookie(t).Value, "another tab, or a reload while it was asked for: the same successor")

		for _, origin := range []string{h.url, issuer} {
			require.Equal(t, http.StatusOK, h.page("POST", browserRefresh, "{}", "Origin", origin, "Cookie", sessionCookie+"="+second).StatusCode, origin)
		}
		behind := h.page("POST", browserRefresh, "{}", "Origin", "https://fountain.example", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "fountain.example")
		require.Equal(t, http.StatusNoContent, behind.StatusCode, "behind the gateway it is the origin that the gateway tells")

		narrow := h.page("POST", browserRefresh, `{"resource":["sequence"]}`, "Origin", h.url, "Cookie", sessionCookie+"="+second)
		require.Equal(t, http.StatusOK, narrow.StatusCode, narrow.text)
		require.Equal(t, jwt.ClaimStrings{"sequence"}, claims(t, narrow.token(t)).Audience)
		wrong := h.page("POST", browserRefresh, `{"resource":["nobody"]}`, "Origin", h.url, "Cookie", narrow.Header.Get("Set-Cookie"))
		require.Equal(t, http.StatusBadRequest, wrong.StatusCode, wrong.text)
		require.Nil(t, wrong.cookie(t))
	})
}

func TestBrowserSession_isForPagesOfOurOriginAlone(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.withGrace()
	cookie := h.forPage("Origin", h.url).cookie(t).Value
	pair := sessionCookie + "=" + cookie
	for name, c := range map[string]struct {
		status int
		header []string
	}{
		"no origin":                  {http.StatusBadRequest, nil},
		"a null origin":              {http.StatusBadRequest, []string{"Origin", "null"}},
		"an empty origin":            {http.StatusBadRequest, []string{"Origin", ""}},
		"two origins":                {http.StatusBadRequest, []string{"Origin", h.url, "Origin", h.url}},
		"a foreign origin":           {http.StatusForbidden, []string{"Origin", "https://evil.example"}},
		"another port":               {http.StatusForbidden, []string{"Origin", "http://127.0.0.1:1"}},
		"another scheme":             {http.StatusForbidden, []string{"Origin", strings.Replace(h.url, "http:", "https:", 1)}},
		"ours with a tail":           {http.StatusForbidden, []string{"Origin", h.url + ".evil.example"}},
		"ours with a path":           {http.StatusForbidden, []string{"Origin", h.url + "/"}},
		"ours in another's name":     {http.StatusForbidden, []string{"Origin", "http://evil.example", "Referer", h.url}},
		"the browser says cross":     {http.StatusBadRequest, []string{"Origin", h.url, "Sec-Fetch-Site", "cross-site"}},
		"the browser says same-site": {http.StatusBadRequest, []string{"Origin", h.url, "Sec-Fetch-Site", "same-site"}},
		"the browser says none":      {http.StatusBadRequest, []string{"Origin", h.url, "Sec-Fetch-Site", "none"}},
		"two cookies of the name":    {http.StatusBadRequest, []string{"Origin", h.url, "Cookie", pair}},
		"two cookies in one":         {http.StatusBadRequest, []string{"Origin", h.url, "Cookie", "a=b; " + sessionCookie + "=rt_x"}},
		"a form":                     {http.StatusUnsupportedMediaType, []string{"Origin", h.url, "Content-Type", "application/x-www-form-urlencoded"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.page("POST", browserRefresh, "{}", append(c.header, "Cookie", pair)...)
			require.Equal(t, c.status, got.StatusCode, got.text)
			require.Nil(t, got.cookie(t))
		})
	}
	require.Equal(t, http.StatusMethodNotAllowed, h.page("GET", browserRefresh, "", "Origin", h.url, "Cookie", pair).StatusCode)
	require.Equal(t, http.StatusOK, h.goesOn(cookie).StatusCode, "nothing of it has used the token up")

	for name, header := range map[string][]string{"none": nil, "null": {"Origin", "null"}, "foreign": {"Origin", "https://evil.example"}, "another port": {"Origin", "http://127.0.0.1:1"}} {
		got := h.forPage(header...)
		require.Equal(t, http.StatusForbidden, got.StatusCode, name)
		require.Nil(t, got.cookie(t), name)
	}
}

func TestBrowserSession_endsAsEverySessionDoes(t *testing.T) {
	for name, end := range map[string]func(h *house, cookie string) string{
		"no such token": func(*house, string) string { return "rt_unknown" },
		"garbage":       func(*house, string) string { return "<>!%" },
		"idle": func(h *house, cookie string) string {
			h.clock.Advance(12 * time.Hour)
			return cookie
		},
		"the longest life": func(h *house, cookie string) string {
			for range 15 {
				h.clock.Advance(11 * time.Hour)
				cookie = h.goesOn(cookie).cookie(h.t).Value
			}
			h.clock.Advance(3 * time.Hour)
			return cookie
		},
		"used before, after the grace": func(h *house, cookie string) string {
			next := h.goesOn(cookie)
			h.clock.Advance(10*time.Second + time.Microsecond)
			require.Equal(h.t, http.StatusNoContent, h.goesOn(cookie).StatusCode)
			require.Equal(h.t, http.StatusUnauthorized, h.page("GET", "/users", "", "Authorization", "Bearer "+next.token(h.t)).StatusCode)
			return next.cookie(h.t).Value // the family has ended
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, databaseOfSQLite(t))
			h.withGrace()
			got := h.goesOn(end(h, h.forPage("Origin", h.url).cookie(t).Value))
			require.Equal(t, http.StatusNoContent, got.StatusCode, got.text)
			require.Equal(t, -1, got.cookie(t).MaxAge, "the browser forgets it")
		})
	}
}

func TestBrowserSession_endsWithTheSignOutOfItsPersonAlone(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.withGrace()
	other := h.page("POST", "/auth/login", `{"username":"`+adminName+`","password":"`+adminPassword+`","refreshIn":"cookie"}`, "Origin", h.url)
	one := h.forPage("Origin", h.url)
	out := func(of seen, cookie string) seen {
		return h.page("POST", "/auth/logout", "", "Authorization", "Bearer "+of.token(t), "Cookie", sessionCookie+"="+cookie)
	}
	got := out(one, other.cookie(t).Value)
	require.Equal(t, http.StatusNoContent, got.StatusCode, got.text)
	require.Nil(t, got.cookie(t), "somebody else has signed in meanwhile")
	require.Equal(t, http.StatusNoContent, h.goesOn(one.cookie(t).Value).StatusCode)
	next := h.goesOn(other.cookie(t).Value)
	require.Equal(t, http.StatusOK, next.StatusCode)
	got = out(next, next.cookie(t).Value)
	require.Equal(t, -1, got.cookie(t).MaxAge)
	require.Equal(t, http.StatusNoContent, h.goesOn(next.cookie(t).Value).StatusCode)

	one, again := h.forPage("Origin", h.url), h.forPage("Origin", h.url)
	got = out(one, again.cookie(t).Value)
	require.Equal(t, -1, got.cookie(t).MaxAge, "she had signed in again since, and signs out of this browser")
	require.Equal(t, http.StatusNoContent, h.goesOn(again.cookie(t).Value).StatusCode)
}

// A session that waits for its second factor has no cookie. The completion of the sign-in sets it, and so does a sign-in by passkey.
func TestBrowserSession_beginsWithTheSecondFactor(t *testing.T) {
	s := newSigning(start(t, databaseOfSQLite(t)))
	h := s.house
	waits := h.forPage("Origin", h.url)
	require.Equal(t, http.StatusAccepted, waits.StatusCode, waits.text)
	require.Nil(t, waits.cookie(t))
	var body struct{ MfaToken string }
	require.NoError(t, json.Unmarshal([]byte(waits.text), &body))
	proof := s.p.proofOf(body.MfaToken, auth.FactorTOTP)
	complete := func(origin string) seen {
		return h.page("POST", "/auth/login/complete", `{"proof":"`+proof+`","refreshIn":"cookie"}`, "Origin", origin, "Authorization", "Bearer "+body.MfaToken)
	}
	require.Equal(t, http.StatusForbidden, complete("https://evil.example").StatusCode)
	in := complete(h.url)
	require.Equal(t, http.StatusOK, in.StatusCode, in.text)
	in.token(t)
	require.Equal(t, http.StatusOK, h.goesOn(in.cookie(t).Value).StatusCode)

	proof = s.p.signIn(s.grace.ID, nil)
	passkey := func(origin string) seen {
		return h.page("POST", "/auth/login/passkey", `{"proof":"`+proof+`","refreshIn":"cookie"}`, "Origin", origin)
	}
	require.Equal(t, http.StatusForbidden, passkey("null").StatusCode)
	in = passkey(h.url)
	require.Equal(t, http.StatusOK, in.StatusCode, in.text)
	require.Equal(t, "phr", claims(t, in.token(t)).ACR)
	require.Equal(t, http.StatusOK, h.goesOn(in.cookie(t).Value).StatusCode)
}
