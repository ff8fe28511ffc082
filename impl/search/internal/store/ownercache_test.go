package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/owner"
)

func TestOwnerCache_keepsForASecondAndNothingThatHasChanged(t *testing.T) {
	var c ownerCache
	now := time.Unix(1_800_000_000, 0)
	of := names{{Local: "plays"}, {Local: "plays"}}
	found := []*owner.Collection{{Owner: owner.Administrators}}
	_, ok, change := c.get(of, now)
	require.False(t, ok)
	c.put(of, found, now, change)
	got, ok, _ := c.get(of, now.Add(999*time.Millisecond))
	require.True(t, ok)
	require.Equal(t, found, got)
	_, ok, _ = c.get(of, now.Add(time.Second))
	require.False(t, ok, "another process may have changed it")

	_, _, change = c.get(of, now)
	c.forget() // a change between the reading and the keeping
	c.put(of, found, now, change)
	_, ok, change = c.get(of, now)
	require.False(t, ok)

	for i := range 3 * maxOwnersKept {
		c.put(names{{Local: fmt.Sprint(i)}}, nil, now, change)
	}
	require.LessOrEqual(t, len(c.kept), maxOwnersKept)
}

// If no other process changes owners, they are read once, and again after each change.
func TestOwnerCache_keepsWhatThisProcessAloneChanges(t *testing.T) {
	var c ownerCache
	now := time.Unix(1_800_000_000, 0)
	of := names{{Local: "plays"}, {Local: "plays"}}
	_, _, change := c.get(of, now)
	c.own()
	c.put(of, nil, now, change)
	_, ok, change := c.get(of, now)
	require.False(t, ok, "what was read before may be another's")
	c.put(of, nil, now, change)
	_, ok, _ = c.get(of, now.Add(24*time.Hour))
	require.True(t, ok)
	c.forget()
	_, ok, _ = c.get(of, now)
	require.False(t, ok)
}
