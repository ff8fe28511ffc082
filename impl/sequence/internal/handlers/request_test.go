package handlers

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// The form is stored: releases before had it too, and repeats across an update must meet their answers.
func TestTarget_isThatOfReleasesBefore(t *testing.T) {
	r := httptest.NewRequest("POST", "/sequence/v1/a%20b", nil)
	require.Equal(t, "/sequence/v1/a%20b?\n", target(r))
	r.Header.Set("If-Match", `"7"`)
	require.Equal(t, "/sequence/v1/a%20b?\n\"7\"", target(r))
}
