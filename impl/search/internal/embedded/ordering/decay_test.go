package ordering

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// A nearer number never has a lower score, none has a higher score than the origin, and at the scale's distance the score is the rate.
func TestDecay_fallsFromTheOrigin(t *testing.T) {
	s, err := schema.Parse([]byte(`{"name":"c","fields":[{"name":"n","type":"int64"},{"name":"x","type":"float"}]}`), 10)
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		origin, scale := rapid.Int64().Draw(t, "origin"), rapid.Int64Range(1, math.MaxInt64).Draw(t, "scale")
		rate, offset := rapid.Float64Range(0, 1).Draw(t, "rate"), rapid.Int64Range(0, 100).Draw(t, "offset")
		function := rapid.SampledFrom([]string{"gauss", "linear", "exp", "diff"}).Draw(t, "function")
		keys, err := Parse(fmt.Sprintf("n(origin: %d, func: %s, scale: %d, offset: %d, decay: %v):desc", origin, function, scale, offset, rate), s)
		require.NoError(t, err)
		d := keys[0].Decay
		weigh := func(n int64) float64 {
			w, ok := d.Weigh(schema.Value{Ints: []int64{n}})
			require.True(t, ok)
			require.False(t, math.IsNaN(w))
			if function == "diff" {
				return -w
			}
			require.True(t, w >= 0 && w <= 1, w)
			return w
		}
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64().Draw(t, "b")
		if apart(a, origin) > apart(b, origin) {
			a, b = b, a
		}
		require.GreaterOrEqual(t, weigh(a), weigh(b))
		require.GreaterOrEqual(t, weigh(origin), weigh(a))
		if at := origin + scale + offset; function != "diff" && at > origin && scale < 1<<50 && origin > -1<<50 && origin < 1<<50 {
			require.InDelta(t, rate, weigh(at), 1e-6)
		}
	})
	_, ok := (&Decay{Func: "diff"}).Weigh(schema.Value{})
	require.False(t, ok, "what has no number has no score")
}
