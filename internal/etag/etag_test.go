package etag

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseMatch_comparesStrongly(t *testing.T) {
	for header, want := range map[string][]int64{ // of 1, 2, 10
		`"1"`: {1}, `*`: {1, 2, 10}, `"1", "2"`: {1, 2}, `"1","10"`: {1, 10}, `W/"1"`: nil, `W/"1", "2"`: {2}, `"01"`: nil, `"+1"`: nil, `"x"`: nil, `""`: nil, `"0"`: nil, `"-1"`: nil,
		`"99999999999999999999"`: nil, ``: nil, `"1-2-omitted"`: {1}, `"10-1", "1-"`: {1, 10}, `"01-1"`: nil, `W/"1-1"`: nil, `"-1-1"`: nil, `"+1-1"`: nil,
	} {
		m := ParseMatch(header)
		var got []int64
		for _, version := range []int64{1, 2, 10} {
			if m.Holds(version) {
				got = append(got, version)
			}
		}
		require.Equal(t, want, got, header)
	}
	require.False(t, Match{}.Holds(0))
	require.Equal(t, "*", ParseMatch("*").List())
	require.Equal(t, ",1,2,", ParseMatch(`"1", "2"`).List())
	require.Equal(t, ",", Match{}.List())
}

func TestNames_comparesWeakly(t *testing.T) {
	for header, want := range map[string]bool{`"a"`: true, `W/"a"`: true, `*`: true, `"b", W/"a"`: true, `"b"`: false, `a`: false, ``: false} {
		require.Equal(t, want, Names(header, `"a"`), header)
	}
	require.True(t, Names(`"a"`, `W/"a"`))
}

func TestOfState_isAnotherTagForAnotherState(t *testing.T) {
	require.Equal(t, Of(3), OfState(3))
	require.Equal(t, `"3-7-omitted"`, OfState(3, "7", "omitted"))
	require.False(t, Names(OfState(3, "7"), OfState(3, "8")))
	require.True(t, ParseMatch(OfState(3, "7")).Holds(3))
}

func TestHoldsState_comparesTheWholeTag(t *testing.T) {
	for header, want := range map[string]bool{
		`"3-7-active"`: true, `"3"`: true, `*`: true, `"3-7-omitted"`: false, `"3-8-active"`: false, `"3-7"`: false, `"2-7-active"`: false, `W/"3-7-active"`: false,
		`"1", "3-7-active"`: true, `"3-7-active,"`: false, `"3-%-active"`: false, ``: false,
	} {
		require.Equal(t, want, ParseMatch(header).HoldsState(3, "7", "active"), header)
	}
	require.Equal(t, ",3-7-active,1,", ParseMatch(`"3-7-active", "x", "1", "3-%-active"`).Tags())
	require.Equal(t, "*", ParseMatch(`*`).Tags())
	require.Equal(t, ",2,", Exactly(2).Tags())
}
