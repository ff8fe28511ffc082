package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MaxTokenSize is the longest token that is looked at, in bytes.
	MaxTokenSize = 8 << 10
	// Leeway is how far the clocks of two services may stand apart.
	Leeway = 30 * time.Second

	// TypeAccess is the typ of access tokens (RFC 9068, section 2.1).
	TypeAccess = "at+jwt"
	// TypeProof is the typ of twofactor's proofs.
	TypeProof = "2fa-proof+jwt"
)

// tokenHeader is the JOSE header as this family writes it. Any further parameter is refused: jwk, jku, x5u and x5c would
// offer the caller's own key, crit would ask for rules that nobody here keeps.
type tokenHeader struct{ Algorithm, KeyID, Type string }

// maxKeyID is the longest kid that is looked up, in bytes.
const maxKeyID = 128

// decodeHeader splits the token and reads its header strictly, before any key is looked for: what cannot be a token of type typ
// causes no call.
func decodeHeader(token, typ string) (tokenHeader, error) {
	var h tokenHeader
	if len(token) > MaxTokenSize {
		return h, errors.New("token is too long")
	}
	if strings.Count(token, ".") != 2 || strings.ContainsFunc(token, notTokenCharacter) {
		return h, errors.New("token is not three parts of base64url") // Go's decoder passes over line ends
	}
	first, rest, _ := strings.Cut(token, ".")
	second, _, _ := strings.Cut(rest, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return h, errors.New("header is not base64url")
	}
	if err := noDuplicates(raw); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	if err := h.fill(raw); err != nil {
		return h, err
	}
	if h.Type != typ {
		return h, errors.New("typ is not " + typ)
	}
	claims, err := base64.RawURLEncoding.Strict().DecodeString(second)
	if err != nil {
		return h, errors.New("claims are not base64url")
	}
	if err := noDuplicates(claims); err != nil {
		return h, fmt.Errorf("claims: %w", err)
	}
	return h, plainClaims(claims)
}

func notTokenCharacter(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
}

// plainClaims refuses names that encoding/json would take for another (it ignores case) and times that are not numbers (RFC 7519
// section 2; the library reads them out of text too).
func plainClaims(raw []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return errors.New("claims are not a JSON object")
	}
	for name, value := range members {
		if strings.ContainsFunc(name, func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '_') }) {
			return errors.New("a claim's name is not lower-case")
		}
		switch name {
		case "exp", "iat", "nbf", "auth_time":
			if value[0] < '0' || value[0] > '9' {
				return errors.New(name + " is not a number")
			}
		}
	}
	return nil
}

// fill reads the header's three members by their exact names.
func (h *tokenHeader) fill(raw []byte) error {
	var members map[string]string
	if err := json.Unmarshal(raw, &members); err != nil || len(members) != 3 {
		return errors.New("header is not what this family writes")
	}
	h.Algorithm, h.KeyID, h.Type = members["alg"], members["kid"], members["typ"]
	if h.KeyID == "" || len(h.KeyID) > maxKeyID || h.Algorithm != "EdDSA" && h.Algorithm != "ES256" {
		return errors.New("header names no key or no algorithm of this family")
	}
	return nil
}

// noDuplicates refuses a JSON object in which any object names a member twice, in any case: which one counts would
// depend on the reader.
func noDuplicates(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := walk(dec, 0); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the JSON object")
	}
	return nil
}

func walk(dec *json.Decoder, depth int) error {
	if depth > 8 {
		return errors.New("nested too deeply")
	}
	token, err := dec.Token()
	if err != nil {
		return errors.New("not JSON")
	}
	delim, isDelim := token.(json.Delim)
	if !isDelim {
		if depth == 0 {
			return errors.New("not a JSON object")
		}
		return nil
	}
	seen := map[string]bool{}
	for dec.More() {
		if delim == '{' {
			name, err := dec.Token()
			if err != nil {
				return errors.New("not JSON")
			}
			key := strings.ToLower(fmt.Sprint(name))
			if seen[key] {
				return errors.New("a member is named twice")
			}
			seen[key] = true
		}
		if err := walk(dec, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return errors.New("not JSON")
	}
	return nil
}

// expected is what the parser demands of a token.
type expected struct {
	issuer   string
	audience string
	now      func() time.Time
}

// parse verifies a token with the key that its kid names and fills claims, a pointer to a struct with jwt.RegisteredClaims.
func parse(token string, h tokenHeader, alg string, key crypto.PublicKey, want expected, claims jwt.Claims) error {
	if h.Algorithm != alg {
		return errors.New("alg is not that of the key")
	}
	switch key.(type) {
	case ed25519.PublicKey, *ecdsa.PublicKey:
	default:
		return fmt.Errorf("key of type %T cannot verify tokens", key)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{alg}),
		jwt.WithStrictDecoding(),
		jwt.WithIssuer(want.issuer),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(Leeway),
		jwt.WithTimeFunc(want.now),
	}
	if want.audience != AnyAudience {
		options = append(options, jwt.WithAudience(want.audience))
	}
	_, err := jwt.NewParser(options...).ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil })
	return err
}
