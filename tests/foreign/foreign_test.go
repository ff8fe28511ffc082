// Package foreign proves that clients of others can use the kms from its metadata alone (RFC 8414): golang.org/x/oauth2 and lestrrat-go/jwx here,
// openid-client, oauth4webapi and jose in client.mjs. It is a module of its own, so that the product does not depend on them. `make foreign` runs it.
package foreign

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

const password = "a quiet harbour at dawn"

// family is a running one with a user and a key of theirs.
type family struct {
	url        string
	id, key    string
	metadata   metadata
	refreshing func() string // signs in, and returns a refresh token
}

type metadata struct {
	Issuer   string `json:"issuer"`
	TokenURL string `json:"token_endpoint"`
	JWKSURL  string `json:"jwks_uri"`
}

func start(t *testing.T) family {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	t.Cleanup(p.Stop)
	c := p.Bootstrap(dir, "ada", password)
	_, err := c.Sequence.CreateElement(t.Context(), "play", "scene", sequence.ElementCreate{Data: json.RawMessage(`{"title":"here"}`)})
	require.NoError(t, err)
	made, err := c.KMS.CreateAPIKey(t.Context(), kms.APIKeyCreate{Name: "foreign", Scopes: []string{"elements:read"}})
	require.NoError(t, err)
	f := family{url: p.URL, id: made.APIKey.ID, key: made.Key}
	answer, err := http.Get(p.URL + "/.well-known/oauth-authorization-server")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&f.metadata))
	f.refreshing = func() string {
		tokens, err := c.KMS.LoginUser(t.Context(), kms.Login{Username: "ada", Password: password}, fountain.WithoutAuth())
		require.NoError(t, err)
		return *tokens.RefreshToken
	}
	return f
}

func TestForeign_clientsOfGo(t *testing.T) {
	f := start(t)
	grant := clientcredentials.Config{ClientID: f.id, ClientSecret: f.key, TokenURL: f.metadata.TokenURL, EndpointParams: map[string][]string{"resource": {"sequence"}}}
	answer, err := grant.Client(t.Context()).Get(f.url + "/sequence/v1/scopes/play/scene/elements")
	require.NoError(t, err)
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, errors.Join(err, answer.Body.Close()))
	require.Equal(t, http.StatusOK, answer.StatusCode, string(body))

	token, err := grant.Token(t.Context())
	require.NoError(t, err)
	keys, err := jwk.Fetch(t.Context(), f.metadata.JWKSURL)
	require.NoError(t, err)
	options := []jwt.ParseOption{jwt.WithKeySet(keys, jws.WithInferAlgorithmFromKey(true)), jwt.WithIssuer(f.metadata.Issuer), jwt.WithValidate(true)}
	verified, err := jwt.Parse([]byte(token.AccessToken), append(options, jwt.WithAudience("sequence"))...)
	require.NoError(t, err)
	var client string
	require.NoError(t, verified.Get("client_id", &client))
	require.Equal(t, f.id, client)
	_, err = jwt.Parse([]byte(token.AccessToken), append(options, jwt.WithAudience("search"))...)
	require.Error(t, err)

	first := f.refreshing()
	person := oauth2.Config{ClientID: "fountain", Endpoint: oauth2.Endpoint{TokenURL: f.metadata.TokenURL, AuthStyle: oauth2.AuthStyleInParams}}
	renewed, err := person.TokenSource(t.Context(), &oauth2.Token{RefreshToken: first, Expiry: time.Now().Add(-time.Hour)}).Token()
	require.NoError(t, err)
	require.NotEqual(t, first, renewed.RefreshToken)
	_, err = person.TokenSource(t.Context(), &oauth2.Token{RefreshToken: "rt_nobody", Expiry: time.Now().Add(-time.Hour)}).Token()
	var refused *oauth2.RetrieveError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "invalid_grant", refused.ErrorCode)
}

func TestForeign_clientsOfNode(t *testing.T) {
	f := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "client.mjs")
	node.Env = append(os.Environ(), "ISSUER="+f.metadata.Issuer, "KEY_ID="+f.id, "KEY="+f.key, "REFRESH_TOKEN="+f.refreshing(), "REFRESH_TOKEN_2="+f.refreshing())
	node.Stderr = os.Stderr
	raw, err := node.Output()
	require.NoError(t, err)
	var done map[string]any
	require.NoError(t, json.Unmarshal(raw, &done))
	for _, library := range []string{"openidClient", "oauth4webapi", "jose"} {
		require.Equal(t, true, done[library], library)
	}
}
