//go:build browser

package browser

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

// caddy runs the Caddy that CADDY names, with the project's Caddyfile, in front of a gateway, until the test ends. It returns the hash of the key of its certificate, by
// which a browser can be told to trust it (RFC 7469, section 2.4).
func caddy(t *testing.T, site, gateway string) (pin string) {
	t.Helper()
	program := os.Getenv("CADDY")
	require.NotEmpty(t, program, "CADDY does not name a binary; run: make browser")
	_, redirect, err := net.SplitHostPort(harness.FreeAddress(t))
	require.NoError(t, err)
	home := t.TempDir()
	cmd := exec.Command(program, "run", "--config", filepath.Join("..", "..", "Caddyfile"), "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "HOME="+home, "FOUNTAIN_SITE="+site, "FOUNTAIN_HTTP_PORT="+redirect,
		"FOUNTAIN_GATEWAY="+gateway, "FOUNTAIN_EDGE_OPTIONS=default_bind 127.0.0.1")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		connection, err := tls.Dial("tcp", site, &tls.Config{InsecureSkipVerify: true}) // it is looked at here, to be trusted
		if err != nil {
			return false
		}
		defer connection.Close()
		sum := sha256.Sum256(connection.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
		pin = base64.StdEncoding.EncodeToString(sum[:])
		return true
	}, time.Minute, 20*time.Millisecond)
	return pin
}

// Behind Caddy, over TLS, a person with a password finds the start page, signs in at the documentation and tries operations, one refused by the contract; adds a passkey, and is asked for
// it by their role from then on, at sign-in and for an operation; and goes on in the console. Every page is reloaded and keeps the session.
func TestCaddy_aPersonDoesItAllBehindIt(t *testing.T) {
	_, port, err := net.SplitHostPort(harness.FreeAddress(t))
	require.NoError(t, err)
	site := "localhost:" + port
	own := "https://" + site
	dir := filepath.Join(t.TempDir(), "data")
	family := harness.StartProcess(t, dir, "--issuer", own, "--trusted-proxies", "127.0.0.0/8")
	t.Cleanup(family.Stop)
	admin := family.Bootstrap(dir, "ada", password)
	_, err = admin.KMS.CreateUser(t.Context(), kms.UserCreate{Username: "grace", Password: password, Roles: []string{"editor"}})
	require.NoError(t, err)
	pin := caddy(t, site, strings.TrimPrefix(family.URL, "http://"))

	p := visit(t, start(t, "--ignore-certificate-errors-spki-list="+pin), own+"/")
	p.hasPasskeys()
	p.reads("sequence")
	p.follows("The contracts of all services")
	p.browser.goTo(p.tab, own+"/docs?contract=sequence")
	p.reads("FountainAI Sequence Service")
	p.presses("Sign in")
	p.signsInAgain("grace", password)
	p.reads("Signed in as grace")
	fields := map[string]string{"scope": "play", "elementType": "line"}
	p.tries("createElement", fields, `{"id":"a b","data":{}}`)
	require.Contains(t, p.answered("createElement", 422), "invalid_body")
	p.tries("createElement", fields, `{"id":"a","data":{"text":"Who's there?"}}`)
	require.Contains(t, p.answered("createElement", 201), `"number": 1`)
	p.browser.goTo(p.tab, own+"/docs?contract=sequence")
	p.reads("Signed in as grace")

	p.browser.goTo(p.tab, own+"/twofactor/v1/enroll")
	p.presses("Add a passkey")
	p.presses("Continue")
	p.keepsCodes()
	p.presses("Sign out")
	p.reads("You are signed out.")
	_, err = admin.KMS.PutSecondFactorPolicy(t.Context(), "editor", kms.SecondFactorPolicyPut{Required: "always"})
	require.NoError(t, err)
	p.browser.goTo(p.tab, own+"/docs?contract=twofactor")
	p.presses("Sign in")
	p.signsInAgain("grace", password)
	p.sees("Confirm that it is you")
	p.presses("Use your passkey")
	p.reads("Signed in as grace")
	p.tries("createRecoveryCodes", nil, "")
	require.Contains(t, p.answered("createRecoveryCodes", 201), "codes", "the sign-in was worth it")

	p.browser.goTo(p.tab, own+"/console")
	p.sees("My account")
	p.goesTo("API keys")
	p.sees("API keys")
	p.browser.goTo(p.tab, "about:blank")
	p.browser.goTo(p.tab, own+"/console#/keys")
	p.sees("API keys")
	p.presses("Sign out")
	p.reads("You are signed out.")
	p.ends()
}
