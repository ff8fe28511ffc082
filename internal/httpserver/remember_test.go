package httpserver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The forms are stored. Earlier releases used the same ones, so that a repeat after an update finds its stored answer.
func TestRemember_namesARequestAsBefore(t *testing.T) {
	for _, c := range []struct {
		url, match, target, bare string
	}{
		{"/search/v1/a%20b", "", "/search/v1/a%20b?", "/search/v1/a%20b"},
		{"/search/v1/x?y=1%20", "", "/search/v1/x?y=1%20", "/search/v1/x?y=1%20"},
		{"/search/v1/x", `"7"`, "/search/v1/x?\n\"7\"", "/search/v1/x\n\"7\""},
	} {
		for want, form := range map[string]func(*http.Request) string{c.target: Target, c.bare: BareTarget} {
			if c.target == c.bare {
				require.Equal(t, want, Target(httptest.NewRequest("POST", c.url, nil)))
			}
			value, seen := "k", false
			r := httptest.NewRequest("POST", c.url, strings.NewReader("body"))
			r.Header.Set("Idempotency-Key", value)
			if c.match != "" {
				r.Header.Set("If-Match", c.match)
			}
			Remember(form)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				seen = true
				key := KeyOf(r.Context(), "usr_1", "createThing", &value)
				require.Equal(t, want, key.Path)
				require.Equal(t, "body", string(key.Body))
			})).ServeHTTP(httptest.NewRecorder(), r)
			require.True(t, seen)
		}
	}
}
