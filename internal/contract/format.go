package contract

import (
	"encoding/base64"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// formats is the closed list of string formats, each with its check. A nil check stands for a format that is a hint for people. A contract that uses
// another format does not compile.
var formats = map[string]func(string) bool{
	"uuid":      isUUID,
	"email":     isEmail,
	"date":      isDate,
	"date-time": isDateTime,
	"byte":      isBase64,
	"uri":       isURI,
	"hostname":  isHostname,
	"ipv4":      func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is4() },
	"ipv6":      func(s string) bool { a, err := netip.ParseAddr(s); return err == nil && a.Is6() && a.Zone() == "" },
	"binary":    nil,
	"password":  nil,
}

// integerFormats are the formats of integers with their sizes in bits; numberFormats are those of numbers.
var (
	integerFormats = map[string]int{"int32": 32, "int64": 64}
	numberFormats  = map[string]bool{"float": true, "double": true}
)

// Formats returns the names of the closed list of string formats.
func Formats() []string {
	names := make([]string, 0, len(formats))
	for name := range formats {
		names = append(names, name)
	}
	return names
}

var labelForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

func isUUID(s string) bool {
	if len(s) != len("00000000-0000-0000-0000-000000000000") {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// isEmail accepts a bare address (limits of RFC 5321: 64 characters before the @, 254 in total) with a host name after the @.
func isEmail(s string) bool {
	local, host, found := strings.Cut(s, "@")
	if !found || len(s) > 254 || len(local) > 64 || !isHostname(host) || strings.ContainsAny(s, "\" <>()[],;:\\") {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && a.Name == ""
}

func isHostname(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !labelForm.MatchString(label) {
			return false
		}
	}
	return true
}

func isDate(s string) bool {
	return len(s) == len(time.DateOnly) && written(s, "dddd-dd-dd") && isDay(s)
}

// isDay reports whether the date at the beginning of s, written as 2006-01-02, exists in the calendar.
func isDay(s string) bool {
	year, month, day := twoDigits(s)*100+twoDigits(s[2:]), twoDigits(s[5:]), twoDigits(s[8:])
	if month < 1 || month > 12 || day < 1 {
		return false
	}
	days := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		days = 29
	}
	return day <= days
}

func twoDigits(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }

// isDateTime accepts RFC 3339 with an upper-case T and Z and no leap second, which time.Time cannot hold.
func isDateTime(s string) bool {
	return dateTimeForm(s) && isDay(s) && s[11:13] <= "23" && s[14:16] <= "59" && s[17:19] <= "59"
}

// dateTimeForm reports whether s has the form 2006-01-02T15:04:05, with an optional fraction of 1 to 9 digits, and Z or an offset.
func dateTimeForm(s string) bool {
	const whole = "dddd-dd-ddTdd:dd:dd"
	if !written(s, whole) {
		return false
	}
	rest := s[len(whole):]
	if strings.HasPrefix(rest, ".") {
		digits := 1
		for digits < len(rest) && isDigit(rest[digits]) {
			digits++
		}
		if digits == 1 || digits > 10 {
			return false
		}
		rest = rest[digits:]
	}
	return rest == "Z" || len(rest) == len("+dd:dd") && (rest[0] == '+' || rest[0] == '-') && written(rest[1:], "dd:dd") && rest[1:3] <= "23" && rest[4:] <= "59"
}

// written reports whether s begins with the given form, in which d stands for a digit.
func written(s, form string) bool {
	if len(s) < len(form) {
		return false
	}
	for i := range len(form) {
		if form[i] != s[i] && (form[i] != 'd' || !isDigit(s[i])) || form[i] == 'd' && s[i] == 'd' {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isBase64 accepts what encoding/json decodes into bytes: the standard alphabet, padded, canonical.
func isBase64(s string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	return err == nil && base64.StdEncoding.EncodedLen(len(raw)) == len(s) // no line breaks
}

func isURI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.IsAbs() && !strings.ContainsFunc(s, func(r rune) bool { return r <= 0x20 || r >= 0x7f || strings.ContainsRune("<>\"{}|\\^`", r) })
}
