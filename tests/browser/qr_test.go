//go:build browser

package browser

import (
	"context"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/harness"
)

// screenshot returns what a tab shows, as PNG.
func (c *chromium) screenshot(session string) []byte {
	c.t.Helper()
	var shot struct{ Data string }
	c.call(session, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
	raw, err := base64.StdEncoding.DecodeString(shot.Data)
	require.NoError(c.t, err)
	return raw
}

// scanned is what a telephone reads from a picture (zbarimg, of Debian's zbar-tools).
func scanned(t *testing.T, png []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "code.png")
	require.NoError(t, os.WriteFile(file, png, 0o600))
	out, err := exec.Command("zbarimg", "--quiet", "--raw", file).Output()
	require.NoError(t, err, "zbarimg is needed (apt-get install zbar-tools), and must find a code")
	return strings.TrimSpace(string(out))
}

// shown is a page with the text or drawing.
func shown(t *testing.T, body string) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<!doctype html><body>" + body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// An enrolment's QR code is read by a telephone from the PNG, from the SVG as a browser draws it, and from the terminal, light on dark and dark on light; it holds the
// same URI as the answer.
func TestBrowser_enrolmentsAreReadByATelephone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	t.Cleanup(p.Stop)
	admin := p.Bootstrap(dir, "ada", password)
	_, err := admin.KMS.CreateUser(t.Context(), kms.UserCreate{Username: "grace", Password: password, Roles: []string{"editor"}})
	require.NoError(t, err)
	grace, err := fountain.New(p.URL, fountain.WithUser("grace", password))
	require.NoError(t, err)
	label := "Grace's phone & more"
	made, err := grace.Twofactor.EnrolTotp(context.Background(), twofactor.TotpEnrol{Label: &label})
	require.NoError(t, err)
	browser := start(t, nil)

	png, err := grace.Twofactor.GetTotpQrPng(t.Context(), made.FactorID, nil)
	require.NoError(t, err)
	require.Equal(t, made.OtpauthURI, scanned(t, png))
	svg, err := grace.Twofactor.GetTotpQrSvg(t.Context(), made.FactorID, nil)
	require.NoError(t, err)
	drawing := browser.open(browser.also(shown(t, `<img width="400" src="data:image/svg+xml;base64,`+base64.StdEncoding.EncodeToString(svg)+`">`)))
	require.Equal(t, made.OtpauthURI, scanned(t, browser.screenshot(drawing)))

	home, secret := t.TempDir(), filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(secret, []byte(password), 0o600))
	run := func(program string, args ...string) string {
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+home)
		out, err := cmd.Output()
		require.NoError(t, err, "%s", args)
		return string(out)
	}
	run(harness.Binary(t), "login", "--url", p.URL, "--username", "grace", "--password-file", secret)
	// script(1) gives the command a terminal, whose colours a light one shows too.
	onTerminal := strings.NewReplacer("\r", "", "\x1b[40;97m", `<span style="color: white; background: black">`, "\x1b[0m", "</span>")
	for background, text := range map[string]string{
		"color: white; background: black": html.EscapeString(run(harness.Binary(t), "otp", "enrol")),
		"color: black; background: white": onTerminal.Replace(run("script", "-qec", harness.Binary(t)+" otp enrol", "/dev/null")),
	} {
		seed := regexp.MustCompile(`type the seed: ([A-Z2-7]+)`).FindStringSubmatch(text)
		require.NotNil(t, seed, text)
		code, _, _ := strings.Cut(text, "\n\n")
		screen := browser.open(browser.also(shown(t, `<pre style="margin: 40px; font: 16px/1 'DejaVu Sans Mono', monospace; display: inline-block; `+background+`">`+code+`</pre>`)))
		require.Contains(t, scanned(t, browser.screenshot(screen)), "secret="+seed[1]+"&", background)
	}
}
