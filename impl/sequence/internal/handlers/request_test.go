package handlers

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// Stored fingerprints are made from this form, so it must stay: a repeat after an update must find the answer that an earlier release has stored.
func TestTarget_isThatOfReleasesBefore(t *testing.T) {
	r := httptest.NewRequest("POST", "/sequence/v1/a%20b", nil)
	require.Equal(t, "/sequence/v1/a%20b?\n", target(r))
	r.Header.Set("If-Match", `"7"`)
	require.Equal(t, "/sequence/v1/a%20b?\n\"7\"", target(r))
}
