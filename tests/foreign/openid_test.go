package foreign

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// webapp is a registered client at a running family, and a person who signs in there.
type webapp struct {
	url      string
	client   *kms.ClientRegistration
	callback string
	person   *fountain.Client
}

func startWebapp(t *testing.T) webapp {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	t.Cleanup(p.Stop)
	c := p.Bootstrap(dir, "ada", password)
	w := webapp{url: p.URL, callback: "http://127.0.0.1:4999/callback", person: c}
	_, err := c.Sequence.CreateElement(t.Context(), "play", "scene", sequence.ElementCreate{Data: json.RawMessage(`{"title":"here"}`)})
	require.NoError(t, err)
	w.client, err = c.KMS.RegisterClient(t.Context(), kms.ClientCreate{
		Name: "foreign", Type: kms.ClientCreateTypeConfidential, RedirectUris: []string{w.callback}, PostLogoutRedirectUris: &[]string{w.callback},
		Scopes: &[]string{"elements:read"}, Trusted: fountain.Ptr(true),
	})
	require.NoError(t, err)
	return w
}

// goes is what the person's browser does at the authorization page: it returns the address where the app gets its answer.
func (w webapp) goes(t *testing.T, to string) *url.URL {
	t.Helper()
	at, err := url.Parse(to)
	require.NoError(t, err)
	shown, err := http.Get(to)
	require.NoError(t, err)
	require.NoError(t, shown.Body.Close())
	require.Equal(t, http.StatusOK, shown.StatusCode, "the page takes what this client asks with")
	words := map[string]string{}
	for name := range at.Query() {
		words[name] = at.Query().Get(name)
	}
	for _, passedOver := range []string{"login_hint", "resource", "display", "access_type"} {
		delete(words, passedOver) // as the page does
	}
	raw, err := json.Marshal(words)
	require.NoError(t, err)
	var request kms.AuthorizationRequest
	require.NoError(t, json.Unmarshal(raw, &request))
	answer, err := w.person.KMS.AuthorizeClient(t.Context(), kms.AuthorizationAnswer{Request: request})
	require.NoError(t, err)
	require.NotNil(t, answer.Redirect, "%+v", answer)
	back, err := url.Parse(*answer.Redirect)
	require.NoError(t, err)
	return back
}

func TestForeign_goOIDCSignsIn(t *testing.T) {
	w := startWebapp(t)
	provider, err := oidc.NewProvider(t.Context(), w.url)
	require.NoError(t, err, "by the issuer alone")
	endpoint := provider.Endpoint()
	config := oauth2.Config{
		ClientID: w.client.Client.ID, ClientSecret: *w.client.ClientSecret, Endpoint: endpoint, RedirectURL: w.callback,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess, "elements:read"},
	}
	verifier := oauth2.GenerateVerifier()
	back := w.goes(t, config.AuthCodeURL("st&te", oauth2.AccessTypeOffline, oidc.Nonce("n"), oauth2.S256ChallengeOption(verifier)))
	require.Equal(t, []string{"st&te", w.url}, []string{back.Query().Get("state"), back.Query().Get("iss")})

	_, err = config.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(oauth2.GenerateVerifier()))
	require.ErrorContains(t, err, "invalid_grant", "the verifier of another sign-in")
	tokens, err := config.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	require.NoError(t, err)
	raw, _ := tokens.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(t.Context(), raw)
	require.NoError(t, err)
	require.Equal(t, "n", id.Nonce)
	_, err = provider.Verifier(&oidc.Config{ClientID: "cli_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"}).Verify(t.Context(), raw)
	require.Error(t, err, "it is for one client alone")
	_, err = provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(t.Context(), tokens.AccessToken)
	require.Error(t, err, "an access token is no ID token")

	info, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(tokens))
	require.NoError(t, err)
	require.Equal(t, id.Subject, info.Subject)
	answer, err := config.Client(t.Context(), tokens).Get(w.url + "/sequence/v1/scopes/play/scene/elements")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode, "the app reads for the person what both may read")
	answer, err = config.Client(t.Context(), tokens).Get(w.url + "/kms/v1/users/" + id.Subject)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusForbidden, answer.StatusCode)

	renewed, err := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: tokens.RefreshToken, Expiry: time.Now().Add(-time.Hour)}).Token()
	require.NoError(t, err)
	require.NotEqual(t, tokens.RefreshToken, renewed.RefreshToken)
	_, err = config.Exchange(t.Context(), back.Query().Get("code"), oauth2.VerifierOption(verifier))
	require.ErrorContains(t, err, "invalid_grant", "a code works once")
	_, err = provider.UserInfo(t.Context(), oauth2.StaticTokenSource(renewed))
	require.Error(t, err, "and what it gave has ended")
}

// openid-client runs in a process of its own, which says where the browser is to go and is told where it came back.
func TestForeign_openidClientSignsIn(t *testing.T) {
	w := startWebapp(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "openid.mjs")
	node.Env = append(os.Environ(), "ISSUER="+w.url, "CLIENT_ID="+w.client.Client.ID, "CLIENT_SECRET="+*w.client.ClientSecret, "CALLBACK="+w.callback)
	node.Stderr = os.Stderr
	in, err := node.StdinPipe()
	require.NoError(t, err)
	out, err := node.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start())
	lines := bufio.NewScanner(out)
	done := false
	for lines.Scan() {
		if to, found := strings.CutPrefix(lines.Text(), "go "); found {
			_, err := in.Write([]byte(w.goes(t, to).String() + "\n"))
			require.NoError(t, err)
		}
		done = done || lines.Text() == "done"
	}
	require.NoError(t, node.Wait())
	require.True(t, done)
}
