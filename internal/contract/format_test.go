package contract

import (
	"regexp"
	"testing"
	"time"
)

// dateTimePattern accepts what isDateTime accepts, written as a regular expression.
var dateTimePattern = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)

func FuzzIsDateTime(f *testing.F) {
	for _, s := range []string{
		"2026-11-23T10:00:00Z", "2026-11-23T10:00:00.123456789Z", "2026-11-23T10:00:00.1234567890Z", "2026-11-23T10:00:00.Z", "2026-11-23T10:00:00+01:00", "2026-11-23T10:00:00-23:59",
		"2026-11-23T10:00:00+24:00", "2026-11-23T10:00:00+01:60", "2026-11-23t10:00:00z", "2026-11-23 10:00:00Z", "2026-13-23T10:00:00Z", "2026-02-30T10:00:00Z", "2026-11-23T24:00:00Z",
		"2026-11-23T10:00:60Z", "dddd-dd-ddTdd:dd:ddZ", "2026-11-23T10:00:00", "2026-11-23T10:00:00ZZ", "2026-11-23T10:00:00,5Z", "", "2026-11-23T10:00:00.5+1:00", "+026-11-23T10:00:00Z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := time.Parse(time.RFC3339Nano, s)
		if want := err == nil && dateTimePattern.MatchString(s); isDateTime(s) != want {
			t.Errorf("isDateTime(%q) is %t", s, !want)
		}
	})
}

func FuzzIsDate(f *testing.F) {
	for _, s := range []string{"2026-11-23", "2024-02-29", "2026-02-29", "1900-02-29", "2000-02-29", "2026-04-31", "2026-00-01", "2026-01-00", "0000-01-01", "2026-1-01", "2026-11-23T", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, err := time.Parse(time.DateOnly, s)
		if want := err == nil && len(s) == len(time.DateOnly); isDate(s) != want {
			t.Errorf("isDate(%q) is %t", s, !want)
		}
	})
}

var uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)

func FuzzIsUUID(f *testing.F) {
	for _, s := range []string{"5F1f6ca4-6d2a-4f0e-9e3b-2f0f0f0f0f0f", "5f1f6ca4-6d2a-4f0e-9e3b-2f0f0f0f0f0", "5f1f6ca46d2a-4f0e-9e3b-2f0f0f0f0f0f0", "gf1f6ca4-6d2a-4f0e-9e3b-2f0f0f0f0f0f", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if want := uuidPattern.MatchString(s); isUUID(s) != want {
			t.Errorf("isUUID(%q) is %t", s, !want)
		}
	})
}
