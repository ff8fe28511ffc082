package seal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Forge returns a share with another value and a valid checksum.
func Forge(t *testing.T, text []byte) []byte {
	t.Helper()
	s, err := parseShare("share", text)
	require.NoError(t, err)
	s.value[0] ^= 1
	return []byte(s.text())
}
