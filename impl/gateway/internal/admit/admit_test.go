package admit

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// A request that is read completely takes a place, even if the operation also takes streams. A stream, of the request body or of the answer, takes none.
func TestAdmit_ofAnOperationThatTakesStreamsToo(t *testing.T) {
	search, err := contract.Load("search")
	require.NoError(t, err)
	for _, c := range []struct {
		operation        string
		streams, refused bool
	}{
		{"syncDocuments", false, true}, {"syncDocuments", true, false}, {"getJobFailures", false, false}, {"putDocument", false, true},
	} {
		s := New([]string{"search"}, prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nobody waits for a turn
		refused := 0
		for range 1000 {
			x := &httpserver.Exchange{Operation: search.Operation(c.operation), Request: httptest.NewRequest("POST", "/", nil).WithContext(ctx)}
			if c.streams {
				x.Stream = io.NopCloser(strings.NewReader(""))
			}
			if err := s.Admit(x); err != nil {
				require.ErrorIs(t, err, problem.Overloaded)
				refused++
			}
		}
		require.Equal(t, c.refused, refused > 0, "%s, stream: %v", c.operation, c.streams)
		require.Less(t, refused, 1000)
	}
}
