package domain

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // a container may have no zones of its own
)

// Reset says when formatted numbers begin at 1 again.
type Reset string

// The resets.
const (
	ResetNever Reset = "never"
	ResetYear  Reset = "year"
	ResetMonth Reset = "month"
	ResetDay   Reset = "day"
)

// periods are how the period of a reset is written. Those of one reset sort by time.
var periods = map[Reset]string{ResetNever: "", ResetYear: "2006", ResetMonth: "2006-01", ResetDay: "2006-01-02"}

// MaxPadding bounds the digits that a format fills up to.
const MaxPadding = 18

// Format says how the formatted numbers of a group are written, and which it has given last. Such a number belongs to its element for good, whatever becomes of the element's place.
type Format struct {
	Group
	Prefix   string
	Padding  int // digits at the least, filled up with zeros
	Reset    Reset
	TimeZone string // of the periods, by its name in the IANA's database

	Period string // of the last number; "" before the first, and where nothing is reset
	Last   int64  // in its period; 0 before the first
}

// ErrFormatUsed says that a format has given numbers, and stays as it is.
var ErrFormatUsed = errors.New("number format is in use")

// ErrNoFormat says that a group has no format.
var ErrNoFormat = errors.New("no number format")

// Check returns an *InvalidItems when the format can't be one.
func (f *Format) Check() error {
	fault := func(property, rule, message string) error {
		return &InvalidItems{Faults: []ItemFault{{Property: property, Rule: rule, Message: message}}}
	}
	if _, known := periods[f.Reset]; !known {
		return fault("resets", "enum", "is none of never, year, month and day")
	}
	if f.Padding < 0 || f.Padding > MaxPadding {
		return fault("padding", "maximum", "is beyond what a number can have")
	}
	if _, err := f.location(); err != nil {
		return fault("timeZone", "enum", "is no time zone of the IANA's database")
	}
	return nil
}

// location is the time zone. Local is none: it is another one on each machine.
func (f *Format) location() (*time.Location, error) {
	if f.TimeZone == "" || f.TimeZone == "Local" {
		return nil, errors.New("no time zone of its own")
	}
	if known, ok := locations.Load(f.TimeZone); ok {
		return known.(*time.Location), nil
	}
	zone, err := time.LoadLocation(f.TimeZone)
	if err == nil {
		locations.Store(f.TimeZone, zone)
	}
	return zone, err
}

// locations are the time zones so far, by name: to load one reads a file. There are as many as the IANA's database has names.
var locations sync.Map

// Same reports whether both write numbers alike.
func (f *Format) Same(other *Format) bool {
	return f.Prefix == other.Prefix && f.Padding == other.Padding && f.Reset == other.Reset && f.TimeZone == other.TimeZone
}

// PeriodAt returns the period of a time, never one before that of the last number: a clock that is set back gives no number of a period that is over.
func (f *Format) PeriodAt(at time.Time) (string, error) {
	zone, err := f.location()
	if err != nil {
		return "", fmt.Errorf("time zone of a number format: %w", err)
	}
	return max(at.In(zone).Format(periods[f.Reset]), f.Period), nil
}

// Text writes the number n of a period.
func (f *Format) Text(period string, n int64) string {
	if period != "" {
		period += "-"
	}
	return fmt.Sprintf("%s%s%0*d", f.Prefix, period, f.Padding, n)
}

// Gave reports whether a text is a number that the format has given.
func (f *Format) Gave(text string) bool {
	rest, found := strings.CutPrefix(text, f.Prefix)
	period := ""
	if length := len(periods[f.Reset]); found && length > 0 {
		if len(rest) <= length {
			return false
		}
		period, rest = rest[:length], rest[length+1:]
		if _, err := time.Parse(periods[f.Reset], period); err != nil {
			return false
		}
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	return err == nil && n > 0 && f.Text(period, n) == text && (period < f.Period || period == f.Period && n <= f.Last)
}

// Next returns what the next element gets at a time if nobody comes before.
func (f *Format) Next(at time.Time) (string, error) {
	period, err := f.PeriodAt(at)
	if err != nil {
		return "", err
	}
	if period != f.Period {
		return f.Text(period, 1), nil
	}
	return f.Text(period, f.Last+1), nil
}
