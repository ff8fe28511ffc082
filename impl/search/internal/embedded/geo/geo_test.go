package geo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestArea_holdsWhatLiesInIt(t *testing.T) {
	paris, versailles, oslo := Point{48.8566, 2.3522}, Point{48.8049, 2.1204}, Point{59.9139, 10.7522}
	require.InDelta(t, 17_900, paris.Distance(versailles), 500)
	require.InDelta(t, 1_343_000, paris.Distance(oslo), 5_000)
	around := Area{Center: paris, Radius: 20_000}
	require.True(t, around.Holds(versailles))
	require.False(t, around.Holds(oslo))
	square := Area{Corners: []Point{{48, 2}, {48, 3}, {49, 3}, {49, 2}}}
	require.True(t, square.Holds(paris))
	require.False(t, square.Holds(oslo))
	for _, wrong := range []string{"(1)", "(1,2)", "(1,2,3)", "(91,2,3 km)", "(1,2,3 m)", "(1,2,3,4)", "(1,2,x km)", "1,2,3 km", "(a,b,c,d,e,f)"} {
		_, ok := ParseArea(wrong)
		require.False(t, ok, wrong)
	}
}
