// Package micro keeps times as the database does: in whole microseconds.
package micro

import (
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

// Now returns the clock's time without the part that the database does not keep.
func Now(c clock.Clock) time.Time { return c.Now().Truncate(time.Microsecond) }

// From returns the time of a column; zero for a column that is absent.
func From(column *int64) time.Time {
	if column == nil {
		return time.Time{}
	}
	return time.UnixMicro(*column).UTC()
}
