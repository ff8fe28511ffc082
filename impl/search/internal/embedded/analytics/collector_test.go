package analytics

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
)

func TestCollector_countsAQueryAfterAPauseAndNotWhatIsTypedOn(t *testing.T) {
	now := clock.NewFake(time.Unix(1_700_000_000, 0))
	c := New(now)
	for _, typed := range []string{"f", "fo", "foo"} {
		c.Typed("me", "plays", typed, []string{"popular"})
		now.Advance(Pause - time.Millisecond)
	}
	queries, _, _ := c.Take()
	require.Empty(t, queries, "it may still be typed on")
	now.Advance(time.Millisecond)
	queries, _, _ = c.Take()
	require.Equal(t, Counts{"popular": {"foo": 1}}, queries)
	queries, _, _ = c.Take()
	require.Empty(t, queries, "a query counts once")

	c.Typed("me", "plays", "bar", []string{"popular"})
	c.Typed("you", "plays", "bar", []string{"popular"})
	c.Typed("me", "shop", "bar", []string{"other"})
	now.Advance(Pause)
	c.Typed("me", "plays", "barn", nil) // which no rule counts
	now.Advance(Pause)
	queries, _, _ = c.Take()
	require.Equal(t, Counts{"popular": {"bar": 2}, "other": {"bar": 1}}, queries)
}

func TestCollector_leavesOutWhatIsNoQuery(t *testing.T) {
	c := New(clock.NewFake(time.Unix(1_700_000_000, 0)))
	for _, text := range []string{"", "*", strings.Repeat("x", maxQueryBytes+1)} {
		c.Counted(text, []string{"r"})
	}
	queries, _, _ := c.Take()
	require.Empty(t, queries["r"])
}

// Neither a long query nor a long user name is held in memory, nor the large text of which a short one was a slice.
func TestCollector_holdsNoLongTexts(t *testing.T) {
	now := clock.NewFake(time.Unix(1_700_000_000, 0))
	c := New(now)
	c.Typed("me", "plays", "short", []string{"r"})
	c.Typed("me", "plays", strings.Repeat("x", maxQueryBytes+1), []string{"r"})
	large := strings.Repeat("y", 1<<20)
	c.Typed(large, "plays", large[:3], []string{"r"})
	for who, q := range c.waiting {
		require.LessOrEqual(t, len(who.user), maxUserBytes)
		require.LessOrEqual(t, len(q.text), maxQueryBytes)
		require.False(t, q.text != "" && unsafe.StringData(q.text) == unsafe.StringData(large))
		require.False(t, unsafe.StringData(large) == unsafe.StringData(who.user))
	}
	now.Advance(Pause)
	queries, _, _ := c.Take()
	require.Equal(t, Counts{"r": {"yyy": 1}}, queries)
}

// However many users and words there are, memory is limited, and the number of uncounted queries is reported.
func TestCollector_holdsNoMoreThanItMay(t *testing.T) {
	now := clock.NewFake(time.Unix(1_700_000_000, 0))
	c := New(now)
	for i := range maxWaiting + 7 {
		c.Typed(fmt.Sprint(i), "plays", "foo", []string{"r"})
	}
	require.Len(t, c.waiting, maxWaiting)
	now.Advance(Pause)
	c.Typed("one more", "plays", "foo", []string{"r"})
	require.Len(t, c.waiting, 1, "there is room again")
	for i := range maxCounted + 5 {
		c.Event("clicks", fmt.Sprint(i), 2)
	}
	queries, documents, lost := c.Take()
	require.Equal(t, Counts{"r": {"foo": maxWaiting}}, queries)
	require.Len(t, documents["clicks"], maxCounted-1)
	require.EqualValues(t, 7+6, lost)
}
