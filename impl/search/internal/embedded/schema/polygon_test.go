package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// circle returns a text of n corners around a place.
func circle(n int) string {
	var b strings.Builder
	for i := range n {
		a := 2 * math.Pi * float64(i) / float64(n)
		fmt.Fprintf(&b, ", %v, %v", math.Sin(a), math.Cos(a))
	}
	return b.String()[2:]
}

func TestCorners_aPolygonGoesAroundOnce(t *testing.T) {
	for text, want := range map[string]bool{
		"0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0": true, // the documentation's square
		"0,1, 1,1, 1,0, 0,0":                     true, // the other way
		"0,0,1,0,1,1,0,0":                        true, // closed
		"0,0, 4,0, 4,4, 2,1, 0,4":                true, // with a bay
		"0,0, 1,0, 2,0, 2,2":                     true, // a corner on a straight line
		"90,180, -90,180, -90,-180, 90,-180":     true,
		"0,0, 1,1, 1,0, 0,1":                     false, // crosses itself
		"0,0, 4,0, 4,4, 2,0, 0,4":                false, // touches itself
		"0,0, 2,0, 1,0, 1,1":                     false, // goes back over an edge
		"0,0, 1,0, 2,0":                          false, // has no inside
		"0,0, 0,0, 1,1, 1,0":                     false, // an edge without length
		"0,0, 1,0":                               false,
		"0,0, 1,0, 1,1, 0":                       false,
		"0,0, 91,0, 1,1":                         false,
		"0,0, 1,181, 1,1":                        false,
		"0,0, NaN,0, 1,1":                        false,
		"0,0, Inf,0, 1,1":                        false,
		"":                                       false,
		"a,b,c,d,e,f":                            false,
		circle(maxCorners):                       true,
		circle(maxCorners + 1):                   false,
		circle(maxCorners) + ", 0, 1":            true, // closed
		strings.Repeat("0,", 1<<20) + "0":        false,
	} {
		_, ok := corners(text)
		require.Equal(t, want, ok, "%.60s", text)
		var list any
		if d := json.NewDecoder(strings.NewReader("[" + text + "]")); true {
			d.UseNumber()
			if d.Decode(&list) != nil {
				continue
			}
		}
		_, ok = corners(list)
		require.Equal(t, want, ok, "[%.60s]", text)
	}
	for _, other := range []any{nil, true, json.Number("1"), map[string]any{}, []any{"0", "0", "1", "0", "1", "1"}, []any{[]any{}}} {
		_, ok := corners(other)
		require.False(t, ok, other)
	}
}

// FuzzCorners: parsing ends, and an accepted polygon is not too large.
func FuzzCorners(f *testing.F) {
	f.Add("0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0")
	f.Add("0,0,1e-320,0,1,1,0,1")
	f.Add(circle(20))
	f.Fuzz(func(t *testing.T, text string) {
		list, ok := corners(text)
		require.True(t, !ok || len(list) >= 3 && len(list) <= maxCorners)
	})
}
