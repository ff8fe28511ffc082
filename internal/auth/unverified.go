package auth

import (
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Unverified is what an access token says of itself. Nobody has looked at its signature and its issuer, or whether it was revoked: it may
// be told to people, and never decide what anybody may do. Only package explain uses it.
type Unverified struct {
	Principal *Principal
	claims    Claims
}

// ReadUnverified reads a token as Verify does, and does not verify it. Its error is invalid_token.
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

// Check holds the times and the audience of the token against what Verify demands, at a time, for the service of this word. Its error is
// invalid_token, with the reason behind it.
func (u *Unverified) Check(audience string, now time.Time) error {
	rules := claimRules(audience, func() time.Time { return now })
	if err := jwt.NewValidator(rules...).Validate(&u.claims); err != nil {
		return invalidToken(err.Error())
	}
	return nil
}
