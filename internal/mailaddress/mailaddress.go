// Package mailaddress reads mail addresses into the one form under which they are kept, compared and shown.
package mailaddress

import (
	"errors"
	"net/mail"
	"strings"

	"golang.org/x/net/idna"
)

// The refusals of addresses. Their texts may be told to whoever gave the address.
var (
	ErrForm      = errors.New("it is not one mail address of the form name@domain")
	ErrLocalPart = errors.New("the part before the @ has characters outside ASCII, which many mail servers do not take; give another address")
)

const (
	maxAddress = 254 // bytes (RFC 5321 section 4.5.3.1.3, without the angle brackets)
	maxLocal   = 64  // bytes (RFC 5321 section 4.5.3.1.1)
)

// Parse takes one bare address. The domain becomes lower case and ASCII (RFC 5891); the part before the @ stays as it is. Errors: ErrForm, ErrLocalPart.
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

// Key returns what is the same for all spellings of a parsed address: mailboxes are the same whatever their case.
func Key(address string) string { return strings.ToLower(address) }

// Mask returns what may be shown of a parsed address: enough for its owner to recognise it.
func Mask(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return "***"
	}
	return address[:1] + "***" + address[at:]
}
