package fountain_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
)

func TestRawDo_sendsTheTokenToNoOtherHost(t *testing.T) {
	f := newFake(t)
	f.on("GET "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusNoContent) })
	var stolen []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stolen = append(stolen, r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	source := fountain.TokenSourceFunc(func(context.Context, string) (string, error) { return "at", nil })
	raw := f.client(t, fountain.WithTokenSource(source)).Raw()
	get := func(url string, headers ...string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return raw.Do("sequence", req)
	}
	for _, url := range []string{elsewhere.URL + elementsPath, strings.Replace(f.URL, "http:", "https:", 1) + elementsPath} {
		_, err := get(url)
		require.ErrorContains(t, err, "is not the address of sequence")
	}
	require.Empty(t, stolen)

	resp, err := get(elsewhere.URL, "Authorization", "Bearer of-its-own")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, []string{"Bearer of-its-own"}, stolen, "what the caller sets is the caller's to send")
	resp, err = get(raw.URL("sequence", "/scopes/hamlet/spokenWord/elements"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "Bearer at", f.requests(elementsPath)[0].header.Get("Authorization"))
}
