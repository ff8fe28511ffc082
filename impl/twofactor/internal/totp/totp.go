// Package totp computes and compares time-based one-time passwords (RFC 6238 over RFC 4226). It is pure: it reads no clock and
// keeps no state. It returns the time step that a code belongs to, so that the caller can accept each step once.
package totp

import (
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
)

// Algorithm is the hash of the HMAC, in the spelling of the otpauth URI.
type Algorithm string

// The algorithms of RFC 6238, section 1.2.
const (
	SHA1   Algorithm = "SHA1"
	SHA256 Algorithm = "SHA256"
	SHA512 Algorithm = "SHA512"
)

// Parameters are what an authenticator and its verifier agree on in addition to the seed.
type Parameters struct {
	Algorithm Algorithm
	Digits    int // 6 or 8
	Period    int // seconds, 30 or 60
}

// Default are the parameters that every authenticator app supports.
var Default = Parameters{Algorithm: SHA1, Digits: 6, Period: 30}

// The window of accepted steps around the current one: one past, none future. A code lives at most two periods.
const (
	windowPast   = 1
	windowFuture = 0
)

var algorithms = map[Algorithm]otp.Algorithm{SHA1: otp.AlgorithmSHA1, SHA256: otp.AlgorithmSHA256, SHA512: otp.AlgorithmSHA512}

// Validate returns an error when the parameters are not supported. The error names the parameter and not its value.
func (p Parameters) Validate() error {
	if _, ok := algorithms[p.Algorithm]; !ok {
		return errors.New("totp: unknown algorithm")
	}
	if p.Digits != 6 && p.Digits != 8 {
		return errors.New("totp: digits must be 6 or 8")
	}
	if p.Period != 30 && p.Period != 60 {
		return errors.New("totp: period must be 30 or 60 seconds")
	}
	return nil
}

// Step returns the number of whole periods between the Unix epoch and t.
func (p Parameters) Step(t time.Time) int64 {
	seconds, period := t.Unix(), int64(p.Period)
	if seconds < 0 {
		return (seconds - period + 1) / period
	}
	return seconds / period
}

// Code returns the code of one step (RFC 4226, section 5.3), with leading zeros.
func Code(seed []byte, p Parameters, step int64) (string, error) {
	if err := p.Validate(); err != nil {
		return "", err
	}
	if len(seed) == 0 {
		return "", errors.New("totp: empty seed")
	}
	// Digits are always explicit: the library's zero value makes every code invalid.
	options := hotp.ValidateOpts{Digits: otp.Digits(p.Digits), Algorithm: algorithms[p.Algorithm]}
	code, err := hotp.GenerateCodeCustom(base32.StdEncoding.EncodeToString(seed), uint64(step), options)
	if err != nil {
		return "", fmt.Errorf("totp: compute code: %w", err)
	}
	return code, nil
}

// WellFormed reports whether code is 6 or 8 ASCII digits and nothing else. It trims no spaces and accepts no other digits:
// a spelling that compares equal but is stored differently allows a replay (CVE-2025-6014).
func WellFormed(code string) bool {
	if len(code) != 6 && len(code) != 8 {
		return false
	}
	for i := range len(code) {
		if code[i] < '0' || code[i] > '9' {
			return false
		}
	}
	return true
}

// Match compares code with the codes of all steps that the device's clock may show at t, and returns the latest step that it belongs to. It compares in
// constant time and does not stop early. ok is false when no step matches.
func Match(seed []byte, p Parameters, t time.Time, c Clock, code string) (step int64, ok bool, err error) {
	if !WellFormed(code) || len(code) != p.Digits {
		return 0, false, nil
	}
	compute, err := newComputer(seed, p)
	if err != nil {
		return 0, false, err
	}
	current := p.Step(t)
	for _, offset := range c.offsets() {
		candidate := current + offset
		equal := subtle.ConstantTimeCompare(compute.code(candidate), []byte(code))
		step = int64(subtle.ConstantTimeSelect(equal, int(candidate), int(step)))
		ok = ok || equal == 1
	}
	return step, ok, nil
}
