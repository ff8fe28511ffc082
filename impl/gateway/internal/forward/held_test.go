package forward

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The held answers of one member and of all members are bounded, and returned room can be taken again.
func TestHeld_boundsTheAnswersOfEachMemberAndOfAll(t *testing.T) {
	var h held
	require.True(t, h.take("a", heldOfOne))
	require.False(t, h.take("a", 1))
	for _, member := range []string{"b", "c", "d"} {
		require.True(t, h.take(member, heldOfOne), "another has its own")
	}
	require.False(t, h.take("e", 1), "all together")
	h.give("a", heldOfOne)
	require.True(t, h.take("e", heldOfOne))
	for _, member := range []string{"b", "c", "d", "e"} {
		h.give(member, heldOfOne)
	}
	require.Empty(t, h.of)
	require.Zero(t, h.all)
}
