package httpserver

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

// deadlines is a connection that records its read deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = append(d.read, t)
	return nil
}

// A client without a token that sends one byte a second must not hold a slot of an operation for the operation's whole timeout.
func TestReadBody_givesSomebodyUnknownLittleTime(t *testing.T) {
	for name, c := range map[string]struct {
		public        bool
		timeout, most time.Duration
	}{
		"public":         {true, 10 * time.Second, publicReadTime},
		"public, brief":  {true, time.Second, time.Second},
		"with a subject": {false, 10 * time.Second, 10 * time.Second},
	} {
		op := &contract.Operation{Public: c.public}
		op.Policy.Timeout, op.Policy.Body.Max = c.timeout, 1024
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		began := time.Now()
		body, err := readBody(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")), op)
		require.NoError(t, err, name)
		require.Equal(t, "{}", string(body), name)
		require.Len(t, w.read, 2, name)
		require.WithinDuration(t, began.Add(c.most), w.read[0], 500*time.Millisecond, name)
		require.True(t, w.read[1].IsZero(), "%s: lifted for the handler", name)
	}
}
