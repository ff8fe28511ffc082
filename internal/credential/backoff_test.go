package credential

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBackoff_warnsLateOfAKmsThatIsNotUpYetAndAtOnceOfARefusal(t *testing.T) {
	b := backoff{clock: func() time.Time { return time.Unix(0, 0) }}
	away := errors.New("connection refused")
	starting := fmt.Errorf("enrol: %w", &Refusal{Status: http.StatusServiceUnavailable, Code: "not_ready"})
	refused := fmt.Errorf("enrol: %w", &Refusal{Status: http.StatusUnauthorized, Code: "invalid_token"})
	for range 4 {
		require.Equal(t, slog.LevelDebug, b.level(away))
		require.Equal(t, slog.LevelDebug, b.level(starting))
		require.Equal(t, slog.LevelWarn, b.level(refused))
		b.note(away)
	}
	require.Equal(t, slog.LevelWarn, b.level(away))
	require.Equal(t, slog.LevelWarn, b.level(starting))
	b.note(nil)
	require.Equal(t, slog.LevelDebug, b.level(away))
}
