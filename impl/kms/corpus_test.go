package kms_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/servicetest"
)

func encode(v any) string {
	raw, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// J1 to J5: every forged or invalid token gets a 401, quickly, and never a 500.
func TestTokens_attackCorpus(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin := h.bootstrap()
	good := h.login(adminName, adminPassword).AccessToken
	parts := strings.Split(good, ".")
	var header map[string]any
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &header))
	var body map[string]any
	raw, err = base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &body))
	jwks, err := h.client.GetJwksWithResponse(t.Context(), nil)
	require.NoError(t, err)
	public, err := base64.RawURLEncoding.DecodeString(jwks.JSON200.Keys[0].X)
	require.NoError(t, err)
	_, mine, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)

	headed := func(changes map[string]any) string {
		changed := map[string]any{}
		for k, v := range header {
			changed[k] = v
		}
		for k, v := range changes {
			changed[k] = v
		}
		return encode(changed)
	}
	resigned := func(head string) string {
		signature := ed25519.Sign(mine, []byte(head+"."+parts[1]))
		return head + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	hmacked := func(head string, key []byte) string {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(head + "." + parts[1]))
		return head + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	edited := func(k string, v any) string {
		changed := map[string]any{}
		for name, value := range body {
			changed[name] = value
		}
		changed[k] = v
		return parts[0] + "." + encode(changed) + "." + parts[2]
	}
	malleable := func() string { // the last character has unused bits
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, good[len(good)-1])
		return good[:len(good)-1] + string(alphabet[last^1])
	}
	corpus := map[string]string{
		"none":                headed(map[string]any{"alg": "none"}) + "." + parts[1] + ".",
		"None":                headed(map[string]any{"alg": "None"}) + "." + parts[1] + "." + parts[2],
		"HS256 by public key": hmacked(headed(map[string]any{"alg": "HS256"}), public),
		"HS256 by its text":   hmacked(headed(map[string]any{"alg": "HS256"}), []byte(jwks.JSON200.Keys[0].X)),
		"embedded jwk": resigned(headed(map[string]any{"jwk": map[string]any{
			"kty": "OKP", "crv": "Ed25519", "x": base64.RawURLEncoding.EncodeToString(mine.Public().(ed25519.PublicKey)),
		}})),
		"jku":              resigned(headed(map[string]any{"jku": "http://127.0.0.1:1/jwks.json"})),
		"x5u":              resigned(headed(map[string]any{"x5u": "http://127.0.0.1:1/cert"})),
		"kid as path":      resigned(headed(map[string]any{"kid": "../../../../dev/null"})),
		"kid as SQL":       resigned(headed(map[string]any{"kid": "' UNION SELECT 'x' --"})),
		"kid empty":        resigned(headed(map[string]any{"kid": ""})),
		"kid a list":       resigned(headed(map[string]any{"kid": []string{"a"}})),
		"other key":        resigned(parts[0]),
		"crit":             headed(map[string]any{"crit": []string{"exp"}}) + "." + parts[1] + "." + parts[2],
		"typ JWT":          headed(map[string]any{"typ": "JWT"}) + "." + parts[1] + "." + parts[2],
		"typ proof":        headed(map[string]any{"typ": auth.TypeProof}) + "." + parts[1] + "." + parts[2],
		"role":             edited("roles", []string{"admin", "owner"}),
		"scope":            edited("scope", "everything"),
		"end":              edited("exp", time.Now().Add(time.Hour).Unix()),
		"subject":          edited("sub", id.New("usr")),
		"malleable":        malleable(),
		"signature empty":  parts[0] + "." + parts[1] + ".",
		"signature cut":    good[:len(good)-4],
		"two parts":        parts[0] + "." + parts[1],
		"four parts":       good + ".e30",
		"dots":             strings.Repeat(".", 7000),
		"not base64":       "!!!." + parts[1] + "." + parts[2],
		"padded":           parts[0] + "==." + parts[1] + "." + parts[2],
		"API key":          "fk_live_01KBB6Q3Y5W1V9T2ZD0G7M4N8P_0000000000000000000000000000000000000000000000000",
		"UTF-8":            "ключ.ключ.ключ",
		"duplicate claims": parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"a","sub":"b"}`)) + "." + parts[2],
	}
	for name, token := range corpus {
		begin := time.Now()
		got, err := h.client.GetUserWithResponse(t.Context(), admin.ID, nil, bearer(token))
		require.NoError(t, err, name)
		require.Equal(t, http.StatusUnauthorized, got.StatusCode(), "%s: %s", name, got.Body)
		require.Equal(t, "invalid_token", code(got.Body), name)
		require.Contains(t, got.HTTPResponse.Header.Get("WWW-Authenticate"), "Bearer", name)
		require.Less(t, time.Since(begin), 2*time.Second, name)
	}
	bomb, err := http.NewRequest(http.MethodGet, h.url+"/kms/v1/users", nil)
	require.NoError(t, err)
	bomb.Header.Set("Authorization", "Bearer "+strings.Repeat(".", 1<<20))
	answer, err := http.DefaultClient.Do(bomb)
	require.NoError(t, err)
	_ = answer.Body.Close()
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, answer.StatusCode)
	still, err := h.client.GetUserWithResponse(t.Context(), admin.ID, nil, bearer(good))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, still.StatusCode())
	h.clock.Advance(10*time.Minute + auth.Leeway + time.Second)
	late, err := h.client.GetUserWithResponse(t.Context(), admin.ID, nil, bearer(good))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, late.StatusCode())
	h.clock.Advance(-24 * time.Hour) // D5: a clock that jumps back opens nothing
	early, err := h.client.GetUserWithResponse(t.Context(), admin.ID, nil, bearer(good))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, early.StatusCode())
}

// J12: every operation refuses every caller whom the contract does not admit, in the order authentication, scope, principal, role.
func TestOperations_refuseWhomTheContractDoesNotName(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	h.user("reader", "reader", raised)
	h.user("editor", "editor", raised)
	service := h.enrol("sequence")
	sign := func() map[string]string { // again each time: logoutUser is among the operations, and ends their sessions
		return map[string]string{
			"admin": h.login(adminName, adminPassword).AccessToken, "reader": h.login("reader", userPassword).AccessToken,
			"editor": h.login("editor", userPassword).AccessToken, "service": h.token(service, "kms"),
			"other audience": h.token(service, "search"),
		}
	}
	callers := sign()
	for _, op := range servicetest.Contract(t, "kms").Operations {
		if op.Public {
			continue
		}
		require.Equal(t, http.StatusUnauthorized, h.call(op, "").status, op.ID)
		for name, token := range callers {
			got := h.call(op, token)
			if op.ID == "logoutUser" {
				callers = sign()
			}
			if name == "other audience" {
				require.Equal(t, http.StatusUnauthorized, got.status, "%s by %s: %s", op.ID, name, got.body)
				continue
			}
			refusals := []string{"insufficient_scope", "principal_not_allowed", "insufficient_role"}
			if auth.Permit(h.principal(token), op) == nil {
				require.NotContains(t, refusals, code([]byte(got.body)), "%s by %s", op.ID, name)
				continue
			}
			require.Equal(t, http.StatusForbidden, got.status, "%s by %s: %s", op.ID, name, got.body)
			require.Contains(t, refusals, code([]byte(got.body)), "%s by %s", op.ID, name)
		}
	}
}

// principal returns the principal of a token.
func (h *house) principal(token string) *auth.Principal {
	c := claims(h.t, token)
	return &auth.Principal{Subject: c.Subject, Kind: c.Principal, Scopes: strings.Fields(c.Scope), Roles: c.Roles}
}

type rawAnswer struct {
	status int
	body   string
}

// call sends a request without a body to an operation.
func (h *house) call(op *contract.Operation, token string) rawAnswer {
	h.t.Helper()
	path := strings.NewReplacer("{userId}", "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "{serviceId}", "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P",
		"{keyId}", "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "{secretName}", "app.db", "{policyName}", "administrators", "{contractName}", "app", "{keyring}", "kms",
		"{kid}", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k").Replace(op.Path)
	r, err := http.NewRequest(op.Method, h.url+path, nil)
	require.NoError(h.t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := h.http.Do(r)
	require.NoError(h.t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(h.t, err)
	return rawAnswer{answer.StatusCode, string(raw)}
}

// K11, T19: no secret appears in a log or a refusal, however it was sent.
func TestLogs_holdNoSecret(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	bootstrap := h.bootstrapToken()
	admin, raised := h.administrator()
	tokens := h.login(adminName, adminPassword)
	canary := "canary-4711-do-not-print"
	h.attempt(adminName, canary)
	h.attempt(canary, adminPassword)
	h.user("grace", "reader", raised)
	key := h.ownKey(admin.ID, raised, "elements:read")
	h.verify(key.Key, raised)
	h.verify(canary, raised)
	h.put("app.db", canary, raised, nil)
	require.Equal(t, canary, h.get("app.db", raised).JSON200.Value)
	refreshed := h.refresh(*tokens.RefreshToken).JSON200
	h.refresh("canary_4711")
	enrolment := h.enrolToken("search")
	service := h.enrol("search")
	h.tryEnrol(enrolment)
	h.ask(service.APIKey.ID, service.Key, "kms")
	h.ask(canary, canary, "kms")
	var refusals []string
	for _, bad := range []struct{ path, kind, body string }{
		{"/auth/login", "application/json", `{"username":"ada","password":"` + canary + `","extra":1}`},
		{"/auth/login", "application/json", `{"username":"ada","password":"` + canary},
		{"/auth/login", "application/json", `{"username":"ada","password":{"x":"` + canary + `"}}`},
		{"/auth/refresh", "application/json", `{"refreshToken":"` + canary + `!"}`},
		{"/bootstrap/admin", "application/json", `{"token":"` + canary + `","username":"` + canary + `!","password":"` + canary + `"}`},
		{"/services/enrol", "application/json", `{"token":"` + canary + `!"}`},
		{"/oauth2/token", "application/x-www-form-urlencoded", "grant_type=" + canary + "&client_secret=" + canary + "&nobody=" + canary},
		{"/auth/login?password=" + canary, "application/json", `{}`},
		{"/" + canary, "application/json", `{}`},
	} {
		answer, err := h.http.Post(h.url+"/kms/v1"+bad.path, bad.kind, strings.NewReader(bad.body))
		require.NoError(t, err)
		raw, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		_ = answer.Body.Close()
		require.GreaterOrEqual(t, answer.StatusCode, 400)
		require.Less(t, answer.StatusCode, 500)
		refusals = append(refusals, string(raw))
	}
	require.NoError(t, h.stop())
	log := h.log.String()
	require.Contains(t, log, "loginUser")
	for name, secret := range map[string]string{
		"canary": "canary", "password": adminPassword, "other password": userPassword, "bootstrap token": bootstrap, "access token": tokens.AccessToken,
		"raised token": raised, "refresh token": *tokens.RefreshToken, "successor": *refreshed.RefreshToken, "enrolment token": enrolment,
		"API key": key.Key, "service key": service.Key, "root key": strings.TrimSpace(content(t, h.dir+"/root.key")),
	} {
		require.NotContains(t, log, secret, name)
		for _, refusal := range refusals {
			require.NotContains(t, refusal, secret, name)
		}
	}
}

// An invalid request gets only a problem that says what is wrong.
func TestRequests_rubbishIsNeverAnError(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	token := h.login(adminName, adminPassword).AccessToken
	bodies := [][]byte{
		nil, []byte(`null`), []byte(`[]`), []byte(`"x"`), []byte(`{"username":null}`), []byte(`{"username":1e400}`), []byte("\xff\xfe"), []byte(`{"a":`),
		[]byte(`{"username":"a","username":"b","password":"c"}`), []byte(`{} {}`), bytes.Repeat([]byte(`[`), 20000), bytes.Repeat([]byte(`x`), 70<<10),
		[]byte(`{"username":"a\u0000b","password":"x"}`), []byte(`{"username":"\ud800","password":"x"}`),
	}
	for _, op := range servicetest.Contract(t, "kms").Operations {
		if op.Method == http.MethodGet || op.Method == http.MethodDelete {
			continue
		}
		path := strings.NewReplacer("{userId}", "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "{serviceId}", "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P",
			"{keyId}", "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "{secretName}", "app.db", "{keyring}", "kms",
			"{kid}", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k").Replace(op.Path)
		for _, body := range bodies {
			for _, kind := range []string{"application/json", "application/x-www-form-urlencoded", "text/plain", ""} {
				r, err := http.NewRequest(op.Method, h.url+path, bytes.NewReader(body))
				require.NoError(t, err)
				if kind != "" {
					r.Header.Set("Content-Type", kind)
				}
				r.Header.Set("Authorization", "Bearer "+token)
				answer, err := h.http.Do(r)
				require.NoError(t, err)
				_ = answer.Body.Close()
				require.Less(t, answer.StatusCode, 500, "%s %q %q", op.ID, kind, body)
			}
		}
	}
}

// J9: the published key set, the keys that verify and the key that signs agree at every moment.
func TestJwks_isTheSetOfTheClock(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		set := func() (kids []string) {
			got, err := h.client.GetJwksWithResponse(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, got.StatusCode())
			require.Equal(t, "public, max-age=300", got.HTTPResponse.Header.Get("Cache-Control"))
			require.NotEmpty(t, got.HTTPResponse.Header.Get("ETag"))
			for _, k := range got.JSON200.Keys {
				require.Equal(t, []string{"OKP", "Ed25519", "EdDSA", "sig"}, []string{k.Kty, k.Crv, k.Alg, k.Use})
				public, err := base64.RawURLEncoding.DecodeString(k.X)
				require.NoError(t, err)
				require.Equal(t, thumbprint(public), k.Kid)
				require.NotContains(t, string(got.Body), `"d"`)
				kids = append(kids, k.Kid)
			}
			return kids
		}
		first := set()
		require.Len(t, first, 2, "one that signs and one that will")
		require.NoError(t, h.stop())
		h.run()
		require.Equal(t, first, set(), "keys are made once")
	})
}

// The OAuth endpoint's errors have OAuth's form; those of all other operations are problems.
func TestErrors_haveTheFormOfTheirEndpoint(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	got, err := h.client.LoginUserWithResponse(t.Context(), nil, api.Login{Username: "nobody", Password: "x"})
	require.NoError(t, err)
	require.Equal(t, "application/problem+json", got.HTTPResponse.Header.Get("Content-Type"))
	answer := h.post(nil, nil)
	require.NotEmpty(t, answer.Error)
	require.Empty(t, answer.Type)
}
