package domain

import (
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

// Now returns the clock's time in whole microseconds, as the database keeps it.
func Now(c clock.Clock) time.Time { return c.Now().Truncate(time.Microsecond) }
