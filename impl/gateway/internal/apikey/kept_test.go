package apikey

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A flood of invented keys that are refused evicts neither the tokens of valid keys nor what is known of keys with a rate limit, and uses bounded
// memory.
func TestKept_losesNothingToAFloodOfRefusedKeys(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	var k kept
	good, counted := trade{id: "key_a", text: "a", audience: "sequence"}, trade{id: "key_b", text: "b", audience: "sequence"}
	k.put(good, outcome{token: "t", life: time.Hour}, now)
	k.put(counted, outcome{token: "u", counted: true, life: time.Hour}, now)
	for i := range 4 * maxKept {
		k.put(trade{text: fmt.Sprint(i)}, outcome{refused: errors.New("no"), life: time.Hour}, now)
	}
	result, known := k.get(good, now)
	require.True(t, known)
	require.Equal(t, "t", result.token)
	require.True(t, k.counted(counted))
	require.LessOrEqual(t, len(k.entries)+len(k.refused), maxKept+maxRefused)
}

// The kms's last decision on a key is the one that applies.
func TestKept_holdsTheLastOutcomeOfAKey(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	var k kept
	key := trade{id: "key_a", text: "a", audience: "sequence"}
	no := errors.New("no")
	k.put(key, outcome{token: "t", life: time.Hour}, now)
	k.put(key, outcome{refused: no, life: time.Hour}, now)
	result, known := k.get(key, now)
	require.True(t, known)
	require.Equal(t, no, result.refused)
	require.False(t, k.drop(key), "there is no token to forget")
	k.put(key, outcome{token: "t", life: time.Hour}, now)
	result, _ = k.get(key, now)
	require.NoError(t, result.refused)
	_, known = k.get(trade{id: "key_a", text: "a", audience: "kms"}, now)
	require.False(t, known, "each service has its own")
}
