package totp

import (
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// SeedSize is the length of a seed in bytes: the 160 bits that RFC 4226, section 4, R6 recommends.
const SeedSize = 20

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewSeed reads a seed of SeedSize bytes from random, which is crypto/rand.Reader outside tests. A reader that ends or fails
// early is an error.
func NewSeed(random io.Reader) ([]byte, error) {
	seed := make([]byte, SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("totp: read random seed: %w", err)
	}
	return seed, nil
}

// Base32 returns the seed as authenticator apps expect it: base32 (RFC 4648, section 6) without padding.
func Base32(seed []byte) string { return encoding.EncodeToString(seed) }

// CheckIssuer returns an error for an issuer that can't be used in an otpauth URI. A colon separates issuer and account in
// the label, so an issuer with a colon would be read as another issuer and account.
func CheckIssuer(issuer string) error {
	switch {
	case issuer == "" || len(issuer) > 64:
		return errors.New("totp: issuer must have 1 to 64 characters")
	case strings.Contains(issuer, ":"):
		return errors.New("totp: issuer must not contain a colon")
	case strings.ContainsFunc(issuer, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("totp: issuer must not contain control characters")
	}
	return nil
}

// URI returns the otpauth URI that an authenticator scans (Key Uri Format of Google Authenticator).
func URI(issuer, account string, seed []byte, p Parameters) (string, error) {
	if err := CheckIssuer(issuer); err != nil {
		return "", err
	}
	if err := p.Validate(); err != nil {
		return "", err
	}
	// Not url.Values: authenticators read a plus sign as a plus sign.
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(account) +
		"?secret=" + Base32(seed) +
		"&issuer=" + url.PathEscape(issuer) +
		"&algorithm=" + string(p.Algorithm) +
		"&digits=" + strconv.Itoa(p.Digits) +
		"&period=" + strconv.Itoa(p.Period), nil
}
