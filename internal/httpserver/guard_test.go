package httpserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadAll_takesABodyOnlyWhole(t *testing.T) {
	read := func(body string, announced int64) (string, error) {
		r := httptest.NewRequest(http.MethodPost, "/", io.NopCloser(strings.NewReader(body)))
		r.ContentLength = announced
		got, err := readAll(httptest.NewRecorder(), r, 8<<10)
		return string(got), err
	}
	large := strings.Repeat("x", smallBody+1)
	for _, body := range []string{"{}", large[1:], large} {
		got, err := read(body, int64(len(body)))
		require.NoError(t, err)
		require.Equal(t, body, got)
		got, err = read(body, -1)
		require.NoError(t, err, "chunked")
		require.Equal(t, body, got)
	}
	_, err := read("{}", 3)
	require.Error(t, err, "it ended too early")
	_, err = read("{}", 1)
	require.Error(t, err, "it goes on")
	_, err = read(strings.Repeat("x", 8<<10+1), -1)
	var tooLarge *http.MaxBytesError
	require.ErrorAs(t, err, &tooLarge)
}
