package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// MaxTokenSize is the length of the longest token that is parsed, in bytes.
	MaxTokenSize = 8 << 10
	// Leeway is the tolerated clock difference between two services.
	Leeway = 30 * time.Second

	// TypeAccess is the typ of access tokens (RFC 9068, section 2.1).
	TypeAccess = "at+jwt"
	// TypeProof is the typ of twofactor's second-factor proofs.
	TypeProof = "2fa-proof+jwt"
	// TypeSignInProof is the typ of twofactor's proofs of a sign-in with a passkey alone. It is a type of its own, so that neither proof is accepted
	// in place of the other (RFC 8725, section 3.11).
	TypeSignInProof = "2fa-sign-in+jwt"
)

// tokenHeader is the JOSE header as this family writes it. Any other parameter is refused: jwk, jku, x5u and x5c would let the caller supply the key,
// and crit would demand extensions that are not implemented.
type tokenHeader struct{ Algorithm, KeyID, Type string }

// maxKeyID is the length of the longest kid that is looked up, in bytes.
const maxKeyID = 128

// decodeHeader splits the token and reads its header strictly, before any key is looked up, so that what cannot be a token of type typ causes no
// request for keys.
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
	if err := h.fill(raw); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	if h.Type != typ {
		return h, errors.New("typ is not " + typ)
	}
	claims, err := base64.RawURLEncoding.Strict().DecodeString(second)
	if err != nil {
		return h, errors.New("claims are not base64url")
	}
	if err := scanObject(claims, plainClaim); err != nil {
		return h, fmt.Errorf("claims: %w", err)
	}
	return h, nil
}

func notTokenCharacter(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
}

// plainClaim refuses a name that encoding/json would match to another one (it ignores case) and a time that is not a number (RFC 7519, section 2; the
// library also parses times from strings).
func plainClaim(name string, value []byte) error {
	for i := range len(name) {
		if c := name[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_') {
			return errors.New("a claim's name is not lower-case")
		}
	}
	switch name {
	case "exp", "iat", "nbf", "auth_time":
		if value[0] < '0' || value[0] > '9' {
			return errors.New(name + " is not a number")
		}
	}
	return nil
}

// fill reads the header's three members by their exact names.
func (h *tokenHeader) fill(raw []byte) error {
	members := 0
	err := scanObject(raw, func(name string, value []byte) error {
		members++
		text, err := strconv.Unquote(string(value))
		if err != nil {
			return errors.New("a member is not a string")
		}
		switch name {
		case "alg":
			h.Algorithm = text
		case "kid":
			h.KeyID = text
		case "typ":
			h.Type = text
		default:
			return errors.New("a member that this family does not write")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if members != 3 || h.KeyID == "" || len(h.KeyID) > maxKeyID || h.Algorithm != "EdDSA" && h.Algorithm != "ES256" {
		return errors.New("it names no key or no algorithm of this family")
	}
	return nil
}

// expected is what a token must satisfy.
type expected struct {
	issuer   string
	audience string
	now      func() time.Time
}

// parse verifies a token with the key that its kid names and decodes it into claims, a pointer to a struct that embeds jwt.RegisteredClaims.
func parse(token string, h tokenHeader, alg string, key crypto.PublicKey, want expected, claims jwt.Claims) error {
	if h.Algorithm != alg {
		return errors.New("alg is not that of the key")
	}
	switch key.(type) {
	case ed25519.PublicKey, *ecdsa.PublicKey:
	default:
		return fmt.Errorf("key of type %T cannot verify tokens", key)
	}
	options := append(claimRules(want.audience, want.now), jwt.WithValidMethods([]string{alg}), jwt.WithStrictDecoding(), jwt.WithIssuer(want.issuer))
	_, err := jwt.NewParser(options...).ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return key, nil })
	return err
}

// claimRules returns the checks of the claims except the issuer.
func claimRules(audience string, now func() time.Time) []jwt.ParserOption {
	rules := []jwt.ParserOption{jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(Leeway), jwt.WithTimeFunc(now)}
	if audience != AnyAudience {
		rules = append(rules, jwt.WithAudience(audience))
	}
	return rules
}
