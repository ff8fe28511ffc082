package audit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
)

func TestKeptFor_saysDaysAndHours(t *testing.T) {
	for d, want := range map[time.Duration]string{
		90 * 24 * time.Hour: "90 days", 24 * time.Hour: "1 day", 36 * time.Hour: "36 hours", time.Hour: "1 hour", 90 * time.Minute: "1h30m0s", time.Millisecond: "1ms",
	} {
		require.Equal(t, want, audit.KeptFor(d))
	}
}
