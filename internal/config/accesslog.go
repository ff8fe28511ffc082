package config

import (
	"errors"
	"strconv"
	"strings"
)

// AccessLog selects the successful requests (2xx and 3xx) that are written to the access log; all others are always written. The zero value selects
// all. As a setting it is "all", "sample:" with a share from 0 to 1, or "failures".
type AccessLog struct{ left float64 } // the share of successful requests that is not logged

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

// Keeps reports whether a successful request is logged, given a random number in [0, 1).
func (a AccessLog) Keeps(random float64) bool { return random >= a.left }
