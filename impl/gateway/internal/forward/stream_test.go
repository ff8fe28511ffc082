package forward

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
)

// Each piece of a request body restarts the time of stream.idle, like a piece of the answer: a long upload with an answer after its end is not cut off. The end
// of the body does not restart it.
func TestIdle_countsPiecesOfTheRequestBody(t *testing.T) {
	op := &contract.Operation{ID: "x", Word: "sample", Method: http.MethodPost, Policy: contract.Policy{Stream: &contract.Stream{Kind: "ndjson", Idle: time.Hour}}}
	x := &httpserver.Exchange{Operation: op, Principal: &auth.Principal{}, Request: httptest.NewRequest(http.MethodPost, "/sample/v1/x", nil)}
	x.Stream = io.NopCloser(io.MultiReader(strings.NewReader("one"), strings.NewReader("two")))
	idle := watch(x)
	defer idle.end()
	out, _ := (&Forwarder{}).request(x, idle)
	for _, piece := range []string{"one", "two"} {
		require.True(t, idle.timer.Stop())
		buffer := make([]byte, 10)
		n, err := out.Stream.Read(buffer)
		require.NoError(t, err)
		require.Equal(t, piece, string(buffer[:n]))
	}
	require.True(t, idle.timer.Stop())
	_, err := out.Stream.Read(make([]byte, 10))
	require.ErrorIs(t, err, io.EOF)
	require.False(t, idle.timer.Stop(), "the service has the time from the last piece on")
}
