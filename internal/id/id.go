// Package id makes the identifiers of the family: a short prefix for the type, and a ULID, which sorts by creation time and contains 80 random bits.
package id

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// New returns a new identifier such as "usr_01JGZ3Q9V5X0R6K2M8N4P7T1WD". Prefix is given without the underscore.
func New(prefix string) string {
	var u ulid.ULID
	_ = u.SetTime(ulid.Timestamp(time.Now())) // fails after the year 10889
	_, _ = rand.Read(u[6:])                   // never fails
	var text [ulid.EncodedSize]byte
	_ = u.MarshalTextTo(text[:]) // has its size
	return string(append(append(append(make([]byte, 0, 64), prefix...), '_'), text[:]...))
}

// Valid reports whether s is an identifier with the given prefix, in the upper-case spelling of New.
func Valid(prefix, s string) bool {
	text, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(text) != ulid.EncodedSize {
		return false
	}
	parsed, err := ulid.ParseStrict(text)
	return err == nil && parsed.String() == text
}
