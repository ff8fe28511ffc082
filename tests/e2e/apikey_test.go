package e2e

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

// The gateway accepts an API key as a bearer token for the services that declare so, and refuses it as soon as it is
// revoked.
func TestAPIKey_isTakenByTheGatewayUntilItIsRevoked(t *testing.T) {
	ctx := context.Background()
	at := house(t)
	c := at.admin
	key, err := c.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "program", Scopes: []string{"elements:read", "elements:write"}})
	require.NoError(t, err)
	limited, err := c.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "limited", Scopes: []string{"elements:read"}, RateLimit: &kms.KeyRateLimit{Limit: 3, WindowSeconds: 3600}})
	require.NoError(t, err)

	const elements = "/sequence/v1/scopes/play/line/elements"
	require.Equal(t, 201, call(t, "POST", at.url+elements, key.Key, `{"data":{"text":"Who's there?"}}`))
	require.Equal(t, 200, call(t, "GET", at.url+elements, key.Key, ""))
	require.Equal(t, 403, call(t, "POST", at.url+elements, limited.Key, `{"data":{}}`), "the key lacks the scope; its use counts")
	require.Equal(t, 200, call(t, "GET", at.url+elements, limited.Key, ""))
	require.Equal(t, 200, call(t, "GET", at.url+elements, limited.Key, ""))
	require.Equal(t, 429, call(t, "GET", at.url+elements, limited.Key, ""), "each use of a limited key counts")

	require.Equal(t, 401, call(t, "GET", at.url+"/kms/v1/keys", key.Key, ""), "the kms takes tokens alone")
	if at.process != nil {
		require.Equal(t, 401, call(t, "GET", at.process.Services()["sequence"]+elements, key.Key, ""), "a service takes tokens alone")
	}

	_, err = c.KMS.RevokeAPIKey(ctx, key.APIKey.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return call(t, "GET", at.url+elements, key.Key, "") == 401 }, 5*time.Second, 10*time.Millisecond)
	if at.process != nil { // whoever runs a given family checks its log
		require.NotContains(t, at.process.Output(), key.Key)
	}
}

// place is a family: a process that the test has started, or the given one.
type place struct {
	url     string
	admin   *fountain.Client
	process *harness.Process // nil for a given family
}

func house(t *testing.T) place {
	t.Helper()
	if harness.IsGiven() {
		f := harness.Start(t)
		return place{url: f.Info.GatewayURL, admin: f.Admin()}
	}
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	return place{url: p.URL, admin: p.Bootstrap(dir, harness.Username, "correct horse battery staple"), process: p}
}

// call sends a request as a program without an SDK does, and returns the status.
func call(t *testing.T, method, url, bearer, body string) int {
	req, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+bearer)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}
