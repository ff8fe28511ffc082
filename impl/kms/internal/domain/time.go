package domain

import (
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

// Now returns the clock's time truncated to microseconds, the precision of the database.
func Now(c clock.Clock) time.Time { return c.Now().Truncate(time.Microsecond) }
