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

// formats is the closed list of string formats with what makes a string one of them. A nil check stands for a format that
// is a hint to people. A contract that uses another format does not compile.
var formats = map[string]func(string) bool{
	"uuid":      uuidForm.MatchString,
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

// integerFormats are the formats of integers with their sizes in bits; numberFormats those of numbers.
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

var (
	uuidForm  = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	dateForm  = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
	labelForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)
)

// isEmail accepts a bare address (RFC 5321 limits: 64 characters before the @, 254 in all) with a host name after it.
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
	_, err := time.Parse(time.DateOnly, s)
	return err == nil && dateForm.MatchString(s)
}

// isDateTime accepts RFC 3339 with an upper-case T and Z and no leap second, which time.Time cannot hold.
func isDateTime(s string) bool {
	if !dateTimeForm(s) {
		return false
	}
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}

// dateTimeForm reports whether s is written as 2006-01-02T15:04:05, a fraction of 1 to 9 digits or none, and Z or an offset.
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

// written reports whether s begins as form says, in which d stands for a digit.
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
