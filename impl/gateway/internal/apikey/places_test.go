package apikey

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlaces_boundAllAndEachNetwork(t *testing.T) {
	var p places
	taken := 0
	for n := range maxTrades {
		if p.take(fmt.Sprint(n % 3)) { // three networks can't take all
			taken++
		}
	}
	require.Equal(t, 3*maxOfNetwork, taken)
	for range maxTrades - taken {
		require.True(t, p.take("another"))
	}
	require.False(t, p.take("one more"), "all are taken")
	p.leave("0")
	require.True(t, p.take("one more"))
	for n, count := range p.of {
		for range count {
			p.leave(n)
		}
	}
	require.Zero(t, p.taken)
	require.Empty(t, p.of, "nothing is kept of those who have left")
}
