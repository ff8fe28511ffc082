package history

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
)

// Only what was certainly not done is refused. A call that the gateway may have sent twice, or a response that is from
// no service, leaves the outcome open.
func TestOutcome_isRefusedOnlyWhereNothingWasDone(t *testing.T) {
	for want, errs := range map[Outcome][]error{
		Acknowledged: {nil},
		Refused: {
			&fountain.Error{Status: http.StatusTooManyRequests, Code: fountain.CodeRateLimited}, &fountain.Error{Status: http.StatusPreconditionFailed, Code: fountain.CodePreconditionFailed},
		},
		Unknown: {
			errors.New("connection reset"), &fountain.Error{Status: http.StatusConflict, Code: fountain.CodeAlreadyExists}, &fountain.Error{Status: http.StatusServiceUnavailable, Code: fountain.CodeOverloaded},
			&fountain.Error{Status: http.StatusTooManyRequests}, &fountain.Error{Status: http.StatusTooManyRequests, Code: fountain.CodeQueueShareExceeded},
		},
	} {
		for _, err := range errs {
			require.Equal(t, want, outcome(err), err)
		}
	}
}
