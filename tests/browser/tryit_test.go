//go:build browser

package browser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// typed is a function that types into a field of a form that React has made; false where there is none.
const typed = `(block, where, text) => {
	const into = block.querySelector(where);
	if (!into) return false;
	Object.getOwnPropertyDescriptor(Object.getPrototypeOf(into), "value").set.call(into, text);
	for (const event of ["input", "change"]) into.dispatchEvent(new Event(event, {bubbles: true}));
	return true;
}`

// tries has an operation of the contract that is shown tried, with values of its parameters by their names, and with a body.
func (p *person) tries(id string, parameters map[string]string, body string) {
	p.t.Helper()
	const block = `const block = [...document.querySelectorAll(".opblock")].find((one) => one.id.endsWith("-" + id)); `
	step := func(what, expression string, args ...any) {
		p.t.Helper()
		require.Equal(p.t, true, p.js(`async (id, ...args) => !!await until(() => {`+block+`return block && (`+expression+`)(block, ...args); })`, append([]any{id}, args...)...), "%s %s", id, what)
	}
	step("is opened", `(block) => { const body = block.querySelector(".opblock-body"); if (!body) block.querySelector(".opblock-summary-control").click(); return body; }`)
	step("can be tried", `(block) => {
		const execute = block.querySelector("button.execute");
		if (!execute) block.querySelector(".try-out__btn")?.click();
		return execute;
	}`)
	step("has no answer of before", `(block) => { block.querySelector("button.btn-clear")?.click(); return !block.querySelector(".live-responses-table"); }`)
	for name, text := range parameters {
		step("takes "+name, typed, `tr[data-param-name="`+name+`"] input`, text)
	}
	if body != "" {
		step("takes a body", typed, "textarea.body-param__text", body)
	}
	p.js(`() => new Promise((go) => setTimeout(go, 400))`) // Swagger UI takes what was typed after a moment
	step("is executed", `(block) => { block.querySelector("button.execute").click(); return true; }`)
}

// answered waits for the answer of the operation that was tried, and returns its body.
func (p *person) answered(id string, status int) string {
	p.t.Helper()
	require.Equal(p.t, fmt.Sprint(status), p.js(`async (id) => (await until(() => document.querySelector('[id$="-' + id + '"] .live-responses-table tbody .response-col_status')))?.textContent.trim().slice(0, 3)`, id), p.text())
	return fmt.Sprint(p.js(`(id) => document.querySelector('[id$="-' + id + '"] .live-responses-table tbody .response-col_description').innerText`, id))
}

// has gives grace an authenticator, at a page of hers, and returns its seed.
func (p *person) addsAuthenticator() (seed string) {
	p.t.Helper()
	p.signsIn("grace", password)
	p.presses("Add an authenticator app")
	p.presses("Continue")
	seed = p.scans()
	p.fills("Code shown by the app", harness.StepBefore(p.t, seed))
	p.key("Enter", "\r")
	p.keepsCodes()
	p.sees("Your second factors")
	return seed
}

// Somebody with a password signs in at the top of the documentation and tries operations: one that succeeds, one that the contract refuses, one that asks for a second factor, by which
// they go on. The sign-in is kept when another contract is chosen and when the page is reloaded, and is that of the page of second factors too. Nothing of it is in a storage.
func TestDocs_operationsAreTriedByWhoIsSignedIn(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	browser := family.browser(t)
	device := visit(t, browser, pageOf(family))
	seed := device.addsAuthenticator()
	device.presses("Sign out")
	device.reads("You are signed out.")

	p := visit(t, browser, family.site+"/docs?contract=sequence")
	p.reads("FountainAI Sequence Service")
	fields := map[string]string{"scope": "play", "elementType": "line"}
	p.tries("listElements", fields, "")
	require.Contains(t, p.answered("listElements", 401), "authentication_required")
	p.presses("Sign in")
	p.sees("Sign in")
	p.signsInAgain("grace", "not the password")
	p.reads("The user name or password is incorrect.")
	p.signsInAgain("grace", password)
	p.reads("Signed in as grace")
	p.tries("createElement", fields, `{"id":"a b","data":{}}`)
	require.Contains(t, p.answered("createElement", 422), "invalid_body")
	p.tries("createElement", fields, `{"id":"a","data":{"text":"Who's there?"}}`)
	require.Contains(t, p.answered("createElement", 201), `"number": 1`)
	p.tries("listElements", fields, "")
	require.Contains(t, p.answered("listElements", 200), "Who's there?")
	p.shot("tried")
	require.NotContains(t, p.text(), "eyJ", "the token itself is shown nowhere")
	require.Contains(t, p.text(), "Bearer $TOKEN")

	p.browser.goTo(p.tab, family.site+"/docs?contract=kms#/keys/createApiKey")
	p.reads("FountainAI Key Management Service")
	p.reads("Signed in as grace")
	p.js(later)
	me := grace(t, admin)
	p.tries("getUser", map[string]string{"userId": me.ID}, "")
	require.Contains(t, p.answered("getUser", 200), "grace")
	require.Equal(t, 1.0, p.js(`() => refreshes`), "the token had ended")
	p.tries("createUser", nil, `{"username":"mallory","password":"a heron at the harbour","roles":["reader"]}`)
	require.Contains(t, p.answered("createUser", 403), "insufficient_scope")

	p.prefers("dark", 390)
	p.shot("narrow")
	require.Equal(t, true, p.js(`() => document.documentElement.scrollWidth <= innerWidth`))
	p.browser.goTo(p.tab, family.site+"/docs?contract=twofactor")
	p.reads("Signed in as grace")
	p.tries("createRecoveryCodes", nil, "")
	p.sees("Confirm that it is you")
	p.key("Escape", "")
	require.Contains(t, p.answered("createRecoveryCodes", 401), "insufficient_user_authentication", "the refusal is shown to who does not confirm")
	p.tries("createRecoveryCodes", nil, "")
	p.sees("Confirm that it is you")
	code, err := totp.GenerateCode(seed, time.Now())
	require.NoError(t, err)
	p.fills("Code of your authenticator app", code)
	p.key("Enter", "\r")
	require.Contains(t, p.answered("createRecoveryCodes", 201), "codes")
	p.shot("stepped up")

	require.Equal(t, "0 0 0 ", p.js(`async () => [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length].join(" ") + " " + document.cookie`))
	require.Empty(t, p.js(`(own) => performance.getEntriesByType("resource").map(({name}) => name).filter((name) => !name.startsWith(own) && !name.startsWith("data:"))`, family.site+"/"), "requests to others")
	browser.goTo(device.tab, pageOf(family))
	device.reads("Signed in as grace")
	p.presses("Sign out")
	p.reads("You are signed out.")
	p.browser.goTo(p.tab, family.site+"/docs?contract=sequence")
	p.reads("Sign in")
	p.tries("listElements", fields, "")
	p.answered("listElements", 401)
	require.Empty(t, p.faults())
}

// Where a role asks for a second factor at sign-in, the box asks for it: by a passkey too, which signs in alone as well.
func TestDocs_theSignInAsksForASecondFactor(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	_, err := admin.KMS.PutSecondFactorPolicy(t.Context(), "editor", kms.SecondFactorPolicyPut{Required: "always"})
	require.NoError(t, err)
	browser := family.browser(t)
	p := visit(t, browser, family.site+"/docs?contract=sequence")
	p.hasPasskeys()
	p.presses("Sign in")
	p.sees("Sign in")
	p.signsInAgain("grace", password)
	p.reads("Your account requires a second factor.")
	p.browser.goTo(p.tab, p.js(`async () => (await until(() => by("a", "Sign in there to add one"))).href`).(string))
	p.signsIn("grace", password)
	p.presses("Add a passkey")
	p.presses("Continue")
	p.keepsCodes()

	p.browser.goTo(p.tab, family.site+"/docs?contract=twofactor")
	p.reads("FountainAI Two-Factor Service")
	p.reads("Signed in as grace") // the passkey that was just added was the second factor of the sign-in there
	p.presses("Sign out")
	for _, signIn := range []func(){
		func() {
			p.signsInAgain("grace", password)
			p.sees("Confirm that it is you")
			p.presses("Use your passkey")
		},
		func() { p.presses("Sign in with a passkey") },
	} {
		p.presses("Sign in")
		p.sees("Sign in")
		signIn()
		p.reads("Signed in as grace")
		p.tries("listFactors", nil, "")
		require.Contains(t, p.answered("listFactors", 200), "passkey")
		p.tries("createRecoveryCodes", nil, "") // the sign-in was strong enough
		require.Contains(t, p.answered("createRecoveryCodes", 201), "codes")
		p.presses("Sign out")
		p.reads("You are signed out.")
	}
	require.Empty(t, p.faults())
}

// An operation that asks for a second factor takes a passkey too: the person signs in by the password alone, leaves the question, and is asked again.
func TestDocs_anOperationIsRaisedByAPasskey(t *testing.T) {
	family, _ := household(t)
	t.Cleanup(family.Stop)
	p := visit(t, family.browser(t), pageOf(family))
	device := p.hasPasskeys()
	p.signsIn("grace", password)
	p.presses("Add a passkey")
	p.presses("Continue")
	p.keepsCodes()
	p.presses("Sign out")
	p.reads("You are signed out.")

	p.browser.goTo(p.tab, family.site+"/docs?contract=twofactor")
	p.presses("Sign in")
	p.signsInAgain("grace", password)
	p.reads("Signed in as grace")
	p.tries("createRecoveryCodes", nil, "")
	p.sees("Confirm that it is you")
	p.isAccessible("#swagger-ui")
	verified := func(is bool) {
		p.browser.call(p.tab, "WebAuthn.setUserVerified", map[string]any{"authenticatorId": device, "isUserVerified": is}, nil)
	}
	verified(false)
	p.presses("Use your passkey")
	p.reads("No passkey was used:")
	p.key("Escape", "")
	require.Contains(t, p.answered("createRecoveryCodes", 401), "insufficient_user_authentication", "the refusal is shown to who does not confirm")
	verified(true)
	p.tries("createRecoveryCodes", nil, "")
	p.sees("Confirm that it is you")
	p.presses("Use your passkey")
	require.Contains(t, p.answered("createRecoveryCodes", 201), "codes")
	p.tries("createRecoveryCodes", nil, "")
	require.Contains(t, p.answered("createRecoveryCodes", 201), "codes", "for five minutes it is not asked again")
	p.ends()
}

// Somebody without a password tries with an API key, which "Authorize" asks for, and which needs no tick although its scopes reach several services. Codes are no entry there.
func TestDocs_operationsAreTriedByAnAPIKey(t *testing.T) {
	family, _ := household(t)
	t.Cleanup(family.Stop)
	client, err := fountain.New(family.URL, fountain.WithUser("grace", password))
	require.NoError(t, err)
	key, err := client.KMS.CreateAPIKey(t.Context(), kms.APIKeyCreate{Name: "docs", Scopes: []string{"elements:read", "elements:write", "documents:search"}})
	require.NoError(t, err)
	p := visit(t, family.browser(t), family.site+"/docs?contract=sequence")
	p.reads("FountainAI Sequence Service")
	p.js(`() => { document.querySelector(".auth-wrapper .authorize").click(); }`)
	p.reads("Not needed when you are signed in at the top of this page.")
	require.NotContains(t, p.text(), "X-OTP")
	gives := func(secret string) {
		for where, text := range map[string]string{`input[data-name="clientId"]`: key.APIKey.ID, `input[data-name="clientSecret"]`: secret} {
			require.Equal(t, true, p.js(`(...args) => (`+typed+`)(document, ...args)`, where, text), where)
		}
		p.js(`() => { document.querySelector(".auth-btn-wrapper .authorize").click(); }`)
	}
	gives("not the key")
	p.reads("invalid_client")
	gives(key.Key)
	p.reads("Authorized")
	p.js(`() => { document.querySelector(".auth-btn-wrapper .btn-done").click(); }`)
	p.tries("createElement", map[string]string{"scope": "play", "elementType": "line"}, `{"id":"a","data":{}}`)
	require.Contains(t, p.answered("createElement", 201), `"number": 1`)

	_, err = client.Sequence.CreateElement(t.Context(), "hamlet", "spokenWord", sequence.ElementCreate{
		Data: json.RawMessage(`{"character":"FRANCISCO","text":"Nay, answer me. Stand and unfold yourself."}`), // of the README's play
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		found, err := client.Sequence.SearchElements(t.Context(), "hamlet", sequence.ElementSearch{Q: "unfold"})
		return err == nil && found.Found == 1
	}, time.Minute, 20*time.Millisecond)
	p.tries("searchElements", map[string]string{"scope": "hamlet"}, "") // the contract's example
	require.Contains(t, p.answered("searchElements", 200), `"found": 1`)
	require.Empty(t, p.faults())
}

const shelf = `openapi: 3.0.3
info: {title: Shelf, version: 1.0.0}
paths:
  /books:
    get:
      operationId: listBooks
      security: [{oauth: ['shelf:read']}]
      responses: {'200': {description: The books., content: {application/json: {schema: {type: object, additionalProperties: true}}}}}
    delete:
      operationId: burnBooks
      security: [{oauth: ['shelf:write'], otp: []}]
      x-fountain: {stepUp: {acr: aal2, maxAge: 300, for: [user]}}
      responses: {'200': {description: Gone., content: {application/json: {schema: {type: object, additionalProperties: true}}}}}
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: /kms/v1/oauth2/token, scopes: {'shelf:read': Read, 'shelf:write': Write}}}}
    otp: {type: apiKey, in: header, name: X-OTP}
`

// An adopted service is tried with a token for it alone, also with a second factor. The service tells what it was given.
func TestDocs_anAdoptedServiceIsTriedWithATokenForItAlone(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		claims, _ := base64.RawURLEncoding.DecodeString(strings.Split(r.Header.Get("Authorization")+"..", ".")[1]) // the test reads what it is
		_, _ = fmt.Fprintf(w, `{"given":%s,"cookie":%q}`, claims, r.Header.Get("Cookie"))
	}))
	t.Cleanup(service.Close)
	_, err := admin.KMS.RegisterService(t.Context(), kms.ServiceCreate{Name: "shelf", Scopes: []string{}, DeclaredScopes: &[]string{"shelf:read", "shelf:write"}})
	require.NoError(t, err)
	_, err = admin.KMS.PutRole(t.Context(), "librarian", kms.RolePut{Scopes: []string{"shelf:read", "shelf:write"}})
	require.NoError(t, err)
	account := grace(t, admin)
	_, err = admin.KMS.UpdateUser(t.Context(), account.ID, fountain.IfMatch(account.Version), kms.UserUpdate{Roles: &[]string{"editor", "librarian"}})
	require.NoError(t, err)
	_, err = admin.KMS.PutContract(t.Context(), "shelf", kms.ContractPut{
		File: "shelf.yaml", Files: []kms.ContractFile{{Name: "shelf.yaml", Text: shelf}}, Upstreams: &[]string{service.URL},
	}, fountain.WithIfNoneMatch())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		res, err := http.Get(family.URL + "/openapi/shelf.yaml")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
	}, time.Minute, 10*time.Millisecond)
	client, err := fountain.New(family.URL, fountain.WithUser("grace", password))
	require.NoError(t, err)
	seed := harness.Enrol(t, client, nil)

	p := visit(t, family.browser(t), family.site+"/docs?contract=shelf")
	p.presses("Sign in")
	p.sees("Sign in")
	p.signsInAgain("grace", password)
	p.reads("Signed in as grace")
	p.tries("listBooks", nil, "")
	given := p.answered("listBooks", 200)
	require.Regexp(t, `"aud": \[\s*"shelf"\s*\]`, given)
	require.Contains(t, given, `"cookie": ""`)
	require.Contains(t, given, `"acr": "aal1"`)
	p.tries("burnBooks", nil, "")
	p.sees("Confirm that it is you")
	code, err := totp.GenerateCode(seed, time.Now())
	require.NoError(t, err)
	p.fills("Code of your authenticator app", code)
	p.key("Enter", "\r")
	given = p.answered("burnBooks", 200)
	require.Regexp(t, `"aud": \[\s*"shelf"\s*\]`, given)
	require.Contains(t, given, `"acr": "aal2"`)
	for path, asked := range map[string]bool{"/shelf/books": true, "/kms/v1/users": false, "/shelf/../kms/v1/users": false, "/shelfs/books": false, "https://evil.example/shelf/books": false} {
		require.Equal(t, asked, p.js(`(url) => "userFetch" in ui.getConfigs().requestInterceptor({url, headers: {Authorization: "Bearer $TOKEN"}})`, path), path)
	}
	require.Empty(t, p.faults())
}
