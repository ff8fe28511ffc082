package audit

import (
	"fmt"
	"time"
)

// KeptFor describes for how long events are kept: "90 days", "36 hours". A duration that is not a whole number of hours is formatted as by
// Duration.String.
func KeptFor(d time.Duration) string {
	unit, name := time.Hour, "hour"
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		unit, name = 24*time.Hour, "day"
	}
	switch {
	case d < unit || d%unit != 0:
		return d.String()
	case d == unit:
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", d/unit, name)
}
