package clock

import "time"

var started = time.Now()

// Elapsed returns for how long the process has run according to c. It is monotonic, as setting the wall clock does not change it, and may be compared
// only within this process. A Fake returns the sum of its advances. For any other Clock the machine's monotonic clock is used.
func Elapsed(c Clock) time.Duration {
	if own, ok := c.(interface{ Elapsed() time.Duration }); ok {
		return own.Elapsed()
	}
	return time.Since(started)
}
