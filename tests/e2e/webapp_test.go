package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
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
)

// The web app of examples/webapp finds a running family by its issuer and signs a user in. The SDK does here what the
// page does in a browser.
func TestWebapp_signsInAtAFamily(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "webapp")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = "../../examples/webapp"
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	family := house(t)
	admin := family.admin

	address := "http://127.0.0.1:" + freePort(t)
	made, err := admin.KMS.RegisterClient(t.Context(), kms.ClientCreate{
		Name: "A web app", Type: kms.ClientCreateTypeConfidential, RedirectUris: []string{address + "/callback"}, PostLogoutRedirectUris: &[]string{address + "/"},
		Trusted: fountain.Ptr(true),
	})
	require.NoError(t, err)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte(*made.ClientSecret+"\n"), 0o600))
	app := exec.Command(binary, "-addr", address[len("http://"):], "-issuer", family.url, "-client", made.Client.ID, "-secret-file", secret)
	app.Stdout, app.Stderr = os.Stderr, os.Stderr
	require.NoError(t, app.Start())
	t.Cleanup(func() {
		require.NoError(t, app.Process.Signal(syscall.SIGTERM))
		require.NoError(t, app.Wait(), "it ends by itself when it is told to")
	})

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var answer *http.Response
	require.Eventually(t, func() bool {
		answer, err = browser.Get(address + "/login")
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, answer.Body.Close())
	at, err := answer.Location()
	require.NoError(t, err)
	require.Equal(t, family.url+"/kms/v1/oauth2/authorize", at.Scheme+"://"+at.Host+at.Path)
	shown, err := http.Get(at.String())
	require.NoError(t, err)
	require.NoError(t, shown.Body.Close())
	require.Equal(t, http.StatusOK, shown.StatusCode, "the gateway serves the page with all that go-oidc asks")

	back, err := admin.KMS.AuthorizeClient(t.Context(), kms.AuthorizationAnswer{Request: requestIn(at.Query())})
	require.NoError(t, err)
	answer, err = browser.Get(*back.Redirect)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusSeeOther, answer.StatusCode)
	require.Contains(t, bodyOf(t, browser, address+"/"), "Hello, ada")

	answer, err = browser.Post(address+"/logout", "", nil)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	at, err = answer.Location()
	require.NoError(t, err)
	require.Equal(t, family.url+"/kms/v1/oauth2/logout", at.Scheme+"://"+at.Host+at.Path)
	ended, err := admin.KMS.EndSession(t.Context(), kms.SignOut{
		IDTokenHint: at.Query().Get("id_token_hint"), PostLogoutRedirectURI: fountain.Ptr(at.Query().Get("post_logout_redirect_uri")),
	})
	require.NoError(t, err)
	require.Equal(t, address+"/", *ended.Redirect)
	require.Contains(t, bodyOf(t, browser, *ended.Redirect), "Sign in")
	if family.process != nil {
		family.process.Stop()
	}
}

// requestIn returns what the authorization page reads from its address.
func requestIn(query url.Values) kms.AuthorizationRequest {
	one := func(name string) *string {
		if !query.Has(name) {
			return nil
		}
		return fountain.Ptr(query.Get(name))
	}
	return kms.AuthorizationRequest{
		ResponseType: one("response_type"), ClientID: one("client_id"), RedirectURI: one("redirect_uri"), Scope: one("scope"), State: one("state"), Nonce: one("nonce"),
		CodeChallenge: one("code_challenge"), CodeChallengeMethod: one("code_challenge_method"),
	}
}

func bodyOf(t *testing.T, c *http.Client, address string) string {
	t.Helper()
	answer, err := c.Get(address)
	require.NoError(t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(raw)
}
