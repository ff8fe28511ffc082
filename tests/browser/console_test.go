//go:build browser

package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// administration is an administrator at the console, whose authenticator has a code that was not used yet.
type administration struct {
	*person
	family *harness.Process
	admin  *fountain.Client
	seed   string
}

// administers runs a family and has its administrator sign in at the console. prepare does what the views show, before; the
// administrator at the console is another one then.
func administers(t *testing.T, prepare func(admin *fountain.Client)) *administration {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	a := &administration{family: harness.StartProcess(t, dir)}
	t.Cleanup(a.family.Stop)
	a.admin, a.seed = a.family.Administrator(dir, "ada", password)
	_, err := a.admin.Sequence.CreateElement(t.Context(), "play", "scene", sequence.ElementCreate{Data: json.RawMessage(`{"title":"here"}`)})
	require.NoError(t, err)
	name := "ada"
	if prepare != nil {
		prepare(a.admin)
		name = "grace" // a code of ada's may be used up
		made, err := a.admin.KMS.CreateUser(t.Context(), kms.UserCreate{Username: name, Password: password, Roles: []string{"admin"}})
		require.NoError(t, err)
		c, err := fountain.New(a.family.URL, fountain.WithUser(name, password))
		require.NoError(t, err)
		a.seed = harness.Enrol(t, c, &made.Invitation.Token)
	}
	a.person = visit(t, start(t), a.family.URL+"/console")
	a.signsIn(name, password)
	a.sees("My account")
	return a
}

// goesTo opens a view by its link, with the keyboard.
func (p *person) goesTo(link string) {
	p.t.Helper()
	require.Equal(p.t, true, p.js(`async (link) => { const found = await until(() => by("a", link)); found?.focus(); return !!found; }`, link), "there is no link %q in: %s", link, p.text())
	p.key("Enter", "\r")
}

// confirms gives the code of this moment where a second factor is asked for.
func (a *administration) confirms() {
	a.t.Helper()
	a.sees("Confirm that it is you")
	code, err := totp.GenerateCode(a.seed, time.Now())
	require.NoError(a.t, err)
	a.fills("Code of your authenticator app", code)
	a.key("Enter", "\r")
}

// keeps copies a value that is shown once.
func (p *person) keeps(title string) string {
	p.t.Helper()
	p.sees(title)
	value := p.js(`() => top().querySelector("code.secret").textContent`).(string)
	p.key("Escape", "")
	p.sees(title) // it is not lost by a key
	leaving := `() => dispatchEvent(new Event("beforeunload", {cancelable: true}))`
	require.Equal(p.t, false, p.js(leaving), "the browser asks before it leaves the page")
	p.presses("I have kept it")
	require.Equal(p.t, true, p.js(`async () => !!await until(`+leaving+`)`))
	return value
}

// chooses takes an option of the list of this label.
func (p *person) chooses(label, option string) {
	p.t.Helper()
	require.Equal(p.t, true, p.js(`async (label, option) => {
		const list = (await until(() => by("label", label))).control, at = [...list.options].findIndex((one) => one.text === option);
		list.focus();
		list.selectedIndex = at;
		return at >= 0;
	}`, label, option), "%q has no %q", label, option)
}

// isRefused waits until a refusal is told with its code and the number of the request.
func (p *person) isRefused(code string) {
	p.t.Helper()
	require.Equal(p.t, true, p.js(`async (code) => !!await until(() => [...top().querySelectorAll(".trouble")].some((one) => one.innerText.includes(code + " in request req_")))`, code),
		"%s is not told in: %s", code, p.text())
}

// isAccessible holds that axe finds nothing serious in what is shown.
func (p *person) isAccessible() {
	p.t.Helper()
	axe, err := os.ReadFile("../../console/app/node_modules/axe-core/axe.min.js")
	require.NoError(p.t, err, "make browser installs it")
	p.browser.evaluate(p.tab, "void (globalThis.axe || (() => {"+string(axe)+"\n})())")
	found := p.js(`async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.filter(({impact}) => impact === "serious" || impact === "critical")
		.map(({id, nodes}) => id + ": " + nodes.map(({html}) => html.slice(0, 150)).join(" | "))`)
	require.Empty(p.t, found)
}

// ends holds that nothing was wrong with the page all the time, and that it has asked its own origin alone.
func (p *person) ends() {
	p.t.Helper()
	require.Empty(p.t, p.faults())
	require.Empty(p.t, p.js(`() => performance.getEntries().map(({name}) => name).filter((name) => /^[a-z]+:/.test(name) && !name.startsWith(location.origin) && !name.startsWith("blob:"))`))
	require.Equal(p.t, "0 0", p.js(`() => [localStorage.length, sessionStorage.length].join(" ") + document.cookie`), "nothing is kept")
}

// A person signs in, changes the password, ends a session, makes a key that works, rotates and revokes it, and finds the view again by its address.
func TestConsole_aPersonHasTheirAccountAndKeys(t *testing.T) {
	a := administers(t, nil)
	a.reads("ada")
	a.isAccessible()
	a.presses("Change password")
	a.sees("Change your password")
	a.isAccessible()
	a.presses("Change it")
	a.reads("Fill in: Password now.")
	a.fills("Password now", "not the password")
	a.fills("New password", "seven herons at the harbour")
	a.fills("New password again", "seven herons")
	a.key("Enter", "\r")
	a.reads("The two new passwords are not the same.")
	a.fills("New password again", "seven herons at the harbour")
	a.key("Enter", "\r")
	a.isRefused("invalid_credentials")
	a.fills("Password now", password)
	a.key("Enter", "\r")
	a.reads("Your password is changed.")

	a.goesTo("API keys")
	a.sees("API keys")
	require.Equal(t, "/console#/keys", a.address())
	a.reads("There are no keys yet.")
	a.presses("Make an API key")
	a.sees("New API key of ada")
	a.isAccessible()
	a.fills("Name", "lectern")
	a.presses("Make the key")
	a.reads("Choose at least one: Scopes.")
	a.ticks("elements:read")
	a.fills("Days until it expires", "3650")
	a.presses("Make the key")
	a.isRefused("validation_failed")
	a.fills("Days until it expires", "30")
	a.presses("Make the key")
	key := a.keeps("Keep this key")
	a.reads("The key lectern is made.")
	a.isAccessible()
	require.NoError(t, a.uses(key))
	a.presses("Rotate lectern")
	a.fills("Seconds that the old key still works", "0")
	a.key("Enter", "\r")
	next := a.keeps("Keep this key")
	require.Error(t, a.uses(key))
	require.NoError(t, a.uses(next))
	a.presses("Revoke lectern")
	a.reads("This can't be undone.")
	a.presses("Revoke")
	a.reads("lectern is revoked.")
	require.Error(t, a.uses(next))

	a.prefers("dark", 390)
	a.goesTo("My account")
	a.sees("My account")
	a.isAccessible()
	a.presses("Sign out")
	a.reads("You are signed out.")
	a.ends()
}

// uses calls the API by a key.
func (a *administration) uses(key string) error {
	a.t.Helper()
	c, err := fountain.New(a.family.URL, fountain.WithAPIKey(key))
	require.NoError(a.t, err)
	_, err = c.Sequence.ListElements(a.t.Context(), "play", "scene", nil)
	return err
}

// An administrator makes a user, is refused a second one of the name, changes roles, disables and enables, unlocks, resets, invites, ends a session that is refused
// at once, and deletes the user; the address of the view can be reloaded, with the session.
func TestConsole_anAdministratorHasTheUsers(t *testing.T) {
	a := administers(t, nil)
	a.goesTo("Users")
	a.sees("Confirm that it is you")
	a.key("Escape", "")
	a.reads("Nothing was done.")
	a.presses("Try again")
	a.confirms()
	a.reads("ada admin active")
	a.isAccessible()
	a.presses("Make a user")
	a.sees("New user")
	a.isAccessible()
	a.fills("User name", "ada")
	a.fills("First password", password)
	a.key("Enter", "\r")
	a.isRefused("already_exists")
	a.fills("User name", "grace")
	a.ticks("editor")
	a.key("Enter", "\r")
	a.sees("grace")
	a.isAccessible()
	a.presses("Change roles")
	a.ticks("editor")
	a.key("Enter", "\r")
	a.reads("grace has new roles.")

	c, err := fountain.New(a.family.URL)
	require.NoError(t, err)
	tokens, err := c.KMS.LoginUser(t.Context(), kms.Login{Username: "grace", Password: password}, fountain.WithoutAuth())
	require.NoError(t, err)
	bearer := fountain.WithBearer(tokens.AccessToken)
	_, err = c.KMS.ListScopes(t.Context(), nil, bearer)
	require.NoError(t, err)
	route := a.address()
	a.goesTo("Users")
	a.sees("Users")
	a.goesTo("grace")
	a.sees("grace")
	require.Equal(t, route, a.address())
	a.js(`async () => { (await until(() => [...document.querySelectorAll("button")].find((one) => one.getAttribute("aria-label")?.startsWith("End the session of")))).click(); }`)
	a.sees("End this session?")
	a.presses("End it")
	a.reads("The session has ended.")
	_, err = c.KMS.ListScopes(t.Context(), nil, bearer)
	require.ErrorContains(t, err, "401", "an ended session is refused at once")

	for _, deed := range [][3]string{{"Disable", "Disable", "grace is disabled."}, {"Enable", "Enable", "grace is enabled."}, {"Unlock", "Unlock", "grace is unlocked."}, {"End all sessions", "End all", "sessions have ended."}} {
		a.presses(deed[0])
		a.presses(deed[1])
		a.reads(deed[2])
	}
	a.presses("Reset password")
	a.presses("Make a reset link")
	link, token, found := strings.Cut(a.keeps("Keep this link"), "#")
	require.True(t, found)
	require.Equal(t, resetPageOf(a.family), link)
	require.NoError(t, c.KMS.ResetPassword(t.Context(), kms.PasswordResetUse{Token: token, NewPassword: "four terns at the harbour"}))
	require.NotContains(t, a.text(), "Invite to a second factor", "that is for administrators")
	a.presses("Change roles")
	a.ticks("admin")
	a.key("Enter", "\r")
	a.presses("Invite to a second factor")
	a.presses("Make an invitation")
	require.NotEmpty(t, a.keeps("Keep this invitation"))
	a.presses("Make an API key")
	a.fills("Name", "for grace")
	a.ticks("elements:read")
	a.chooses("Environment", "test")
	a.presses("Make the key")
	key := a.keeps("Keep this key")
	require.Contains(t, key, "_test_")
	require.NoError(t, a.uses(key))
	a.presses("Delete")
	a.reads("This can't be undone.")
	a.presses("Delete for ever")
	a.sees("Users")
	a.reads("grace is deleted.")

	a.browser.goTo(a.tab, "about:blank")
	a.browser.goTo(a.tab, a.family.URL+"/console#/users") // as a reload does, and a link in a mail: the session goes on
	a.sees("Confirm that it is you")
	a.key("Escape", "")
	a.ends()
}

// An administrator stores a secret, is refused to store it again as a new one, replaces it and reads it; registers a service, is refused a second one of the name,
// enrols it, changes its scopes, disables and enables it, gives it a key and deletes it.
func TestConsole_anAdministratorHasServicesAndSecrets(t *testing.T) {
	a := administers(t, nil)
	a.goesTo("Secrets")
	a.confirms()
	a.presses("Store a secret")
	a.fills("Name", "reports.mailbox")
	a.fills("Value", "heron")
	a.presses("Store it")
	a.reads("reports.mailbox is stored.")
	a.isAccessible()
	a.presses("Store a secret")
	a.fills("Name", "reports.mailbox")
	a.fills("Value", "tern")
	a.presses("Store it")
	a.isRefused("precondition_failed")
	a.presses("Cancel")
	a.presses("Replace reports.mailbox")
	a.reads("The version before can't be had again.")
	a.fills("Value", "tern")
	a.presses("Store it")
	a.reads("reports.mailbox has version 2.")
	require.NotContains(t, a.text(), "tern", "values are shown when they are asked for")
	a.presses("Show reports.mailbox")
	a.presses("Show it")
	a.sees("reports.mailbox")
	a.isAccessible()
	a.reads("tern")
	a.presses("Close")
	require.NotContains(t, a.text(), "tern")

	a.goesTo("Services")
	a.sees("Services")
	a.reads("sequence active")
	a.isAccessible()
	a.presses("Register a service")
	a.sees("New service")
	a.fills("Name", "sequence")
	a.key("Enter", "\r")
	a.isRefused("already_exists")
	a.fills("Name", "reports")
	a.ticks("elements:read")
	a.fills("Declared scopes", "reports:read\nreports:write")
	a.presses("Register")
	token := a.keeps("Keep this enrolment token")
	a.sees("reports")
	a.isAccessible()
	c, err := fountain.New(a.family.URL)
	require.NoError(t, err)
	a.presses("New enrolment token")
	a.presses("Make a token")
	next := a.keeps("Keep this enrolment token")
	_, err = c.KMS.EnrolService(t.Context(), kms.Enrol{Token: token})
	require.ErrorContains(t, err, "invalid_enrolment_token")
	enrolled, err := c.KMS.EnrolService(t.Context(), kms.Enrol{Token: next})
	require.NoError(t, err)
	require.NoError(t, a.uses(enrolled.Key))
	a.presses("Change scopes")
	a.ticks("documents:search")
	a.presses("Change scopes")
	a.reads("reports has new scopes.")
	a.reads("documents:search, elements:read")
	a.presses("Disable")
	a.presses("Disable")
	a.reads("reports is disabled.")
	require.Error(t, a.uses(enrolled.Key))
	a.presses("Enable")
	a.presses("Enable")
	a.reads("reports is enabled.")
	a.presses("Make an API key")
	a.fills("Name", "nightly")
	a.ticks("elements:read")
	a.presses("Make the key")
	require.NoError(t, a.uses(a.keeps("Keep this key")))
	a.presses("Delete")
	a.presses("Delete for ever")
	a.reads("reports is deleted.")
	a.sees("Confirm that it is you") // tokens with the scopes of the service ended with it
	a.key("Escape", "")
	a.ends()
}

// What an adopted service asks of its callers is a table, and it can be retired; limits are those of the contracts; collections can be searched page by page,
// elements read, and omitted.
func TestConsole_showsWhatTheServicesHave(t *testing.T) {
	a := administers(t, func(admin *fountain.Client) {
		_, err := admin.KMS.RegisterService(t.Context(), kms.ServiceCreate{Name: "reports", Scopes: []string{}, DeclaredScopes: &[]string{"reports:read"}})
		require.NoError(t, err)
		_, err = admin.KMS.PutContract(t.Context(), "reports", kms.ContractPut{File: "reports.yaml", Upstreams: &[]string{"http://127.0.0.1:9"}, Files: []kms.ContractFile{{Name: "reports.yaml", Text: adoptedDocument}}},
			fountain.WithIfNoneMatch())
		require.NoError(t, err)
		_, err = admin.Search.CreateCollection(t.Context(), search.CollectionCreate{Name: "plays", Fields: []search.Field{{Name: "title", Type: "string"}}})
		require.NoError(t, err)
		var items []search.SyncItem
		for n := range 12 {
			document := json.RawMessage(fmt.Sprintf(`{"title":"Hamlet, part %d"}`, n+1))
			items = append(items, search.SyncItem{Op: "upsert", ID: fmt.Sprintf("play-%d", n), Document: &document})
		}
		_, err = admin.Search.SyncDocuments(t.Context(), "plays", search.DocumentSync{Items: items})
		require.NoError(t, err)
	})
	a.goesTo("Adopted services")
	a.confirms()
	a.reads("1.4.0 (revision 1)")
	a.isAccessible()
	a.goesTo("reports")
	a.sees("reports")
	a.reads("listReports GET /reports reports:read any no")
	a.reads("deleteReports DELETE /reports reports:read any aal2, of the last 300 s")
	a.isAccessible()
	a.goesTo("Limits")
	a.sees("Limits")
	a.goesTo("kms")
	a.sees("Limits of kms")
	a.reads("loginUser POST /auth/login 120 in 60s by ip, 60 at once")
	a.isAccessible()
	a.goesTo("Adopted services")
	a.goesTo("reports")
	a.presses("Retire")
	a.sees("Retire reports?")
	a.presses("Retire")
	a.sees("Adopted services")
	a.reads("There are none.")

	a.goesTo("Search")
	a.sees("Search")
	a.reads("plays 12 title")
	a.goesTo("plays")
	a.sees("plays")
	a.fills("Words", "hamlet")
	a.fills("Filter", "year:>1900")
	a.key("Enter", "\r")
	a.isRefused("validation_failed")
	a.fills("Filter", "")
	a.fills("Words", "hamlet")
	a.key("Enter", "\r")
	a.reads("12 of 12 documents, page 1")
	a.isAccessible()
	a.presses("Next page")
	a.reads("12 of 12 documents, page 2")

	a.prefers("dark", 390)
	a.goesTo("Sequence")
	a.sees("Sequence")
	a.fills("Scope", "play")
	a.fills("Type", "scene")
	a.key("Enter", "\r")
	a.sees("play: scene")
	a.isAccessible()
	a.goesTo("1")
	a.reads(`"title": "here"`)
	a.isAccessible()
	a.presses("Omit")
	a.sees("Omit scene 1?")
	a.presses("Omit")
	a.reads("It is omitted.")
	a.shot("omitted")
	a.ends()
}

// adoptedDocument is what a team's own service says.
const adoptedDocument = `openapi: 3.0.3
info: {title: Reports, version: 1.4.0}
paths:
  /reports:
    get:
      operationId: listReports
      security: [{oauth: ['reports:read']}]
      responses: {'200': {description: All.}}
    delete:
      operationId: deleteReports
      security: [{oauth: ['reports:read']}]
      x-fountain: {stepUp: {acr: aal2, maxAge: 300}}
      responses: {'204': {description: None are left.}}
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: 'https://example.org/token', scopes: {'reports:read': All}}}}
`

// The console shows to everybody what they may do, and nothing else.
func TestConsole_offersWhatTheScopesAllow(t *testing.T) {
	family, _ := household(t)
	t.Cleanup(family.Stop)
	p := visit(t, start(t), family.URL+"/console#/users")
	p.prefers("light", 390)
	p.signsIn("grace", password)
	p.sees("Users")
	p.reads("Your roles don't give you this.")
	require.NotContains(t, p.js(`() => [...document.querySelectorAll("nav li")].map((one) => one.textContent)`), "Users")
	p.goesTo("My account")
	p.sees("My account")
	p.isAccessible()
	require.Equal(t, true, p.js(`() => document.querySelector("#views main").offsetWidth > 300`))
	p.ends()
}

// The console and the documentation, which are what people load first, are small, and their files are kept by browsers.
func TestPages_areSmall(t *testing.T) {
	family, _ := household(t)
	t.Cleanup(family.Stop)
	browser := start(t)
	for path, file := range map[string]string{"/console": "/console/app.js", "/docs": "/docs/swagger-ui-bundle.js"} {
		p := visit(t, browser, family.URL+path)
		require.Equal(t, true, p.js(`async () => !!await until(() => by("h1, h2", "Sign in") ?? document.querySelector(".opblock"))`), path)
		sizes := p.js(`async (page) => {
			const compressed = async (url) => (await new Response((await fetch(url)).body.pipeThrough(new CompressionStream("gzip"))).arrayBuffer()).byteLength;
			const urls = new Set([page, ...performance.getEntriesByType("resource").map(({name}) => name).filter((name) => name.includes(page + "/"))]);
			let sum = 0;
			for (const url of urls) sum += await compressed(url);
			return [sum, urls.size, performance.getEntriesByName("first-contentful-paint")[0].startTime];
		}`, path).([]any)
		t.Logf("%s: %.0f bytes compressed in %.0f files, first paint after %.0f ms", append([]any{path}, sizes...)...)
		require.Less(t, sizes[0].(float64), 600e3, path)
		require.True(t, strings.HasPrefix(p.js(`async (file) => (await fetch(file)).headers.get("ETag")`, file).(string), `"`), file)
		require.Empty(t, p.faults())
	}
}
