package totp

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestComputer_equalsTheLibrary compares the codes of computer with those of the library.
func TestComputer_equalsTheLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 4226))
	for _, algorithm := range []Algorithm{SHA1, SHA256, SHA512} {
		for _, digits := range []int{6, 8} {
			p := Parameters{Algorithm: algorithm, Digits: digits, Period: 30}
			for range 200 {
				seed := make([]byte, 1+random.IntN(200)) // shorter and longer than a block of the hash
				for i := range seed {
					seed[i] = byte(random.Uint32())
				}
				c, err := newComputer(seed, p)
				require.NoError(t, err)
				for range 3 {
					step := random.Int64() >> random.IntN(63)
					want, err := Code(seed, p, step)
					require.NoError(t, err)
					require.Equal(t, want, string(c.code(step)), "%s, %d digits, step %d", algorithm, digits, step)
				}
			}
		}
	}
}

func TestComputer_refusesWhatCodeRefuses(t *testing.T) {
	_, err := newComputer(nil, Default)
	require.Error(t, err)
	_, err = newComputer([]byte("seed"), Parameters{Algorithm: "MD5", Digits: 6, Period: 30})
	require.Error(t, err)
}
