//go:build browser

package browser

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/harness"
)

// pageOf is where people manage their factors.
func pageOf(family *house) string { return family.site + "/twofactor/v1/enroll" }

// scans reads the picture that the page shows, and returns the seed.
func (p *person) scans() string {
	p.t.Helper()
	p.sees("Scan this QR code with your app")
	require.Equal(p.t, true, p.js(`async () => !!await until(() => { const qr = document.querySelector("img.qr"); return qr.complete && qr.naturalWidth > 0; })`))
	key, err := otp.NewKeyFromURL(scanned(p.t, p.browser.screenshot(p.tab)))
	require.NoError(p.t, err)
	return key.Secret()
}

// A new administrator signs in, gives the invitation when the page asks for it, adds an authenticator by its picture, keeps the recovery codes, loses the
// authenticator, and gets back in by a recovery code.
func TestPage_anAdministratorEnrolsAndGetsBackIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	family := behindCaddy(t, dir)
	t.Cleanup(family.Stop)
	token, err := os.ReadFile(filepath.Join(dir, "kms", "bootstrap.token"))
	require.NoError(t, err)
	anonymous, err := fountain.New(family.URL)
	require.NoError(t, err)
	made, err := anonymous.KMS.BootstrapAdmin(t.Context(), kms.AdminBootstrap{Token: strings.TrimSpace(string(token)), Username: "ada", Password: password})
	require.NoError(t, err)

	p := visit(t, family.browser(t), pageOf(family))
	p.signsIn("ada", "not the password")
	p.reads("The user name or password is incorrect.")
	p.signsInAgain("ada", password)
	p.sees("Your second factors")
	p.reads("You have none yet.")
	p.isAccessible()
	p.presses("Add an authenticator app")
	p.sees("Add an authenticator app")
	p.isAccessible()
	p.presses("Continue")
	p.reads("needs an invitation")
	p.fills("Invitation", made.Invitation.Token)
	p.key("Enter", "\r")
	seed := p.scans()
	p.isAccessible()
	p.fills("Code shown by the app", "000000")
	p.key("Enter", "\r")
	p.reads("This code is not accepted.")
	p.fills("Code shown by the app", harness.StepBefore(t, seed))
	p.key("Enter", "\r")
	p.keepsCodes()
	p.sees("Your second factors")
	p.reads("Phone added.")
	p.presses("Create new codes") // without another code: the first one has confirmed it
	p.presses("Create codes")
	codes := p.keepsCodes()
	p.presses("Sign out")
	p.reads("You are signed out.")

	p.prefers("dark", 320)
	p.signsIn("ada", password)
	p.sees("Your second factors")
	p.presses("Add an authenticator app")
	p.presses("Continue")
	p.sees("Confirm that it is you")
	p.presses("I lost my device: use a recovery code")
	p.fills("Recovery code", strings.ToLower(codes[0]))
	p.key("Enter", "\r")
	seed = p.scans()
	code, err := totp.GenerateCode(seed, time.Now())
	require.NoError(t, err)
	p.fills("Code shown by the app", code[:3]+" "+code[3:])
	p.key("Enter", "\r")
	p.sees("Your second factors")
	p.reads("Phone 2 added.")
	p.reads("9 are left.")
	require.Empty(t, p.faults())
}

// household runs a family whose administrator has made grace, an editor.
func household(t *testing.T) (family *house, admin *fountain.Client) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	family = behindCaddy(t, dir)
	admin = family.Bootstrap(dir, "ada", password)
	_, err := admin.KMS.CreateUser(t.Context(), kms.UserCreate{Username: "grace", Password: password, Roles: []string{"editor"}})
	require.NoError(t, err)
	return family, admin
}

// grace is her account as the administrator sees it.
func grace(t *testing.T, admin *fountain.Client) kms.User {
	t.Helper()
	users, err := admin.KMS.ListUsers(t.Context(), nil)
	require.NoError(t, err)
	at := slices.IndexFunc(users.Items, func(one kms.User) bool { return one.Username == "grace" })
	require.GreaterOrEqual(t, at, 0)
	return users.Items[at]
}

// A person signs in with a password, by keyboard alone, adds an authenticator and a passkey, signs in with the passkey, renames it, loses all devices, gets
// back in by a recovery code, adds a new device and removes the lost ones.
func TestPage_aPersonSignsInByAPasskeyAndGetsBackInWithoutIt(t *testing.T) {
	family, _ := household(t)
	t.Cleanup(family.Stop)
	p := visit(t, family.browser(t), pageOf(family))
	device := p.hasPasskeys()
	p.isAt("de-DE", "Europe/Berlin")
	p.sees("Sign in")
	for _, text := range []string{"grace", password} {
		p.key("Tab", "")
		p.browser.call(p.tab, "Input.insertText", map[string]any{"text": text}, nil)
	}
	p.key("Tab", "")
	p.key("Enter", "\r")
	p.sees("Your second factors")
	p.presses("Add an authenticator app")
	p.sees("Add an authenticator app")
	p.presses("Continue")
	seed := p.scans()
	p.presses("Can't scan the QR code?")
	p.reads(seed[:4] + " " + seed[4:8])
	p.fills("Code shown by the app", harness.StepBefore(t, seed))
	p.key("Enter", "\r")
	codes := p.keepsCodes()
	p.browser.goTo(p.tab, pageOf(family)) // a session of a password keeps no second factor
	p.sees("Your second factors")
	p.presses("Add a passkey")
	p.sees("Add a passkey")
	p.fills("Name", "Grace's laptop <b>")
	p.presses("Continue")
	p.sees("Confirm that it is you")
	p.key("Escape", "")
	p.reads("Cancelled.")
	p.presses("Continue")
	code, err := totp.GenerateCode(seed, time.Now())
	require.NoError(t, err)
	p.fills("Code of your authenticator app", code)
	p.key("Enter", "\r")
	p.reads("Grace's laptop <b> added.")
	p.presses("Sign out")

	p.sees("Sign in")
	p.presses("Sign in with a passkey")
	p.sees("Your second factors")
	p.reads("Signed in as grace")
	p.presses("Rename Grace's laptop <b>")
	p.fills("Name", "Laptop")
	p.key("Enter", "\r")
	p.reads("Renamed to Laptop.")
	p.presses("Sign out")

	p.browser.call(p.tab, "WebAuthn.removeVirtualAuthenticator", map[string]any{"authenticatorId": device}, nil)
	p.hasPasskeys()
	p.prefers("dark", 320)
	p.sees("Sign in")
	p.presses("Sign in with a passkey")
	p.reads("No passkey was used")
	p.signsInAgain("grace", password)
	p.presses("Remove Phone")
	p.sees("Remove Phone?")
	p.presses("Remove")
	p.sees("Confirm that it is you")
	p.presses("Use your passkey")
	p.reads("No passkey was used")
	p.presses("I lost my device: use a recovery code")
	p.fills("Recovery code", codes[1][:10])
	p.key("Enter", "\r")
	p.reads("A recovery code has six groups")
	p.fills("Recovery code", codes[1])
	p.key("Enter", "\r")
	p.reads("Phone removed.")
	p.presses("Add a passkey")
	p.sees("Add a passkey")
	p.presses("Continue")
	p.reads("This device added.")
	p.presses("Remove Laptop")
	p.presses("Remove")
	p.reads("Laptop removed.")
	p.shot("end")
	require.Regexp(t, `Passkey, last used \d{1,2} \w{3,4} 20\d\d, \d\d:\d\d`, p.text(), "a month is a word, so that nobody takes it for a day")
	p.presses("Sign out")
	p.presses("Sign in with a passkey")
	p.sees("Your second factors")
	require.Equal(t, "0 0 0", p.js(`async () => [localStorage.length, sessionStorage.length, (await indexedDB.databases()).length].join(" ") + document.cookie`), "nothing is kept that a script could read")
	p.browser.goTo(p.tab, pageOf(family))
	p.sees("Your second factors")
	p.reads("Signed in as grace")
	require.Empty(t, p.faults())
}

// Where a role asks for a second factor at sign-in, who has none adds one before anything else, and who has one is asked for it; a lost one is replaced by a
// recovery code.
func TestPage_aRoleAsksForASecondFactorAtSignIn(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	_, err := admin.KMS.CreateUser(t.Context(), kms.UserCreate{Username: "hal", Password: password, Roles: []string{"editor"}})
	require.NoError(t, err)
	_, err = admin.KMS.PutSecondFactorPolicy(t.Context(), "editor", kms.SecondFactorPolicyPut{Required: "always"})
	require.NoError(t, err)
	p := visit(t, family.browser(t), pageOf(family))
	p.hasPasskeys()
	p.signsIn("hal", password)
	p.presses("Add an authenticator app")
	p.presses("Continue")
	p.fills("Code shown by the app", harness.StepBefore(t, p.scans()))
	p.key("Enter", "\r")
	p.keepsCodes()
	p.reads("Signed in as hal") // the code that confirms the app has ended the sign-in
	p.presses("Sign out")
	p.signsIn("grace", password)
	p.sees("Your second factors")
	p.reads("Your account requires a second factor.")
	p.presses("Add a passkey")
	p.presses("Continue")
	codes := p.keepsCodes()
	p.sees("Your second factors")
	p.reads("Signed in as grace") // who was verified while the passkey was made is not asked for it again
	p.presses("Create new codes")
	p.reads("The 10 current codes will stop working.")
	p.presses("Create codes")
	codes = append(codes, p.keepsCodes()...)
	p.reads("The old codes no longer work.")
	p.presses("Sign out")

	p.signsIn("grace", password)
	p.sees("Confirm that it is you")
	p.presses("I lost my device: use a recovery code")
	p.fills("Recovery code", codes[0])
	p.key("Enter", "\r")
	p.reads("This recovery code is not accepted.")
	p.fills("Recovery code", codes[10])
	p.key("Enter", "\r")
	p.sees("Your second factors")
	p.reads("You have used a recovery code.")
	p.reads("9 are left.")
	p.presses("Sign out")

	p.sees("Sign in")
	disabled, account := kms.UserUpdateStatus("disabled"), grace(t, admin)
	_, err = admin.KMS.UpdateUser(t.Context(), account.ID, fountain.IfMatch(account.Version), kms.UserUpdate{Status: &disabled})
	require.NoError(t, err)
	p.presses("Sign in with a passkey")
	p.reads("You can't sign in with this passkey at the moment.")
	require.Empty(t, p.faults())
}

// later has a page take it for eleven minutes later, when its token has ended, and count how often it asks for another.
const later = `() => {
	const now = performance.now.bind(performance), send = fetch.bind(window);
	performance.now = () => now() + 660000;
	refreshes = 0;
	fetch = (path, ...rest) => { if (path.endsWith("/browser-session/refresh")) refreshes++; return send(path, ...rest); };
}`

// Whatever fails, a person reads what happened and what to do: a session that an administrator ended, and a server that is away.
func TestPage_failuresSayWhatToDo(t *testing.T) {
	family, admin := household(t)
	p := visit(t, family.browser(t), pageOf(family))
	p.signsIn("grace", password)
	p.sees("Your second factors")
	p.js(`() => { const send = fetch.bind(window); fetch = (path, ...rest) => (path.endsWith("/step-up") ? Promise.reject(new TypeError("cut")) : send(path, ...rest)); }`)
	p.presses("Add an authenticator app")
	p.presses("Continue")
	p.fills("Code shown by the app", harness.StepBefore(t, p.scans()))
	p.key("Enter", "\r")
	p.keepsCodes() // they can't be had again
	p.sees("Something went wrong")
	p.presses("Continue")
	p.sees("Your second factors")
	p.reads("10 are left.")
	p.js(later)
	p.presses("Add an authenticator app")
	p.presses("Cancel")
	p.sees("Your second factors")
	require.Equal(t, 1.0, p.js(`() => refreshes`), "calls beside each other wait for one new token")
	_, err := admin.KMS.RevokeSessions(t.Context(), grace(t, admin).ID)
	require.NoError(t, err)
	p.presses("Add an authenticator app")
	p.presses("Continue")
	p.reads("Your session has ended. Sign in again.")
	require.Empty(t, p.faults())

	p.browser.goTo(p.tab, p.browser.also(strings.Replace(family.URL, "localhost", "127.0.0.1", 1))+"/twofactor/v1/enroll") // the gateway itself
	p.reads("Passkeys need a host name")
	family.Stop()
	p.signsInAgain("grace", password)
	p.reads("The server can't be reached.")
}

// The tests of the page see what its policy refuses: a script that was put into it, and markup that was made of text.
func TestPage_violationsOfItsPolicyAreSeen(t *testing.T) {
	family, _ := household(t)
	t.Cleanup(family.Stop)
	browser := family.browser(t)
	for _, put := range []string{
		`() => { try { document.createElement("script").src = "https://example.org/x.js"; } catch {} }`,
		`() => { try { document.createElement("script").textContent = "1"; } catch {} }`,
		`() => fetch("https://example.org/x").catch(() => {})`,
		`() => document.body.append(Object.assign(document.createElement("img"), {src: "https://example.org/x.png"}))`,
		`() => { try { document.body.innerHTML = "<b>x</b>"; } catch {} }`,
		`() => document.body.setAttribute("style", "color: red")`,
	} {
		p := visit(t, browser, pageOf(family))
		p.provoke = true
		p.sees("Sign in")
		require.Empty(t, p.faults())
		p.js(put)
		require.Eventually(t, func() bool { return len(p.faults()) > 0 }, patience, 10*time.Millisecond, put)
	}
}

// A reload goes on with the session, and so does another tab, which begins without any token: both may renew at the same moment. A sign-out is for all tabs.
// What somebody else does after they have signed in in another tab is not done in the name of who is shown here.
func TestPage_aSessionIsKeptByReloadsAndSharedByTabs(t *testing.T) {
	family, _ := household(t)
	t.Cleanup(family.Stop)
	browser := family.browser(t)
	p := visit(t, browser, pageOf(family))
	p.signsIn("grace", password)
	p.reads("Signed in as grace")
	require.Equal(t, "0 0 ", p.js(`() => [localStorage.length, sessionStorage.length, document.cookie].join(" ")`), "no script can read what keeps it")
	other := visit(t, browser, pageOf(family))
	for range 3 {
		for _, one := range []*person{p, other} { // both at once
			one.js(`() => { setTimeout(() => location.reload(), 100); }`)
		}
		browser.loaded(p.tab, other.tab)
		for _, one := range []*person{p, other} {
			one.reads("Signed in as grace")
		}
	}
	for _, one := range []*person{p, other} {
		one.js(later)
		one.js(`() => { by("button", "Add an authenticator app").click(); setTimeout(() => by("button", "Cancel").click(), 50); }`)
	}
	for _, one := range []*person{p, other} {
		one.sees("Your second factors")
		require.Equal(t, 1.0, one.js(`async () => await until(() => refreshes)`))
	}

	p.presses("Sign out")
	p.reads("You are signed out.")
	other.reads("Your session has ended. Sign in again.") // at once, and without being asked anything
	browser.goTo(p.tab, pageOf(family))
	p.sees("Sign in")

	p.signsInAgain("grace", password)
	p.reads("Signed in as grace")
	other.signsInAgain("ada", password)
	other.reads("Signed in as ada")
	p.js(later)
	p.presses("Add an authenticator app")
	p.presses("Continue")
	p.reads("Your session has ended. Sign in again.")
	require.NotContains(t, p.text(), "ada")
	browser.goTo(other.tab, pageOf(family))
	other.reads("Signed in as ada")
	require.Empty(t, append(p.faults(), other.faults()...))
}

// A person whose role accepts codes by mail signs in with one: each of what can go wrong on the way is told, and another role, or a password that can be chosen by
// the same mail, takes the way away.
func TestPage_aPersonSignsInWithACodeByMail(t *testing.T) {
	box := newMailbox(t)
	t.Setenv("FOUNTAIN_TWOFACTOR_STEP_UP_CHANNELS", "email")
	family, admin := household(t)
	t.Cleanup(family.Stop)
	hers, err := fountain.New(family.URL, fountain.WithUser("grace", password))
	require.NoError(t, err)
	enrolled, err := hers.Twofactor.EnrolDelivery(t.Context(), twofactor.DeliveryEnrol{Channel: "email", Target: "grace@example.org"})
	require.NoError(t, err)
	mails := 1
	newest := func() string {
		found := regexp.MustCompile(`Your code is (\d{6})`).FindStringSubmatch(box.nth(mails))
		require.Len(t, found, 2, box.nth(mails))
		return found[1]
	}
	_, err = hers.Twofactor.ConfirmDelivery(t.Context(), enrolled.Factor.ID, twofactor.DeliveryConfirm{Code: newest()})
	require.NoError(t, err)
	accept := func(factors ...kms.FactorWord) {
		p := kms.SecondFactorPolicyPut{Required: "always"}
		if len(factors) > 0 {
			p.Factors = &factors
		}
		_, err := admin.KMS.PutSecondFactorPolicy(t.Context(), "editor", p)
		require.NoError(t, err)
	}

	accept()
	p := visit(t, family.browser(t), pageOf(family))
	p.signsIn("grace", password)
	p.reads("None of your second factors can be used in this browser.")
	p.isAccessible()
	p.presses("Back")
	accept("email", "totp")
	p.signsIn("grace", password)
	p.sees("Confirm that it is you")
	p.isAccessible()
	p.presses("Send a code by email")
	p.reads("A code was sent to g***@example.org.")
	p.isAccessible()
	mails++
	code := newest()
	p.presses("Send another code")
	p.reads("A code is on its way. Wait")
	p.fills("Code that was sent to you", "12345")
	p.key("Enter", "\r")
	p.reads("The code is the 6 digits of the message.")
	p.fills("Code that was sent to you", other(code))
	p.key("Enter", "\r")
	p.reads("This code is not accepted. Enter the newest code that was sent to you.")
	for range 4 { // five with the one before
		p.fills("Code that was sent to you", other(code))
		p.key("Enter", "\r")
		p.reads("This code is not accepted.")
		p.js(`async () => { await until(() => document.querySelector("form[aria-busy=false]")); }`)
	}
	p.fills("Code that was sent to you", code)
	p.key("Enter", "\r")
	p.reads("Too many wrong codes were entered. Send another code, or use another second factor.")
	p.presses("Send another code") // a new challenge: the old one takes no code any more
	p.reads("Another code was sent.")
	mails++
	p.fills("Code that was sent to you", newest())
	p.key("Enter", "\r")
	p.sees("Your second factors")
	p.presses("Sign out")

	user := grace(t, admin)
	_, err = admin.KMS.UpdateUser(t.Context(), user.ID, fountain.IfMatch(user.Version), kms.UserUpdate{Email: fountain.Ptr("grace@example.org")})
	require.NoError(t, err)
	p.signsIn("grace", password)
	p.reads("None of your second factors can be used in this browser.")
	require.Empty(t, p.faults())
}

// other is a code that is not this one.
func other(code string) string {
	if code == "000000" {
		return "000001"
	}
	return "000000"
}
