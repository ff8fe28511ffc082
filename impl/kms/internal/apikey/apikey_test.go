package apikey

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStatus_followsTheClock(t *testing.T) {
	now := time.Now()
	k := Key{ExpiresAt: now.Add(time.Minute)}
	require.Equal(t, Active, k.Status(now))
	require.Equal(t, Expired, k.Status(now.Add(time.Minute)))
	k.ReplacedBy = "key_x"
	require.Equal(t, Expiring, k.Status(now))
	require.Equal(t, Expired, k.Status(now.Add(time.Minute)))
	k.RevokedAt = now
	require.Equal(t, Revoked, k.Status(now.Add(time.Hour)))
}
