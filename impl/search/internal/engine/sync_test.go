package engine

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
)

type noKeys struct{}

func (noKeys) Refresh(context.Context) error { return nil }

// IDs that have a meaning in a filter are not written into one: such a document is deleted by its path.
func TestSync_deletesIDsThatFiltersMisreadByTheirPaths(t *testing.T) {
	var asked []string
	client, err := tsclient.New("http://engine", tsclient.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.Path+" "+r.URL.Query().Get("filter_by"))
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/collections/c/documents/*" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(`{"num_deleted":2}`))
	})), func() string { return "k" }, tsclient.Deadlines{})
	require.NoError(t, err)
	outcomes, err := New(client, noKeys{}).Sync(t.Context(), "c", []Item{{ID: "a"}, {ID: "x:[(1"}, {ID: "*"}, {ID: `x\`}, {ID: "y`"}, {ID: "b"}})
	require.NoError(t, err)
	require.Equal(t, make([]Outcome, 6), outcomes)
	require.ElementsMatch(t, []string{
		"DELETE /collections/c/documents/x:[(1 ", "DELETE /collections/c/documents/* ", `DELETE /collections/c/documents/x\ `, "DELETE /collections/c/documents/y` ",
		"DELETE /collections/c/documents id:=[`a`,`b`]",
	}, asked)
}
