package auth

import (
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Unverified holds the claims of an access token whose signature, issuer and revocation were not checked. It may be shown to people and must never
// decide about access. Only package explain uses it.
type Unverified struct {
	Principal *Principal
	claims    Claims
}

// ReadUnverified parses a token as Verify does, without verifying it. Its error is invalid_token.
func ReadUnverified(token string) (*Unverified, error) {
	if _, err := accessHeader(token); err != nil {
		return nil, err
	}
	var u Unverified
	if _, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(token, &u.claims); err != nil {
		return nil, invalidToken(err.Error())
	}
	if u.claims.ExpiresAt == nil {
		return nil, invalidToken("exp is missing")
	}
	var err error
	if u.Principal, err = u.claims.principal(token); err != nil {
		return nil, invalidToken(err.Error())
	}
	return &u, nil
}

// Check compares the token's times and audience with what Verify demands, at the time now, for the service with this word. Its error is invalid_token
// and wraps the reason.
func (u *Unverified) Check(audience string, now time.Time) error {
	rules := claimRules(audience, func() time.Time { return now })
	if err := jwt.NewValidator(rules...).Validate(&u.claims); err != nil {
		return invalidToken(err.Error())
	}
	return nil
}
