package clock

import "time"

var started = time.Now()

// Elapsed returns how long the process runs by c: time that no setting of the wall clock moves, to be compared inside this process alone. A
// Fake tells how far it was advanced. A Clock that does not know stands for the machine's.
func Elapsed(c Clock) time.Duration {
	if own, ok := c.(interface{ Elapsed() time.Duration }); ok {
		return own.Elapsed()
	}
	return time.Since(started)
}
