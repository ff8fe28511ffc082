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

// house is a family behind a Caddy of its own, as people meet it: by HTTPS.
type house struct {
	*harness.Process        // its URL is that of the gateway, for what is done beside the browser
	site             string // where the browser finds it
	pin              string // of Caddy's certificate
}

// authority is the folder of the certificate authority that all Caddies of the tests share.
var authority string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "fountain-caddy-")
		if err != nil {
			panic(err) // nothing can be tested without it
		}
		defer os.RemoveAll(folder)
		authority = folder
		return m.Run()
	}())
}

// root is the certificate of the authority, for programs that trust those of a file.
func root() string {
	return filepath.Join(authority, "caddy", "pki", "authorities", "local", "root.crt")
}

// behindCaddy runs a family on a directory, and a Caddy in front of it, until the test ends.
func behindCaddy(t *testing.T, dir string) *house {
	t.Helper()
	h := &house{site: freeSite(t)}
	h.Process = harness.StartProcess(t, dir, "--issuer", h.site, "--trusted-proxies", "127.0.0.0/8")
	h.pin = caddy(t, h.site, h.URL)
	return h
}

// freeSite is an address for a family, by HTTPS.
func freeSite(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(harness.FreeAddress(t))
	require.NoError(t, err)
	return "https://localhost:" + port
}

// browser runs one that trusts the family's Caddy, and nothing else that the machine does not. It is expected to go to the family, and to origins that are named.
func (h *house) browser(t *testing.T, origins ...string) *chromium {
	t.Helper()
	return start(t, append(origins, h.site), "--ignore-certificate-errors-spki-list="+h.pin)
}

// caddy runs the Caddy that CADDY names, with the project's Caddyfile, in front of a gateway, until the test ends. It returns the hash of the key of its certificate, by
// which a browser can be told to trust it (RFC 7469, section 2.4).
func caddy(t *testing.T, site, gateway string) (pin string) {
	t.Helper()
	site, gateway = strings.TrimPrefix(site, "https://"), strings.TrimPrefix(gateway, "http://")
	program := os.Getenv("CADDY")
	require.NotEmpty(t, program, "CADDY does not name a binary; run: make browser")
	_, redirect, err := net.SplitHostPort(harness.FreeAddress(t))
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(site)
	require.NoError(t, err)
	cmd := exec.Command(program, "run", "--config", filepath.Join("..", "..", "Caddyfile"), "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+authority, "XDG_CONFIG_HOME="+authority, "HOME="+authority, "FOUNTAIN_SITE="+site, "FOUNTAIN_HTTPS_PORT="+port, "FOUNTAIN_HTTP_PORT="+redirect,
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

// A person with a password finds the start page, signs in at the documentation and tries operations, one refused by the contract; adds a passkey, and is asked for
// it by their role from then on, at sign-in and for an operation; and goes on in the console. Every page is reloaded and keeps the session.
func TestPages_aPersonDoesItAll(t *testing.T) {
	family, admin := household(t)
	t.Cleanup(family.Stop)
	own := family.site
	p := visit(t, family.browser(t), own+"/")
	p.hasPasskeys()
	p.reads("sequence")
	p.follows("API documentation")
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
	_, err := admin.KMS.PutSecondFactorPolicy(t.Context(), "editor", kms.SecondFactorPolicyPut{Required: "always"})
	require.NoError(t, err)
	p.browser.goTo(p.tab, own+"/docs?contract=twofactor")
	p.presses("Sign in")
	p.signsInAgain("grace", password)
	p.sees("Confirm that it is you")
	p.presses("Use your passkey")
	p.reads("Signed in as grace")
	p.browser.goTo(p.tab, own+"/docs?contract=twofactor") // what the sign-in was worth, a reload keeps
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
