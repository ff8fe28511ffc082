//go:build browser

package browser

import (
	"encoding/json"
	"os"
	"path/filepath"
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

// administration is an administrator at the console, whose authenticator has a code that was not used yet.
type administration struct {
	*person
	family    *house
	admin     *fountain.Client
	seed      string
	confirmed time.Time // the time step of the last code that was given
}

// administers runs a family and has its administrator sign in at the console. prepare does what the views show, before; the
// administrator at the console is another one then.
func administers(t *testing.T, prepare func(admin *fountain.Client)) *administration {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	a := &administration{family: behindCaddy(t, dir)}
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
	a.person = visit(t, a.family.browser(t), a.family.site+"/console")
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

// confirms gives the code of this moment where a second factor is asked for. Where that is used up, it waits for the next one, as a person does.
func (a *administration) confirms() {
	a.t.Helper()
	a.sees("Confirm that it is you")
	const step = 30 * time.Second
	time.Sleep(time.Until(a.confirmed.Add(step)))
	a.confirmed = time.Now().Truncate(step)
	code, err := totp.GenerateCode(a.seed, a.confirmed)
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
	p.presses("I have saved it")
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
	require.Equal(p.t, true, p.js(`async (code) => !!await until(() => [...top().querySelectorAll(".trouble")].some((one) => one.innerText.includes(code + " in request ")))`, code),
		"%s is not told in: %s", code, p.text())
}

// isAccessible holds that axe finds nothing serious in what is shown, but in what others have made: elements by their selectors.
func (p *person) isAccessible(but ...string) {
	p.t.Helper()
	axe, err := os.ReadFile("../../console/app/node_modules/axe-core/axe.min.js")
	require.NoError(p.t, err, "make browser installs it")
	p.browser.evaluate(p.tab, "void (globalThis.axe || (() => {"+string(axe)+"\n})())")
	found := p.js(`async (exclude) => (await axe.run(exclude ? {include: document, exclude} : document, {resultTypes: ["violations"]})).violations.filter(({impact}) => impact === "serious" || impact === "critical")
		.map(({id, nodes}) => id + ": " + nodes.map(({html}) => html.slice(0, 150)).join(" | "))`, but)
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
	a.reads("Chrome on Linux")
	a.reads("fountain-go/")
	a.isAccessible()
	a.presses("Change password")
	a.sees("Change your password")
	a.isAccessible()
	a.presses("Change password")
	a.reads("Fill in: Current password.")
	a.fills("Current password", "not the password")
	a.fills("New password", "seven herons at the harbour")
	a.fills("Repeat the new password", "seven herons")
	a.key("Enter", "\r")
	a.reads("The new passwords do not match.")
	a.fills("Repeat the new password", "seven herons at the harbour")
	a.key("Enter", "\r")
	a.isRefused("invalid_credentials")
	a.fills("Current password", password)
	a.key("Enter", "\r")
	a.reads("Password changed.")

	a.goesTo("API keys")
	a.sees("API keys")
	require.Equal(t, "/console#/keys", a.address())
	a.reads("No API keys yet.")
	a.presses("Create API key")
	a.sees("Create API key of ada")
	a.isAccessible()
	a.fills("Name", "lectern")
	a.presses("Create key")
	a.reads("Choose at least one: Scopes.")
	a.ticks("elements:read")
	a.fills("Days until expiry", "3650")
	a.presses("Create key")
	a.isRefused("validation_failed")
	a.fills("Days until expiry", "30")
	a.presses("Create key")
	key := a.keeps("Save this API key")
	a.reads("API key lectern created.")
	a.isAccessible()
	require.NoError(t, a.uses(key))
	a.presses("Rotate lectern")
	a.fills("Seconds the old key remains valid", "0")
	a.key("Enter", "\r")
	next := a.keeps("Save this API key")
	require.Error(t, a.uses(key))
	require.NoError(t, a.uses(next))
	a.reads("expired") // the list is the new one
	a.presses("Revoke lectern")
	a.reads("This can't be undone.")
	a.presses("Revoke")
	a.reads("lectern revoked.")
	require.Error(t, a.uses(next))

	a.prefers("dark", 390)
	a.goesTo("My account")
	a.sees("My account")
	a.isAccessible()
	a.presses("Sign out")
	a.reads("You are signed out.")
	a.signsIn("ada", "seven herons at the harbour")
	a.sees("My account")
	a.presses("Revoke all sessions")
	a.sees("Revoke all sessions of ada?")
	a.presses("Revoke all")
	a.sees("Sign in") // its own session is one of them
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

// An administrator makes a user, is refused a second one of the name, changes roles, disables and enables, unlocks, resets, invites, by mail too, ends a session that is
// refused at once, rotates and revokes a key of theirs, and deletes the user; the address of the view can be reloaded, with the session.
func TestConsole_anAdministratorHasTheUsers(t *testing.T) {
	mails := newMailbox(t)
	a := administers(t, nil)
	a.goesTo("Users")
	a.sees("Confirm that it is you")
	a.key("Escape", "")
	a.reads("Cancelled.")
	a.presses("Try again")
	a.sees("Confirm that it is you")
	a.js(`() => { location.hash = "#/keys"; }`) // as the browser's "back" does
	a.sees("API keys")
	require.Equal(t, 0.0, a.js(`() => document.querySelectorAll("dialog").length`), "a question ends with its view")
	a.goesTo("Users")
	a.confirms()
	a.reads("ada admin active")
	a.isAccessible()
	a.presses("Create user")
	a.sees("Create user")
	a.isAccessible()
	a.fills("User name", "ada")
	a.fills("Initial password", password)
	a.key("Enter", "\r")
	a.isRefused("already_exists")
	a.fills("User name", "grace")
	a.ticks("editor")
	a.key("Enter", "\r")
	a.sees("grace")
	a.isAccessible()
	a.presses("Update roles")
	a.ticks("editor")
	a.key("Enter", "\r")
	a.reads("Roles of grace updated.")

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
	a.js(`async () => { (await until(() => [...document.querySelectorAll("button")].find((one) => one.getAttribute("aria-label")?.startsWith("Revoke the session of")))).click(); }`)
	a.sees("Revoke this session?")
	a.presses("Revoke")
	a.reads("Session revoked.")
	_, err = c.KMS.ListScopes(t.Context(), nil, bearer)
	require.ErrorContains(t, err, "401", "an ended session is refused at once")

	for _, deed := range [][3]string{{"Disable", "Disable", "grace disabled."}, {"Enable", "Enable", "grace enabled."}, {"Unlock", "Unlock", "grace unlocked."}, {"Revoke all sessions", "Revoke all", "sessions revoked."}} {
		a.presses(deed[0])
		a.presses(deed[1])
		a.reads(deed[2])
	}
	a.presses("Reset password")
	a.presses("Create reset link")
	link, token, found := strings.Cut(a.keeps("Save this reset link"), "#")
	require.True(t, found)
	require.Equal(t, resetPageOf(a.family), link)
	require.NoError(t, c.KMS.ResetPassword(t.Context(), kms.PasswordResetUse{Token: token, NewPassword: "four terns at the harbour"}))
	require.NotContains(t, a.text(), "Invite to a second factor", "that is for administrators")
	require.NotContains(t, a.text(), "Mail a reset link", "there is no address")
	a.presses("Update mail address")
	a.fills("Mail address", "grace at home")
	a.key("Enter", "\r")
	a.isRefused("invalid_body")
	a.fills("Mail address", "grace@example.org")
	a.key("Enter", "\r")
	a.reads("grace has a new mail address.")
	a.presses("Mail a reset link")
	a.presses("Send mail")
	a.reads("A mail to g***@example.org is on its way.")
	require.True(t, strings.HasPrefix(mails.link(1), resetPageOf(a.family)+"#"))
	a.presses("Update roles")
	a.ticks("admin")
	a.key("Enter", "\r")
	a.presses("Invite to a second factor")
	a.presses("Create invitation")
	require.NotEmpty(t, a.keeps("Save this invitation"))
	a.presses("Mail an invitation")
	a.presses("Send mail")
	require.Contains(t, mails.link(2), "/twofactor/v1/enroll#")
	a.presses("Create API key")
	a.fills("Name", "for grace")
	a.ticks("elements:read")
	a.chooses("Environment", "test")
	a.presses("Create key")
	key := a.keeps("Save this API key")
	require.Contains(t, key, "_test_")
	require.NoError(t, a.uses(key))
	a.presses("Rotate for grace")
	a.fills("Seconds the old key remains valid", "-1")
	a.key("Enter", "\r")
	a.isRefused("invalid_body")
	a.fills("Seconds the old key remains valid", "0")
	a.key("Enter", "\r")
	next := a.keeps("Save this API key")
	require.Error(t, a.uses(key))
	require.NoError(t, a.uses(next))
	a.reads("expired") // the list is the new one
	a.presses("Revoke for grace")
	a.presses("Revoke")
	a.reads("for grace revoked.")
	require.Error(t, a.uses(next))
	a.presses("Delete")
	a.reads("This can't be undone.")
	a.presses("Delete")
	a.sees("Users")
	a.reads("grace deleted.")

	a.browser.goTo(a.tab, "about:blank")
	a.browser.goTo(a.tab, a.family.site+"/console#/users") // as a reload does, and a link in a mail: the session goes on
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
	a.presses("Create secret")
	a.fills("Name", "reports.mailbox")
	a.fills("Value", "heron")
	a.presses("Create secret")
	a.reads("reports.mailbox created.")
	a.isAccessible()
	a.presses("Create secret")
	a.fills("Name", "reports.mailbox")
	a.fills("Value", "tern")
	a.presses("Create secret")
	a.isRefused("precondition_failed")
	a.presses("Cancel")
	a.presses("Replace reports.mailbox")
	a.reads("The previous version remains, and can be made current again.")
	a.fills("Value", "tern")
	a.presses("Replace")
	a.reads("reports.mailbox replaced: version 2.")
	require.NotContains(t, a.text(), "tern", "values are shown when they are asked for")
	a.presses("Show reports.mailbox")
	a.presses("Show value")
	a.sees("reports.mailbox")
	a.isAccessible()
	a.reads("tern")
	a.presses("Close")
	require.NotContains(t, a.text(), "tern")

	a.goesTo("Services")
	a.sees("Services")
	a.reads("sequence active")
	a.isAccessible()
	a.presses("Register service")
	a.sees("Register service")
	a.fills("Name", "sequence")
	a.key("Enter", "\r")
	a.isRefused("already_exists")
	a.fills("Name", "reports")
	a.ticks("elements:read")
	a.fills("Declared scopes", "reports:read\nreports:write")
	a.presses("Register")
	token := a.keeps("Save this enrolment token")
	a.sees("reports")
	a.isAccessible()
	c, err := fountain.New(a.family.URL)
	require.NoError(t, err)
	a.presses("Create enrolment token")
	a.presses("Create token")
	next := a.keeps("Save this enrolment token")
	_, err = c.KMS.EnrolService(t.Context(), kms.Enrol{Token: token})
	require.ErrorContains(t, err, "invalid_enrolment_token")
	enrolled, err := c.KMS.EnrolService(t.Context(), kms.Enrol{Token: next})
	require.NoError(t, err)
	require.NoError(t, a.uses(enrolled.Key))
	a.presses("Update scopes")
	a.ticks("documents:search")
	a.presses("Update scopes")
	a.reads("Scopes of reports updated.")
	a.reads("documents:search, elements:read")
	a.presses("Disable")
	a.presses("Disable")
	a.reads("reports disabled.")
	require.Error(t, a.uses(enrolled.Key))
	a.presses("Enable")
	a.presses("Enable")
	a.reads("reports enabled.")
	a.presses("Create API key")
	a.fills("Name", "nightly")
	a.ticks("elements:read")
	a.presses("Create key")
	require.NoError(t, a.uses(a.keeps("Save this API key")))
	a.presses("Delete")
	a.presses("Delete")
	a.reads("reports deleted.")
	a.sees("Confirm that it is you") // tokens with the scopes of the service ended with it
	a.key("Escape", "")
	a.ends()
}

// An administrator whose role asks for a second factor at sign-in needs no step-up afterwards, not after a reload either; and resets the second factors of somebody who
// has lost their phone.
func TestConsole_anAdministratorResetsSecondFactors(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	made, err := admin.KMS.CreateUser(t.Context(), kms.UserCreate{Username: "hal", Password: password, Roles: []string{"admin"}})
	require.NoError(t, err)
	client := func(name string) *fountain.Client {
		c, err := fountain.New(family.URL, fountain.WithUser(name, password))
		require.NoError(t, err)
		return c
	}
	a := &administration{family: family, admin: admin, seed: harness.Enrol(t, client("hal"), &made.Invitation.Token)}
	harness.Enrol(t, client("grace"), nil)
	_, err = admin.KMS.PutSecondFactorPolicy(t.Context(), "admin", kms.SecondFactorPolicyPut{Required: "always"})
	require.NoError(t, err)
	a.person = visit(t, family.browser(t), family.site+"/console")
	a.signsIn("hal", password)
	a.confirms()
	a.sees("My account")
	a.goesTo("Users")
	a.sees("Users")
	a.browser.goTo(a.tab, "about:blank")
	a.browser.goTo(a.tab, family.site+"/console#/users")
	a.sees("Users")
	a.goesTo("grace")
	a.sees("grace")
	a.reads("fountain-go/")
	a.presses("Reset second factors")
	a.sees("Reset the second factors of grace?")
	a.isAccessible()
	a.fills("Reason", "lost")
	a.key("Enter", "\r")
	a.isRefused("invalid_body")
	a.fills("Reason", "phone lost, identity checked in person")
	a.key("Enter", "\r")
	a.reads("1 second factors and 10 recovery codes deleted.")
	a.ends()
}

// tabsTo goes on by the Tab key until the focus is at the control of this name.
func (p *person) tabsTo(name string) {
	p.t.Helper()
	var seen []any
	for range 100 {
		p.key("Tab", "")
		seen = append(seen, p.js(`() => { const at = document.activeElement; return at.labels?.[0]?.textContent ?? name(at); }`))
		if seen[len(seen)-1] == name {
			return
		}
	}
	p.t.Fatalf("no key leads to %q but to %v in: %s", name, seen, p.text())
}

// A person who has a keyboard alone signs in, creates a key and revokes it; after each dialog they are where they were.
func TestConsole_isUsedByKeyboardAlone(t *testing.T) {
	family, _ := household(t)
	t.Cleanup(family.Stop)
	p := visit(t, family.browser(t), family.site+"/console")
	types := func(text string) { p.browser.call(p.tab, "Input.insertText", map[string]any{"text": text}, nil) }
	p.sees("Sign in")
	p.tabsTo("User name")
	types("grace")
	p.tabsTo("Password")
	types(password)
	p.key("Enter", "\r")
	p.sees("My account")
	p.js(`() => document.activeElement.blur()`)
	p.tabsTo("API keys")
	p.key("Enter", "\r")
	p.sees("API keys")
	p.reads("No API keys yet.")
	p.tabsTo("Create API key")
	p.key("Enter", "\r")
	p.sees("Create API key of grace")
	p.tabsTo("Name")
	types("lectern")
	p.tabsTo("elements:read")
	p.key(" ", " ")
	p.tabsTo("Create key")
	p.key("Enter", "\r")
	p.sees("Save this API key")
	p.tabsTo("I have saved it")
	p.key("Enter", "\r")
	p.reads("API key lectern created.")
	require.Equal(t, "Create API key", p.js(`() => document.activeElement.textContent`), "the focus is where it was")
	p.tabsTo("Revoke lectern")
	p.key("Enter", "\r")
	p.sees("Revoke lectern?")
	p.key("Escape", "")
	require.Equal(t, "Revoke lectern", p.js(`async () => await until(() => document.activeElement.getAttribute("aria-label"))`))
	p.key("Enter", "\r")
	p.sees("Revoke lectern?")
	p.tabsTo("Revoke")
	p.key("Enter", "\r")
	p.reads("lectern revoked.")
	require.Equal(t, true, p.js(`async () => !!await until(() => document.activeElement.textContent === "API keys")`), "its button is gone")
	p.ends()
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
	p := visit(t, family.browser(t), family.site+"/console#/users")
	p.prefers("light", 390)
	p.signsIn("grace", password)
	p.sees("Users")
	p.reads("Your roles do not include access to this view.")
	require.NotContains(t, p.js(`() => [...document.querySelectorAll("nav li")].map((one) => one.textContent)`), "Users")
	p.goesTo("My account")
	p.sees("My account")
	p.isAccessible()
	require.Equal(t, true, p.js(`() => document.querySelector("#views main").offsetWidth > 300`))
	p.ends()
}

// The console and the documentation, which are what people load first, are small with all that they load, contracts too; and what they load browsers keep: on a reload
// no file comes again that is the same. Contracts, which change while the gateway runs, and the state of the services do.
func TestPages_areSmall(t *testing.T) {
	family, _ := household(t)
	t.Cleanup(family.Stop)
	browser := family.browser(t)
	for path, file := range map[string]string{"/console": "/console/app.js", "/docs": "/docs/swagger-ui-bundle.js"} {
		p := visit(t, browser, family.site+path)
		ready := func() {
			require.Equal(t, true, p.js(`async () => !!await until(() => by("h1, h2", "Sign in") ?? document.querySelector(".opblock"))`), path)
		}
		ready()
		loaded := p.js(`() => [location.pathname, ...new Set(performance.getEntriesByType("resource").map(({name}) => name).filter((name) => !name.startsWith("data:") && !name.startsWith("blob:")))]`).([]any)
		sizes := p.js(`async (urls) => {
			const compressed = async (url) => (await new Response((await fetch(url)).body.pipeThrough(new CompressionStream("gzip"))).arrayBuffer()).byteLength;
			let sum = 0, contracts = 0;
			for (const url of urls) {
				const size = url.includes("/browser-session/") ? 0 : await compressed(url); // which has no content without a session
				sum += size;
				if (url.includes("/openapi/")) contracts += size;
			}
			return [sum, urls.length, contracts, performance.getEntriesByName("first-contentful-paint")[0].startTime];
		}`, loaded).([]any)
		t.Logf("%s: %.0f bytes compressed in %.0f requests, of them contracts %.0f; first paint after %.0f ms", append([]any{path}, sizes...)...)
		require.Less(t, sizes[0].(float64), 600e3, path)
		if path == "/docs" {
			require.Positive(t, sizes[2], "the contract is counted")
		}
		require.True(t, strings.HasPrefix(p.js(`async (file) => (await fetch(file)).headers.get("ETag")`, file).(string), `"`), file)
		p.browser.call(p.tab, "Page.reload", nil, nil)
		p.browser.loaded(p.tab)
		ready()
		require.Empty(t, p.js(`() => performance.getEntriesByType("resource").filter(({name, encodedBodySize, transferSize}) => !/\/browser-session\/|\/gateway\/v1\//.test(name) && encodedBodySize > 0 && transferSize >= encodedBodySize + 300) // 300 stand for the header: of a 304 that is all
			.map(({name, transferSize}) => name + " " + transferSize)`), "%s: on a reload the bodies come from what the browser keeps", path)
	}
}
