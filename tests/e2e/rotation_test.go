package e2e

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	service "github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/impl/search/searchtest"
	"github.com/fountainai/fountain/tests/harness"
)

// The kms rotates a key of an engine: the new key can search before it is current, the old one until it is ended, and
// no unknown key is ever left at the engine.
func TestRotation_ofAKeyOfAnEngine(t *testing.T) {
	const admin = "admin-key-of-the-engine"
	url := searchtest.Typesense(t, admin)
	f := harness.StartRotating(t, service.Rotators{RotationAllow: []string{strings.TrimPrefix(url, "http://")}})
	f.Bootstrap()
	c := f.Admin()
	f.EnrolTOTP(c)
	ctx, k := context.Background(), c.KMS
	call := func(method, path, key, body string) (int, string) {
		request, err := http.NewRequestWithContext(ctx, method, url+path, strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("X-TYPESENSE-API-KEY", key)
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode, string(text)
	}
	searches := func(key string) int {
		status, _ := call(http.MethodGet, "/collections/products/documents/search?q=*", key, "")
		return status
	}
	status, text := call(http.MethodPost, "/collections", admin, `{"name":"products","fields":[{"name":"title","type":"string"}]}`)
	require.Equal(t, http.StatusCreated, status, text)
	for name, value := range map[string]string{"shop.search": "none yet", "shop.engine": admin} {
		_, err := k.PutSecret(ctx, name, kms.SecretPut{Value: value}, fountain.WithIfNoneMatch())
		require.NoError(t, err)
	}
	_, err := k.PutSecretRotation(ctx, "shop.search", kms.SecretRotationPut{
		Driver: kms.SecretRotationPutDriverTypesense, URL: &url, Credential: new("shop.engine"), Collections: &[]string{"products"}, OverlapSeconds: new(int64(0)),
	})
	require.NoError(t, err)
	keys := []string{"none yet"}
	for version := int64(2); version < 5; version++ {
		_, err = k.RotateSecret(ctx, "shop.search")
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			r, err := k.GetSecretRotation(ctx, "shop.search")
			require.NoError(t, err)
			return r.State == kms.SecretRotationStateIdle && r.LastVersion != nil && *r.LastVersion == version
		}, time.Minute, 100*time.Millisecond)
		s, err := k.GetSecret(ctx, "shop.search")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, searches(s.Value))
		require.Eventually(t, func() bool { return searches(keys[len(keys)-1]) == http.StatusUnauthorized }, time.Minute, 100*time.Millisecond, "the old one is deleted")
		keys = append(keys, s.Value)
	}
	status, text = call(http.MethodGet, "/keys", admin, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, 1, strings.Count(text, "shop.search"), text)
}
