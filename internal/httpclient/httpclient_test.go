package httpclient

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNew_trustsTheGivenAuthoritiesAlone(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))

	trusting, err := New(ca, time.Minute, nil)
	require.NoError(t, err)
	res, err := trusting.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())

	stranger, err := New("", time.Minute, nil)
	require.NoError(t, err)
	_, err = stranger.Get(server.URL)
	require.ErrorContains(t, err, "certificate")
}

func TestNew_refusesAFileWithoutACertificate(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(empty, []byte("no certificate"), 0o600))
	_, err := New(empty, time.Minute, nil)
	require.ErrorContains(t, err, "holds no certificate")
	_, err = New(filepath.Join(t.TempDir(), "absent"), time.Minute, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestNew_followsNoRedirect(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer server.Close()
	c, err := New("", time.Minute, nil)
	require.NoError(t, err)
	res, err := c.Get(server.URL)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusFound, res.StatusCode)
}
