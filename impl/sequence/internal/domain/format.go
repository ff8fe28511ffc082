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

// periods are the layouts (time.Format) in which the period of a number is written, by reset. Periods of one reset sort by time.
var periods = map[Reset]string{ResetNever: "", ResetYear: "2006", ResetMonth: "2006-01", ResetDay: "2006-01-02"}

// MaxPadding is the largest Format.Padding, in digits.
const MaxPadding = 18

// Format says how the formatted numbers of a group are written, and which was given last. An element keeps its formatted number for good, even when it is moved or
// omitted.
type Format struct {
	Group
	Prefix   string
	Padding  int // minimum number of digits; shorter numbers get leading zeros
	Reset    Reset
	TimeZone string // in which periods begin and end; a name of the IANA database

	Period string // of the last number; "" before the first number, and with ResetNever
	Last   int64  // the last number given in Period; 0 before the first
}

// ErrFormatUsed says that a format has given numbers and can no longer be changed.
var ErrFormatUsed = errors.New("number format is in use")

// ErrNoFormat says that a group has no format.
var ErrNoFormat = errors.New("no number format")

// Check returns an *InvalidItems when the format is not valid, else nil.
func (f *Format) Check() error {
	fault := func(property, rule, message string) error {
		return &InvalidItems{Faults: []ItemFault{{Property: property, Rule: rule, Message: message}}}
	}
	if _, known := periods[f.Reset]; !known {
		return fault("resets", "enum", "must be never, year, month or day")
	}
	if f.Padding < 0 || f.Padding > MaxPadding {
		return fault("padding", "maximum", "must be 0 to "+strconv.Itoa(MaxPadding))
	}
	if _, err := f.location(); err != nil {
		return fault("timeZone", "enum", "is not a time zone of the IANA database")
	}
	return nil
}

// location returns the time zone. It refuses Local, which is a different zone on each machine.
func (f *Format) location() (*time.Location, error) {
	if f.TimeZone == "" || f.TimeZone == "Local" {
		return nil, errors.New("not a time zone of the IANA database")
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

// locations caches time zones by name, because loading one reads a file. The names of the IANA database bound its size.
var locations sync.Map

// Same reports whether both formats write numbers alike. It ignores which number was given last.
func (f *Format) Same(other *Format) bool {
	return f.Prefix == other.Prefix && f.Padding == other.Padding && f.Reset == other.Reset && f.TimeZone == other.TimeZone
}

// PeriodAt returns the period of a time, or the period of the last number if that is later. So a clock that is set back gives no number of an earlier period.
func (f *Format) PeriodAt(at time.Time) (string, error) {
	zone, err := f.location()
	if err != nil {
		return "", fmt.Errorf("time zone of a number format: %w", err)
	}
	return max(at.In(zone).Format(periods[f.Reset]), f.Period), nil
}

// Text returns the formatted number n of a period.
func (f *Format) Text(period string, n int64) string {
	if period != "" {
		period += "-"
	}
	return fmt.Sprintf("%s%s%0*d", f.Prefix, period, f.Padding, n)
}

// Gave reports whether a text is a formatted number that the format has given: none later than the last one.
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

// Next returns the formatted number that the next element gets if it is created at a time, before any other element.
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
