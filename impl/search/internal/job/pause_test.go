package job

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPause_doublesUpToAMinute(t *testing.T) {
	for attempts, want := range map[int64]time.Duration{0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 6: time.Minute, 1 << 40: time.Minute} {
		require.Equal(t, want, pause(attempts), attempts)
	}
}
