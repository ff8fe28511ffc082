// Package keytext is the form of an API key: what the kms makes, and what a door can tell of a presented key without asking.
package keytext

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"

	"github.com/fountainai/fountain/internal/id"
)

// Environment is what a key says it is for. It is in the key's text and changes nothing that the key may do.
type Environment string

// The environments.
const (
	Live Environment = "live"
	Test Environment = "test"
)

// A key is fk_<live or test>_<ULID>_<43 base62 digits of 256 random bits><6 base62 digits of the CRC-32 of all before>. It tells its id,
// key_<ULID>, and a mistyped one is refused without asking the database.
const (
	prefixLen    = len("fk_live_")
	ulidLen      = 26
	randomDigits = 43
	sumDigits    = 6
	textLen      = prefixLen + ulidLen + 1 + randomDigits + sumDigits
	startLen     = prefixLen + 14 // the ULID's time and four random digits: keys of one moment look different
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Prefix returns how the keys of the environment begin.
func (e Environment) Prefix() string { return "fk_" + string(e) + "_" }

// EnvironmentOf returns that of a key's text or of its beginning; false when it is neither of them.
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

// Start returns the beginning of a key's text, by which its owner knows it again. It holds nothing of the secret.
func Start(text string) string { return text[:startLen] }

// Looks reports whether text begins as an API key does.
func Looks(text string) bool { return strings.HasPrefix(text, "fk_") }

// Parse returns the id of a key's text; false when it is not the text of any key.
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
	return keyID, checksum(body) == sum // the sum is no secret: anybody can compute it
}

func checksum(body string) string {
	return digits(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), sumDigits)
}

// digits writes n in base 62 with leading zeros.
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
