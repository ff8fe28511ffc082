package httpserver

import (
	"strconv"
	"strings"
	"time"
)

// PreferredWait returns how long the caller of a long poll prefers to wait, from the header Prefer (RFC 7240, section 4.3), whose form `wait=` and
// seconds the contract has checked. Without the header it is 0.
func PreferredWait(prefer *string) time.Duration {
	if prefer == nil {
		return 0
	}
	seconds, err := strconv.Atoi(strings.TrimPrefix(*prefer, "wait="))
	if err != nil { // the contract admits only numbers
		return 0
	}
	return time.Duration(seconds) * time.Second
}
