package schema

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestHashName_isThatOfTheLibrary(t *testing.T) {
	require.Equal(t, uint64(2762169579135187400), hashName("hello"), "std::hash<std::string>, a value that is often published")
}

func TestHashedOrder_newBucketsComeFirstAndSharedOnesStayTogether(t *testing.T) {
	require.Equal(t, []string{"h.lng", "h.lat"}, hashedOrder([]string{"h.lat", "h.lng"}))
	require.Equal(t, []string{"l.a", "o.n.b", "l.b", "o.a"}, hashedOrder([]string{"o.a", "o.n.b", "l.a", "l.b"}), "l.b and o.a share a bucket")
}

func TestHashedOrder_keepsEveryNameOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := make([]string, rapid.IntRange(0, 400).Draw(t, "names"))
		for i := range names {
			names[i] = fmt.Sprintf("%s.%d", rapid.StringN(0, 12, -1).Draw(t, "name"), i)
		}
		require.ElementsMatch(t, names, hashedOrder(names))
	})
}
