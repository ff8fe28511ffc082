package kms_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/seal"
)

func keygen(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, seal.CreateRoot(path))
}

func TestRun_firstDay(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin := h.bootstrap()
		require.Equal(t, adminName, admin.Username)
		_, err := os.Stat(filepath.Join(h.dir, "bootstrap.token"))
		require.ErrorIs(t, err, os.ErrNotExist, "the token is used up")
		tokens := h.login(adminName, adminPassword)
		me, err := h.client.GetUserWithResponse(t.Context(), admin.ID, nil, bearer(tokens.AccessToken))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, me.StatusCode(), string(me.Body))
		key := h.enrol("twofactor")
		service := h.token(key, "kms")
		dataKey, err := h.client.CreateDataKeyWithResponse(t.Context(), "twofactor", bearer(service))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, dataKey.StatusCode(), string(dataKey.Body))
		require.Len(t, dataKey.JSON201.Plaintext, 32)
		require.NoError(t, h.stop())
	})
}
