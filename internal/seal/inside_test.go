package seal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Forge returns another value of a share, with a checksum that is right.
func Forge(t *testing.T, text []byte) []byte {
	t.Helper()
	s, err := parseShare("share", text)
	require.NoError(t, err)
	s.value[0] ^= 1
	return []byte(s.text())
}
