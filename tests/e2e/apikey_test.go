package e2e

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/tests/harness"
)

// An API key is taken as the bearer token at the gateway, by the services that say so, and ends there as soon as it is revoked.
func TestAPIKey_isTakenByTheGatewayUntilItIsRevoked(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	c := p.Bootstrap(dir, "ada", "correct horse battery staple")
	key, err := c.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "program", Scopes: []string{"elements:read", "elements:write"}})
	require.NoError(t, err)
	limited, err := c.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "limited", Scopes: []string{"elements:read"}, RateLimit: &kms.KeyRateLimit{Limit: 3, WindowSeconds: 3600}})
	require.NoError(t, err)

	const elements = "/sequence/v1/scopes/play/line/elements"
	require.Equal(t, 201, call(t, "POST", p.URL+elements, key.Key, `{"data":{"text":"Who's there?"}}`))
	require.Equal(t, 200, call(t, "GET", p.URL+elements, key.Key, ""))
	require.Equal(t, 403, call(t, "POST", p.URL+elements, limited.Key, `{"data":{}}`), "the key lacks the scope; its use counts")
	require.Equal(t, 200, call(t, "GET", p.URL+elements, limited.Key, ""))
	require.Equal(t, 200, call(t, "GET", p.URL+elements, limited.Key, ""))
	require.Equal(t, 429, call(t, "GET", p.URL+elements, limited.Key, ""), "each use of a limited key counts")

	require.Equal(t, 401, call(t, "GET", p.URL+"/kms/v1/keys", key.Key, ""), "the kms takes tokens alone")
	require.Equal(t, 401, call(t, "GET", p.Services()["sequence"]+elements, key.Key, ""), "a service takes tokens alone")

	_, err = c.KMS.RevokeAPIKey(ctx, key.APIKey.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return call(t, "GET", p.URL+elements, key.Key, "") == 401 }, 5*time.Second, 10*time.Millisecond)
	require.NotContains(t, p.Output(), key.Key)
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
