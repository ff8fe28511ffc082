// Package id makes the identifiers of the family: a short prefix that says what the thing is, and a ULID, which sorts
// by creation time and carries 80 random bits.
package id

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// New returns a new identifier such as "usr_01JGZ3Q9V5X0R6K2M8N4P7T1WD". Prefix is given without the underscore.
func New(prefix string) string {
	return prefix + "_" + ulid.MustNew(ulid.Timestamp(time.Now()), rand.Reader).String()
}

// Valid reports whether s is an identifier with the given prefix in the one spelling New uses (upper case).
func Valid(prefix, s string) bool {
	text, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(text) != ulid.EncodedSize {
		return false
	}
	parsed, err := ulid.ParseStrict(text)
	return err == nil && parsed.String() == text
}
