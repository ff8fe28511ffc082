package schema

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// maxCorners limits the corners of a polygon, because each edge is compared with every other one.
const maxCorners = 1000

// corner is a corner of a polygon, in degrees.
type corner struct{ lat, lng float64 }

// corners parses a polygon: a text "lat, lng, lat, lng, ...", as the documentation stores it, or a list of these numbers, as the
// documentation shows it. The corners must be in order around the polygon, in either direction, so that edges meet only their neighbours, at
// the corners (the documentation: "Incorrect ordering will result in an error"). The first corner may be repeated at the end.
func corners(raw any) (list []corner, ok bool) {
	numbers, ok := numbersOf(raw)
	if !ok || len(numbers) < 6 || len(numbers)%2 != 0 || len(numbers) > 2*(maxCorners+1) {
		return nil, false
	}
	for i := 0; i < len(numbers); i += 2 {
		c := corner{numbers[i], numbers[i+1]}
		if !(math.Abs(c.lat) <= 90 && math.Abs(c.lng) <= 180) { // refuses NaN too
			return nil, false
		}
		list = append(list, c)
	}
	if list[0] == list[len(list)-1] {
		list = list[:len(list)-1]
	}
	return list, len(list) >= 3 && len(list) <= maxCorners && simple(list)
}

// numbersOf parses comma-separated numbers, or those of a list.
func numbersOf(raw any) (numbers []float64, ok bool) {
	switch t := raw.(type) {
	case string:
		for part := range strings.SplitSeq(t, ",") {
			x, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
			if err != nil {
				return nil, false
			}
			if numbers = append(numbers, x); len(numbers) > 2*(maxCorners+1) {
				return nil, false
			}
		}
	case []any:
		if len(t) > 2*(maxCorners+1) {
			return nil, false
		}
		for _, v := range t {
			n, _ := v.(json.Number)
			x, err := n.Float64()
			if err != nil {
				return nil, false
			}
			numbers = append(numbers, x)
		}
	default:
		return nil, false
	}
	return numbers, true
}

// simple reports whether the edges of a ring meet only at its corners.
func simple(ring []corner) bool {
	n := len(ring)
	for i := range n {
		a, b, next := ring[i], ring[(i+1)%n], ring[(i+2)%n]
		if a == b || turn(a, b, next) == 0 && between(a, b, next) { // an empty edge, or one that goes back along the previous one
			return false
		}
		for j := i + 2; j < n; j++ {
			if i == 0 && j == n-1 { // adjacent edges
				continue
			}
			if meet(a, b, ring[j], ring[(j+1)%n]) {
				return false
			}
		}
	}
	return true
}

// between reports whether a and c, which are on one line with b, are on the same side of b, so that the two edges overlap.
func between(a, b, c corner) bool {
	return (a.lat-b.lat)*(c.lat-b.lat)+(a.lng-b.lng)*(c.lng-b.lng) > 0
}

// turn returns on which side of the line through a and b the corner c lies: positive or negative, or 0 if it is on the line.
func turn(a, b, c corner) int {
	v := (b.lat-a.lat)*(c.lng-a.lng) - (b.lng-a.lng)*(c.lat-a.lat)
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

// meet reports whether two edges have a point in common.
func meet(a, b, c, d corner) bool {
	if max(a.lat, b.lat) < min(c.lat, d.lat) || max(c.lat, d.lat) < min(a.lat, b.lat) || max(a.lng, b.lng) < min(c.lng, d.lng) || max(c.lng, d.lng) < min(a.lng, b.lng) {
		return false
	}
	return turn(a, b, c)*turn(a, b, d) <= 0 && turn(c, d, a)*turn(c, d, b) <= 0
}
