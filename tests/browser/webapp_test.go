//go:build browser

package browser

import (
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

// webapp runs the app of examples/webapp at a family, registered as it is said, and returns its address and its client.
func webapp(t *testing.T, family *house, admin *fountain.Client, trusted bool) (address string, client kms.WebClient) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "webapp")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = "../../examples/webapp"
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	address = harness.FreeAddress(t)
	made, err := admin.KMS.RegisterClient(t.Context(), kms.ClientCreate{
		Name: "The app", Type: kms.ClientCreateTypeConfidential, RedirectUris: []string{"http://" + address + "/callback"},
		PostLogoutRedirectUris: &[]string{"http://" + address + "/"}, Trusted: &trusted,
	})
	require.NoError(t, err)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte(*made.ClientSecret), 0o600))
	app := exec.Command(binary, "-addr", address, "-issuer", family.site, "-client", made.Client.ID, "-secret-file", secret)
	app.Env = append(os.Environ(), "SSL_CERT_FILE="+root())
	app.Stdout, app.Stderr = os.Stderr, os.Stderr
	require.NoError(t, app.Start())
	t.Cleanup(func() {
		require.NoError(t, app.Process.Signal(syscall.SIGTERM))
		require.NoError(t, app.Wait())
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond)
	return "http://" + address, made.Client
}

// A person signs in at a team's own app through the family's page, with a password, and with a passkey where their role asks for a second factor; and signs
// out of both by the app.
func TestWebapp_aPersonSignsInAndOut(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	app, client := webapp(t, family, admin, true)
	p := visit(t, family.browser(t, app), app)
	p.hasPasskeys()
	p.follows("Sign in")
	p.sees("Sign in")
	p.reads("Sign in to continue to The app.")
	p.signsInAgain("grace", "not her password")
	p.reads("The user name or password is incorrect.")
	p.signsInAgain("grace", password)
	p.comesTo("Hello, grace")
	p.reads("signed in by aal1")
	sessions, err := admin.KMS.ListSessions(t.Context(), grace(t, admin).ID, nil)
	require.NoError(t, err)
	require.Len(t, sessions.Items, 2)
	require.Equal(t, "The app", *sessions.Items[0].ClientName, "people tell an app's session from their own")
	require.Contains(t, *sessions.Items[1].UserAgent, "Chrome")
	p.browser.goTo(p.tab, family.site+"/kms/v1/oauth2/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {app + "/callback"}, "scope": {"openid"}, "prompt": {"none"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}.Encode())
	p.comesTo("This sign-in did not begin here, or was used already.")
	require.Contains(t, p.js(`() => location.search`), "code=", "without a page, by the browser's session")
	p.browser.goTo(p.tab, app)
	p.presses("Sign out")
	p.comesTo("A web app")
	sessions, err = admin.KMS.ListSessions(t.Context(), grace(t, admin).ID, nil)
	require.NoError(t, err)
	require.Empty(t, sessions.Items, "her session has ended, and the app's with it")

	p.browser.goTo(p.tab, pageOf(family))
	p.signsIn("grace", password)
	p.presses("Add a passkey")
	p.presses("Continue")
	p.keepsCodes()
	p.presses("Sign out")

	// An app that asks for a second factor gets it, from who signs in with a password. Here it is asked in the app's name, which takes no answer to that.
	p.browser.goTo(p.tab, family.site+"/kms/v1/oauth2/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {app + "/callback"}, "scope": {"openid"}, "acr_values": {"aal2"}, "login_hint": {"grace"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}.Encode())
	p.sees("Sign in")
	p.fills("Password", password)
	p.key("Enter", "\r")
	p.reads("The app asks for one of your second factors.")
	p.presses("Continue")
	p.presses("Use your passkey")
	p.comesTo("This sign-in did not begin here, or was used already.")

	_, err = admin.KMS.PutSecondFactorPolicy(t.Context(), "editor", kms.SecondFactorPolicyPut{Required: "always"})
	require.NoError(t, err)
	p.browser.goTo(p.tab, app)
	p.follows("Sign in")
	p.signsIn("grace", password)
	p.sees("Confirm that it is you")
	p.presses("Use your passkey")
	p.comesTo("Hello, grace")
	p.reads("signed in by phr")
	require.Empty(t, p.faults())
}

// A person says whether an app of others may know who they are, and an app that is not registered gets nothing.
func TestWebapp_aPersonIsAskedByAppsOfOthers(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	app, client := webapp(t, family, admin, false)
	p := visit(t, family.browser(t, app), app)
	p.follows("Sign in")
	p.signsIn("grace", password)
	p.sees("Continue to The app?")
	p.reads("your user name")
	p.isAccessible()
	p.presses("Deny")
	p.comesTo("The sign-in did not work.")
	p.follows("Sign in")
	p.sees("Continue to The app?") // the browser's session goes on
	p.presses("Allow")
	p.comesTo("Hello, grace")

	p.browser.goTo(p.tab, family.site+"/kms/v1/oauth2/authorize?response_type=code&scope=openid&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2F&client_id="+client.ID)
	p.sees("Something went wrong")
	p.reads("at an address that is not registered for it")
	p.browser.goTo(p.tab, family.site+"/kms/v1/oauth2/logout?id_token_hint=x")
	p.sees("Sign-out failed")
	p.isAccessible()
	require.Empty(t, p.faults())
}

// What a person has allowed an app stands in their account, and is withdrawn there: the app is out at once, and asks again.
func TestWebapp_aPersonWithdrawsTheirConsent(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	app, client := webapp(t, family, admin, false)
	p := visit(t, family.browser(t, app), app)
	p.follows("Sign in")
	p.signsIn("grace", password)
	p.sees("Continue to The app?")
	p.presses("Allow")
	p.comesTo("Hello, grace")

	p.browser.goTo(p.tab, family.site+"/console#/account")
	p.sees("My account")
	p.reads("your user name")
	p.reads("Web app The app")
	p.isAccessible()
	p.presses("Withdraw consent for The app")
	p.sees("Withdraw consent for The app?")
	p.isAccessible()
	p.presses("Cancel")
	p.reads("your user name")
	p.presses("Withdraw consent for The app")
	p.presses("Withdraw")
	p.reads("Consent for The app withdrawn.")
	p.reads("You have not given consent to any web app.")
	p.js(`async () => { await until(() => !document.body.textContent.includes("Web app The app")); }`) // its session has left the list, too
	sessions, err := admin.KMS.ListSessions(t.Context(), grace(t, admin).ID, nil)
	require.NoError(t, err)
	require.Len(t, sessions.Items, 1)
	require.NotEqual(t, client.ID, sessions.Items[0].ClientID)

	p.browser.goTo(p.tab, family.site+"/kms/v1/oauth2/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {app + "/callback"}, "scope": {"openid"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}.Encode())
	p.sees("Continue to The app?")
	require.Empty(t, p.faults())
}
