package httpserver

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// At every position, a byte gets the same verdict as in a byte-by-byte check.
func TestHasControl_findsEveryControlCharacterWhereverItStands(t *testing.T) {
	for _, filler := range []byte{'a', '~', 0x80, 0xff, '\t', ' '} {
		for length := 1; length <= 24; length++ {
			for at := range length {
				for c := range 256 {
					value := bytes.Repeat([]byte{filler}, length)
					value[at] = byte(c)
					want := c < ' ' && c != '\t' || c == 0x7f
					require.Equal(t, want, hasControl(value), "%q", value)
				}
			}
		}
	}
	require.False(t, hasControl(nil))
}
