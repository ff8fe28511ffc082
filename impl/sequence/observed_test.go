package sequence

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/servicetest"
	database "github.com/fountainai/fountain/internal/store"
)

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m, word)) }

// guarded returns the operations that require a token, each with a path.
func guarded(t testing.TB) map[*contract.Operation]string {
	at := strings.NewReplacer("/sequence/v1", "", "{scope}", "hamlet", "{elementType}", "spokenWord", "{elementId}", "a", "{version}", "1")
	out := map[*contract.Operation]string{}
	for _, op := range servicetest.Contract(t, word).Operations {
		if !op.Public {
			path := at.Replace(op.Path)
			require.NotContains(t, path, "{", op.ID)
			out[op] = path
		}
	}
	require.Greater(t, len(out), 20)
	return out
}

func TestEveryOperation_refusesStrangers(t *testing.T) {
	f := newFamily(t)
	i := f.start(t, database.Config{Dir: t.TempDir()})
	stranger := caller{subject: "usr_x", kind: auth.KindUser, scopes: "other:read", roles: []string{"admin"}, acr: contract.ACRSecondFactor}
	for op, path := range guarded(t) {
		for token, want := range map[string]int{"": 401, "x.y.z": 401, f.token(t, stranger): 403} {
			r := i.send(t, token, op.Method, path, nil)
			require.Equal(t, want, r.status, "%s: %s", op.ID, r.body)
		}
	}
	require.Equal(t, 404, i.do(t, reader, http.MethodGet, "/scopes/hamlet", nil).status, "nothing was made")
}

// notReady checks that every operation answers that the service is not ready.
func (i *instance) notReady(t testing.TB) {
	for op, path := range guarded(t) {
		r := i.do(t, steppedAdmin, op.Method, path, nil)
		require.Equal(t, 503, r.status, "%s: %s", op.ID, r.body)
		code, _ := r.problem(t)
		require.Equal(t, "not_ready", code, op.ID)
		require.NotEmpty(t, r.header.Get("Retry-After"), op.ID)
	}
}

func TestCreateVersion_refusesDataThatAreNoObject(t *testing.T) {
	i := newFamily(t).start(t, database.Config{Dir: t.TempDir()})
	i.create(t, linesPath, `{"id":"a","data":{}}`)
	for _, body := range []string{`{}`, `{"data":5}`, `{"data":[]}`, `{"data":{},"other":1}`} {
		require.Equal(t, 422, i.do(t, editor, http.MethodPost, linesPath+"/a/versions", body, "If-Match", `"1"`).status, body)
	}
	require.Equal(t, 404, i.do(t, reader, http.MethodGet, linesPath+"/a/versions/2", nil).status)
}
