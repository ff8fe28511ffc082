// Package mailaddress parses mail addresses to the one form in which they are stored, compared and shown.
package mailaddress

import (
	"errors"
	"net/mail"
	"strings"

	"golang.org/x/net/idna"
)

// Errors for addresses. Their texts may be shown to the person who entered the address.
var (
	ErrForm      = errors.New("it is not one mail address of the form name@domain")
	ErrLocalPart = errors.New("the part before the @ has non-ASCII characters, which many mail servers refuse; use another address")
)

const (
	maxAddress = 254 // bytes (RFC 5321 section 4.5.3.1.3, without the angle brackets)
	maxLocal   = 64  // bytes (RFC 5321 section 4.5.3.1.1)
)

// Parse parses one bare address. The domain is converted to lower case and ASCII (RFC 5891); the local part is not changed. Errors: ErrForm,
// ErrLocalPart.
func Parse(raw string) (string, error) {
	if len(raw) > maxAddress || strings.ContainsAny(raw, "\r\n\x00") {
		return "", ErrForm
	}
	parsed, err := mail.ParseAddress(raw)
	if err != nil || parsed.Name != "" || parsed.Address != raw {
		return "", ErrForm
	}
	at := strings.LastIndexByte(raw, '@')
	local, domain := raw[:at], raw[at+1:]
	if strings.IndexFunc(local, func(c rune) bool { return c > 0x7e }) >= 0 {
		return "", ErrLocalPart
	}
	if len(local) > maxLocal || strings.IndexFunc(local, func(c rune) bool { return c <= ' ' || strings.ContainsRune(`"(),:;<>@[\]`, c) }) >= 0 {
		return "", ErrForm
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !strings.Contains(ascii, ".") || len(local)+1+len(ascii) > maxAddress {
		return "", ErrForm
	}
	return local + "@" + ascii, nil
}

// Key returns a text that is equal for all spellings of a parsed address: case is ignored.
func Key(address string) string { return strings.ToLower(address) }

// Mask returns the part of a parsed address that may be shown: enough for its owner to recognize it.
func Mask(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return "***"
	}
	return address[:1] + "***" + address[at:]
}
