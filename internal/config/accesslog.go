package config

import (
	"errors"
	"strconv"
	"strings"
)

// AccessLog says which of the requests that succeeded (2xx and 3xx) have a line in the access log; all others always have one. The zero
// value is all of them. As a setting it is "all", "sample:" with a share from 0 to 1, or "failures".
type AccessLog struct{ left float64 } // the share that has no line

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *AccessLog) UnmarshalText(text []byte) error {
	switch kind, share, _ := strings.Cut(string(text), ":"); kind {
	case "all":
		a.left = 0
	case "failures":
		a.left = 1
	case "sample":
		p, err := strconv.ParseFloat(share, 64)
		if err != nil || !(p >= 0 && p <= 1) {
			return errors.New("the share of a sample is a number from 0 to 1")
		}
		a.left = 1 - p
	default:
		return errors.New("must be all, sample:SHARE or failures")
	}
	return nil
}

// Keeps reports whether a request that succeeded has a line, by a random number of [0, 1).
func (a AccessLog) Keeps(random float64) bool { return random >= a.left }
