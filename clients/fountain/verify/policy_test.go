package verify

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

var notesPolicy = Policy{
	"GET /v1/health":        Public(),
	"GET /v1/notes":         Require("notes:read"),
	"POST /v1/notes":        Require("notes:write"),
	"GET /v1/notes/{id}":    Require("notes:read"),
	"GET /v1/notes/recent":  Require(),
	"DELETE /v1/notes/{id}": Require("notes:delete").WithStepUp("aal2", 5*time.Minute),
	"GET /v1/either":        Require("notes:write").Or("notes:read", "notes:delete"),
	"GET /v1/services":      {Scopes: [][]string{{}}, Principals: []string{Service}},
	"GET /v1/editors":       {Scopes: [][]string{{}}, AnyRole: []string{"editor", "admin"}},
	"GET /v1/readers":       {Scopes: [][]string{{}}, AllRoles: []string{"reader"}},
	"GET /v1/both":          {Scopes: [][]string{{}}, AllRoles: []string{"reader", "editor"}},
}

// call sends a request through a guard and returns the response. A request that passes gets 200 and the subject.
func call(t testing.TB, v *Verifier, method, target string, authorization ...string) *httptest.ResponseRecorder {
	t.Helper()
	guard, err := v.Guard(notesPolicy)
	require.NoError(t, err)
	r := httptest.NewRequest(method, "/", nil)
	r.URL, err = url.ParseRequestURI(target)
	require.NoError(t, err)
	if authorization != nil {
		r.Header["Authorization"] = authorization
	}
	w := httptest.NewRecorder()
	guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p, ok := FromContext(r.Context()); ok {
			_, _ = w.Write([]byte(p.Subject))
		}
	})).ServeHTTP(w, r)
	return w
}

func TestGuard_admitsWhoMeetsTheRule(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.verifier()
	user := "Bearer " + i.token("k1", nil)
	raised := "bearer " + i.token("k1", jwt.MapClaims{"acr": "aal2"})
	service := "Bearer " + i.token("k1", jwt.MapClaims{"principal": "service", "sub": "svc_1", "roles": nil, "sid": nil, "acr": nil, "auth_time": nil})
	for _, c := range []struct{ method, target, token, body string }{
		{"GET", "/v1/health", "", ""}, {"GET", "/v1/notes", user, "usr_1"}, {"GET", "/v1/notes/n1", user, "usr_1"}, {"GET", "/v1/notes/a%20b", user, "usr_1"},
		{"GET", "/v1/notes/recent", user, "usr_1"}, {"GET", "/v1/either", user, "usr_1"}, {"GET", "/v1/readers", user, "usr_1"},
		{"DELETE", "/v1/notes/n1", raised, "usr_1"}, {"DELETE", "/v1/notes/n1", service, "svc_1"}, {"GET", "/v1/services", service, "svc_1"},
		{"GET", "/v1/editors", service, "svc_1"},
	} {
		var authorization []string
		if c.token != "" {
			authorization = []string{c.token}
		}
		w := call(t, v, c.method, c.target, authorization...)
		require.Equal(t, http.StatusOK, w.Code, "%s %s: %s", c.method, c.target, w.Body)
		require.Equal(t, c.body, w.Body.String())
	}
}

func TestGuard_refusesWithTheRightChallenge(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.verifier()
	user := []string{"Bearer " + i.token("k1", nil)}
	stale := []string{"Bearer " + i.token("k1", jwt.MapClaims{"acr": "aal2", "auth_time": noon.Add(-301 * time.Second).Unix()})}
	future := []string{"Bearer " + i.token("k1", jwt.MapClaims{"acr": "aal2", "auth_time": noon.Add(31 * time.Second).Unix()})}
	never := []string{"Bearer " + i.token("k1", jwt.MapClaims{"acr": "aal2", "auth_time": nil})}
	other := []string{"Bearer " + i.token("k1", jwt.MapClaims{"aud": "kms"})}
	stepUp := `Bearer realm="notes", error="insufficient_user_authentication", error_description="A second factor is needed", acr_values="aal2", max_age="300"`
	invalid := `Bearer realm="notes", error="invalid_token"`
	for name, c := range map[string]struct {
		method, target string
		authorization  []string
		status         int
		code           string
		challenge      string
	}{
		"no token":       {"GET", "/v1/notes", nil, 401, "authentication_required", `Bearer realm="notes"`},
		"another's":      {"GET", "/v1/notes", other, 401, "invalid_token", invalid},
		"two headers":    {"GET", "/v1/notes", append(user, user...), 401, "invalid_token", invalid},
		"a list":         {"GET", "/v1/notes", []string{user[0] + "," + user[0]}, 401, "invalid_token", invalid},
		"basic":          {"GET", "/v1/notes", []string{"Basic YTpi"}, 401, "invalid_token", invalid},
		"two spaces":     {"GET", "/v1/notes", []string{strings.Replace(user[0], " ", "  ", 1)}, 401, "invalid_token", invalid},
		"scope":          {"POST", "/v1/notes", user, 403, "insufficient_scope", `Bearer realm="notes", error="insufficient_scope", scope="notes:write"`},
		"kind":           {"GET", "/v1/services", user, 403, "principal_not_allowed", ""},
		"role":           {"GET", "/v1/editors", user, 403, "insufficient_role", ""},
		"one role of":    {"GET", "/v1/both", user, 403, "insufficient_role", ""},
		"level":          {"DELETE", "/v1/notes/n1", user, 401, "insufficient_user_authentication", stepUp},
		"too old":        {"DELETE", "/v1/notes/n1", stale, 401, "insufficient_user_authentication", stepUp},
		"from to come":   {"DELETE", "/v1/notes/n1", future, 401, "insufficient_user_authentication", stepUp},
		"no auth_time":   {"DELETE", "/v1/notes/n1", never, 401, "insufficient_user_authentication", stepUp},
		"unknown path":   {"GET", "/v1/other", user, 404, "not_found", ""},
		"unknown method": {"PUT", "/v1/notes", user, 405, "method_not_allowed", ""},
		"HEAD":           {"HEAD", "/v1/notes", user, 405, "method_not_allowed", ""},
	} {
		w := call(t, v, c.method, c.target, c.authorization...)
		require.Equal(t, c.status, w.Code, name)
		require.Equal(t, c.challenge, w.Header().Get("WWW-Authenticate"), name)
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), name)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), name)
		if c.method == "HEAD" {
			require.Empty(t, w.Body.String())
			continue
		}
		var body document
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), name)
		require.Equal(t, c.code, body.Code, name)
		require.Equal(t, c.status, body.Status, name)
		require.NotEmpty(t, body.RequestID, name)
		if c.code == "insufficient_user_authentication" {
			require.Equal(t, []string{"aal2"}, body.ACRValues)
			require.EqualValues(t, 300, body.MaxAge)
		}
	}
	require.Equal(t, "GET, POST", call(t, v, "PUT", "/v1/notes", user...).Header().Get("Allow"))
}

func TestGuard_refusesPathsThatTwoRoutersReadDifferently(t *testing.T) {
	i := newIssuer(t, "k1")
	v, token := i.verifier(), "Bearer "+i.token("k1", nil)
	for _, target := range []string{"/v1/n%6Ftes", "/v1/notes/recen%74", "/v1/notes%2Fn1", "/v1/notes/a%2fb", "/v1//notes", "/v1/notes/", "/v1/./notes", "/v1/x/../notes",
		"/v1/notes/%2e%2e", "/v1/notes/a%5Cb", "/v1/notes/%00", "/v1/notes/%7f", "//v1/notes", "/v1/notes/%2E", "/v1/notes/a%c3%a4b", "/"} {
		require.Equal(t, http.StatusNotFound, call(t, v, "GET", target, token).Code, target)
	}
	require.Equal(t, http.StatusOK, call(t, v, "GET", "/v1/notes/a%C3%A4b", token).Code)
}

// The guard matches a path to the same template as net/http and chi. Otherwise a request would be judged by the rule of
// another operation.
func FuzzGuard(f *testing.F) {
	templates := []string{"/notes", "/notes/{id}", "/notes/recent", "/notes/{id}/tags", "/notes/{id}/tags/{tag}", "/a:b", "/{x}", "/"}
	p, mux, router := Policy{}, http.NewServeMux(), chi.NewRouter()
	for _, path := range templates {
		p["GET "+path] = Public()
		named := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(path)) })
		pattern := path
		if path == "/" { // in net/http a trailing slash matches everything below
			pattern = "/{$}"
		}
		mux.Handle("GET "+pattern, named)
		router.Get(path, named.ServeHTTP)
	}
	t, err := newTable(p)
	require.NoError(f, err)
	for _, path := range []string{"/notes", "/notes/x", "/notes/recent", "/notes/%72ecent", "/notes/a%2Fb", "/notes/x/tags/y", "/%6eotes", "/a:b", "/a%3Ab", "/a%20b", "//notes", "/notes/../x", "/.", "/notes/%C3%A4"} {
		f.Add(path)
	}
	f.Fuzz(func(tt *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Host != "" || !strings.HasPrefix(path, "/") {
			return
		}
		r := &http.Request{Method: "GET", URL: u, Header: http.Header{}, Host: "x"}
		segments, ok := split(u.EscapedPath())
		if !ok {
			return
		}
		for _, one := range t {
			if !one.fits(segments) {
				continue
			}
			for name, handler := range map[string]http.Handler{"net/http": mux, "chi": router} {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r.Clone(tt.Context()))
				if got := w.Body.String(); w.Code != http.StatusOK || got != one.path {
					tt.Fatalf("%q is %s here, and %d %s for %s", path, one.path, w.Code, got, name)
				}
			}
			return
		}
	})
}

func TestGuard_refusesAPolicyThatIsUnclear(t *testing.T) {
	v := newIssuer(t).verifier()
	for name, p := range map[string]Policy{
		"zero rule":            {"GET /a": {}},
		"public with scopes":   {"GET /a": {Public: true, Scopes: [][]string{{"a"}}}},
		"unknown level":        {"GET /a": Require().WithStepUp("aal9", time.Minute)},
		"level that is none":   {"GET /a": Require().WithStepUp("aal1", time.Minute)},
		"no age":               {"GET /a": Require().WithStepUp("aal2", 0)},
		"unknown principal":    {"GET /a": {Scopes: [][]string{{}}, Principals: []string{"robot"}}},
		"scope with a space":   {"GET /a": Require("a b")},
		"no method":            {"/a": Require()},
		"method in lower case": {"get /a": Require()},
		"no slash":             {"GET a": Require()},
		"mixed segment":        {"GET /{a}.{b}": Require()},
		"wild card":            {"GET /{a...}": Require()},
		"escape":               {"GET /a%20b": Require()},
		"empty segment":        {"GET /a//b": Require()},
		"slash at the end":     {"GET /a/": Require()},
		"the same twice":       {"GET /a/{x}": Require(), "GET /a/{y}": Public()},
		"crossing":             {"GET /a/{x}/c": Require(), "GET /a/b/{y}": Public()},
	} {
		_, err := v.Guard(p)
		require.Error(t, err, name)
	}
	t.Run("but the root is a path", func(t *testing.T) {
		root, err := newTable(Policy{"GET /": Public()})
		require.NoError(t, err)
		for path, found := range map[string]bool{"/": true, "/a": false, "//": false} {
			_, refusal := root.find(&http.Request{Method: "GET", URL: &url.URL{Path: path}})
			require.Equal(t, found, refusal == nil, path)
		}
	})
	_, err := v.Guard(Policy{"GET /a/{x}": Require(), "POST /a/{y}": Require(), "GET /": Require()})
	require.NoError(t, err)
	require.Panics(t, func() { v.Protect(Rule{}, http.NotFoundHandler()) })
}

func TestProtect_guardsOneHandler(t *testing.T) {
	i := newIssuer(t, "k1")
	h := i.verifier().Protect(Require("notes:write"), http.NotFoundHandler())
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+i.token("k1", jwt.MapClaims{"scope": "notes:write"}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusNotFound, w.Code, "it came through")
	r.Header.Set("Authorization", "Bearer "+i.token("k1", nil))
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, http.StatusForbidden, w.Code)
}

func TestStepUp_isForHandlersThatDecideByTheRequest(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.verifier()
	p, err := v.Verify(t.Context(), i.token("k1", nil))
	require.NoError(t, err)
	require.Equal(t, "insufficient_user_authentication", code(v.StepUp(p, StepUp{ACR: "aal2", MaxAge: time.Minute})))
	require.NoError(t, v.StepUp(p, StepUp{ACR: "aal2", MaxAge: time.Minute, For: []string{Service}}))
	p.ACR = "phr"
	require.NoError(t, v.StepUp(p, StepUp{ACR: "aal2", MaxAge: time.Minute}), "a stronger factor will do")
	p.ACR = "aal3"
	require.Error(t, v.StepUp(p, StepUp{ACR: "aal2", MaxAge: time.Minute}), "an unknown level is none")
}

func TestWriteProblem_repeatsTheGatewaysRequestID(t *testing.T) {
	for id, same := range map[string]bool{"req_01KBB6Q3Y5W1V9T2ZD0G7M4N8P": true, "": false, "a\"b": false, strings.Repeat("x", 65): false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Request-Id", id)
		w := httptest.NewRecorder()
		WriteProblem(w, r, notFound())
		var body document
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		require.Equal(t, same, body.RequestID == id, id)
		require.Equal(t, "urn:fountain:request:"+body.RequestID, body.Instance)
	}
}
