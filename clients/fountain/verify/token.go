package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	maxToken = 8 << 10          // bytes of a token
	maxKeyID = 128              // bytes of a kid
	leeway   = 30 * time.Second // allowed clock difference
	typ      = "at+jwt"         // RFC 9068, section 2.1
)

// readHeader splits a token and parses its header strictly before any key is looked up, so that text that cannot be an
// access token causes no request.
func readHeader(token string) (kid string, err error) {
	if len(token) > maxToken {
		return "", errors.New("the token is too long")
	}
	if strings.Count(token, ".") != 2 || strings.ContainsFunc(token, notTokenCharacter) {
		return "", errors.New("the token is not three parts of base64url") // Go's decoder ignores line breaks
	}
	parts := strings.Split(token, ".")
	raw, err := base64.RawURLEncoding.Strict().DecodeString(parts[0])
	if err != nil {
		return "", errors.New("the header is not base64url")
	}
	claims, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return "", errors.New("the claims are not base64url")
	}
	kid, err = decodeHeader(raw)
	if err != nil {
		return "", fmt.Errorf("header: %w", err)
	}
	if err := checkObject(claims, plainClaim); err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	return kid, nil
}

func notTokenCharacter(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.')
}

// decodeHeader accepts exactly three members: alg, kid and typ. It refuses any other: with jwk, jku, x5u and x5c the
// caller could supply its own key, and crit would require extensions that are not implemented.
func decodeHeader(raw []byte) (kid string, err error) {
	found := map[string]string{}
	err = checkObject(raw, func(member string, value json.RawMessage) error {
		var text *string
		if json.Unmarshal(value, &text) != nil || text == nil {
			return errors.New("a member is not a string")
		}
		found[member] = *text
		return nil
	})
	if err != nil {
		return "", err
	}
	kid = found["kid"]
	if len(found) != 3 || found["typ"] != typ || kid == "" || len(kid) > maxKeyID || found["alg"] != "EdDSA" && found["alg"] != "ES256" {
		return "", errors.New("it is not alg, kid and typ of the family's access tokens")
	}
	return kid, nil
}

// plainClaim refuses a claim name that encoding/json, which ignores case, would match to another name. It also refuses
// a time that is not a number (RFC 7519, section 2), because the library accepts numbers in strings too.
func plainClaim(member string, value json.RawMessage) error {
	for _, c := range []byte(member) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_') {
			return errors.New("a claim's name is not lower-case")
		}
	}
	switch member {
	case "exp", "iat", "nbf", "auth_time":
		if value[0] < '0' || value[0] > '9' {
			return errors.New(member + " is not a number")
		}
	}
	return nil
}

// claims are those of RFC 9068, section 2.2, and those of FountainAI.
type claims struct {
	jwt.RegisteredClaims
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope"`
	Roles     []string `json:"roles"`
	Principal string   `json:"principal"`
	Username  string   `json:"preferred_username"`
	SessionID string   `json:"sid"`
	ACR       string   `json:"acr"`
	AMR       []string `json:"amr"`
	AuthTime  int64    `json:"auth_time"`
	Epoch     int64    `json:"epoch"`
	Tenant    string   `json:"tenant"`
}

// readClaims verifies the claims, and the signature with the given key and that key's algorithm. It returns the
// principal of the token and the time from which it is valid.
func readClaims(token string, key publicKey, c Config) (*Principal, time.Time, error) {
	switch key.key.(type) {
	case ed25519.PublicKey, *ecdsa.PublicKey:
	default:
		return nil, time.Time{}, errors.New("the key is of no type that verifies tokens")
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{key.algorithm}), jwt.WithStrictDecoding(), jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(c.Now))
	var found claims
	if _, err := parser.ParseWithClaims(token, &found, func(*jwt.Token) (any, error) { return key.key, nil }); err != nil {
		return nil, time.Time{}, err
	}
	p, err := found.principal()
	if err != nil {
		return nil, time.Time{}, err
	}
	notBefore := p.IssuedAt
	if found.NotBefore != nil && found.NotBefore.After(notBefore) {
		notBefore = found.NotBefore.Time
	}
	return p, notBefore, nil
}

func (c *claims) principal() (*Principal, error) {
	if len(c.Audience) != 1 {
		return nil, errors.New("the token is for others too")
	}
	if c.Subject == "" || c.ID == "" || c.ClientID == "" || c.IssuedAt == nil {
		return nil, errors.New("sub, jti, client_id or iat is missing")
	}
	prefix := map[string]string{User: "usr_", Service: "svc_"}[c.Principal]
	if prefix == "" || !strings.HasPrefix(c.Subject, prefix) {
		return nil, errors.New("principal and sub do not match")
	}
	p := &Principal{
		Subject: c.Subject, Kind: c.Principal, Username: c.Username, ClientID: c.ClientID, SessionID: c.SessionID, TokenID: c.ID, Tenant: c.Tenant,
		Scopes: strings.Fields(c.Scope), Roles: c.Roles, ACR: c.ACR, AMR: c.AMR, IssuedAt: c.IssuedAt.UTC(), Expires: c.ExpiresAt.UTC(), Epoch: c.Epoch,
	}
	if c.AuthTime > 0 {
		p.AuthTime = time.Unix(c.AuthTime, 0).UTC()
	}
	return p, nil
}
