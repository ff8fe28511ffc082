package challenge

import (
	"bytes"
	"crypto/rand"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// All codes are equally likely: values beyond the last whole multiple of the number of codes are drawn again.
func TestNewCode_isUniform(t *testing.T) {
	over := []byte{0xff, 0xff, 0xff, 0xff} // 4 294 967 295 is beyond 4 294 000 000
	code, err := newCode(bytes.NewReader(append(over, 0, 0, 0, 7)))
	require.NoError(t, err)
	require.Equal(t, "000007", code, "leading zeros are kept (T14)")
	edge := []byte{0xff, 0xf1, 0x3d, 0x7f} // 4 293 999 999, the largest that counts
	code, err = newCode(bytes.NewReader(edge))
	require.NoError(t, err)
	require.Len(t, code, 6)
	counts := [10]int{}
	for range 20_000 {
		code, err := newCode(rand.Reader)
		require.NoError(t, err)
		counts[code[0]-'0']++
	}
	for digit, n := range counts {
		require.InDelta(t, 2000, n, 300, "first digit %d", digit) // seven standard deviations
	}
}

// T17: a source of randomness that fails gives no code.
func TestNewCode_refusesShortReads(t *testing.T) {
	_, err := newCode(bytes.NewReader([]byte{1, 2}))
	require.Error(t, err)
	_, err = newCode(iotest.ErrReader(bytes.ErrTooLarge))
	require.Error(t, err)
}
