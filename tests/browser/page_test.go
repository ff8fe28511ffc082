//go:build browser

package browser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

// pageOf is where people manage their factors.
func pageOf(p *harness.Process) string { return p.URL + "/twofactor/v1/enroll" }

// scans reads the picture that the page shows, and returns the seed.
func (p *person) scans() string {
	p.t.Helper()
	p.sees("Scan this with your app")
	require.Equal(p.t, true, p.js(`async () => !!await until(() => { const qr = document.querySelector("img.qr"); return qr.complete && qr.naturalWidth > 0; })`))
	key, err := otp.NewKeyFromURL(scanned(p.t, p.browser.screenshot(p.tab)))
	require.NoError(p.t, err)
	return key.Secret()
}

// A new administrator signs in, gives the invitation when the page asks for it, adds an authenticator by its picture, keeps the recovery codes, loses the
// authenticator, and gets back in by a recovery code.
func TestPage_anAdministratorEnrolsAndGetsBackIn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	family := harness.StartProcess(t, dir)
	t.Cleanup(family.Stop)
	token, err := os.ReadFile(filepath.Join(dir, "kms", "bootstrap.token"))
	require.NoError(t, err)
	anonymous, err := fountain.New(family.URL)
	require.NoError(t, err)
	made, err := anonymous.KMS.BootstrapAdmin(t.Context(), kms.AdminBootstrap{Token: strings.TrimSpace(string(token)), Username: "ada", Password: password})
	require.NoError(t, err)

	p := visit(t, start(t), pageOf(family))
	p.signsIn("ada", "not the password")
	p.reads("The user name or the password is not right.")
	p.fills("Password", password)
	p.key("Enter", "\r")
	p.sees("Your second factors")
	p.reads("You have none yet.")
	p.presses("Add an authenticator app")
	p.sees("Add an authenticator app")
	p.presses("Continue")
	p.reads("needs an invitation")
	p.fills("Invitation", made.Invitation.Token)
	p.key("Enter", "\r")
	seed := p.scans()
	p.fills("Code that the app shows now", "000000")
	p.key("Enter", "\r")
	p.reads("This code is not accepted.")
	p.fills("Code that the app shows now", harness.StepBefore(t, seed))
	p.key("Enter", "\r")
	codes := p.keepsCodes()
	p.sees("Your second factors")
	p.reads("Phone is added.")
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
	p.fills("Code that the app shows now", code[:3]+" "+code[3:])
	p.key("Enter", "\r")
	p.sees("Your second factors")
	p.reads("Phone 2 is added. You have used a recovery code. If you have lost a device, add a new one, and remove the lost one.")
	p.reads("9 are left.")
	require.Empty(t, p.faults())
}
