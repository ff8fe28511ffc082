// Package keytext defines the format of API keys, which the kms makes and which can be checked for typing errors without a look-up.
package keytext

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"

	"github.com/fountainai/fountain/internal/id"
)

// Environment is the intended use of a key. It is part of the key's text and does not affect its permissions.
type Environment string

// The environments.
const (
	Live Environment = "live"
	Test Environment = "test"
)

// A key is fk_<live or test>_<ULID>_<43 base62 digits of 256 random bits><6 base62 digits of the CRC-32 of all before>. It contains its id,
// key_<ULID>, and a mistyped key is refused without a query to the database.
const (
	prefixLen    = len("fk_live_")
	ulidLen      = 26
	randomDigits = 43
	sumDigits    = 6
	textLen      = prefixLen + ulidLen + 1 + randomDigits + sumDigits
	startLen     = prefixLen + 14 // the ULID's time and four random digits: keys made at the same moment differ
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Prefix returns the prefix of the environment's keys.
func (e Environment) Prefix() string { return "fk_" + string(e) + "_" }

// EnvironmentOf returns the environment of a key's text or of its beginning; false when it is neither.
func EnvironmentOf(text string) (Environment, bool) {
	for _, e := range []Environment{Live, Test} {
		if strings.HasPrefix(text, e.Prefix()) {
			return e, true
		}
	}
	return "", false
}

// New returns a new key's id and text.
func New(e Environment) (keyID, text string) {
	keyID = id.New("key")
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	body := e.Prefix() + strings.TrimPrefix(keyID, "key_") + "_" + digits(new(big.Int).SetBytes(random), randomDigits)
	return keyID, body + checksum(body)
}

// Start returns the beginning of a key's text, by which its owner recognizes it. It contains nothing of the secret.
func Start(text string) string { return text[:startLen] }

// Looks reports whether text has the prefix of an API key.
func Looks(text string) bool { return strings.HasPrefix(text, "fk_") }

// Parse returns the id in a key's text; false when the text is not a valid key.
func Parse(text string) (keyID string, ok bool) {
	if _, known := EnvironmentOf(text); !known || len(text) != textLen {
		return "", false
	}
	body, sum := text[:textLen-sumDigits], text[textLen-sumDigits:]
	rest := body[prefixLen:]
	keyID = "key_" + rest[:ulidLen]
	if !id.Valid("key", keyID) || rest[ulidLen] != '_' || strings.Trim(rest[ulidLen+1:], base62) != "" {
		return "", false
	}
	return keyID, checksum(body) == sum // the checksum is not secret
}

func checksum(body string) string {
	return digits(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), sumDigits)
}

// digits formats n in base 62 with leading zeros.
func digits(n *big.Int, width int) string {
	out := make([]byte, width)
	base, rest := big.NewInt(int64(len(base62))), new(big.Int)
	n = new(big.Int).Set(n)
	for i := width - 1; i >= 0; i-- {
		n.DivMod(n, base, rest)
		out[i] = base62[rest.Int64()]
	}
	return string(out)
}
