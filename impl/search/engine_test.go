package search

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEngine_isToldToAdministratorsAndServices(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		told := w.must(t, 200, w.someone(t), "GET", "/engine", "")
		body := told.JSON(t)
		require.Equal(t, "embedded", body["mode"])
		require.NotEmpty(t, body["version"])
		require.EqualValues(t, 1, body["keyVersion"])
		require.Contains(t, body["unsupported"], "* /analytics/{name}")
		require.Contains(t, body["unsupported"], "reference")
		limits := body["limits"].(map[string]any)
		require.Equal(t, []any{5000.0, 50.0, 1000000.0, 1048576.0}, []any{limits["syncItems"], limits["searches"], limits["documents"], limits["documentBytes"]})
		require.NotContains(t, string(told.Body), w.kms.secret("search.typesense"))
		w.must(t, 200, w.service(t, press, "globe"), "GET", "/engine", "")
		refused(t, w.call(t, w.user(t, ada, "", "editor"), "GET", "/engine", ""), 403, "insufficient_role")
	})
}

func TestEngine_elsewhereHasNoLimitsOfOurs(t *testing.T) {
	w, engine := typesense(t)
	body := w.must(t, 200, w.someone(t), "GET", "/engine", "").JSON(t)
	require.NotContains(t, body, "keyVersion", "the key is in a file")
	require.Empty(t, body["unsupported"])
	require.NotContains(t, body["limits"], "documents")
	engine.failing(func(r *http.Request) int {
		if r.URL.Path == "/debug" {
			return 503
		}
		return 0
	})
	refused(t, w.call(t, w.someone(t), "GET", "/engine", ""), 503, "engine_unavailable")
}
