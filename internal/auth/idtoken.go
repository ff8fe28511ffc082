package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fountainai/fountain/internal/clock"
)

// TypeID is the typ of ID tokens (OpenID Connect Core 1.0, section 2): never that of an access token.
const TypeID = "JWT"

// IDClaims are the claims of an ID token: who has signed in, for the one client in aud.
type IDClaims struct {
	jwt.RegisteredClaims
	AuthTime  int64    `json:"auth_time"` // seconds since 1970
	Nonce     string   `json:"nonce,omitempty"`
	ACR       string   `json:"acr"`
	AMR       []string `json:"amr"`
	SessionID string   `json:"sid"`                          // the client's own session
	Username  string   `json:"preferred_username,omitempty"` // with the scope profile
}

// hintLife is how long after its end an ID token still says whose session to end: longer than any session lives.
const hintLife = 8 * 24 * time.Hour

// VerifyIDHint reads an ID token that comes back to its issuer as a hint, which may have expired (OpenID Connect RP-Initiated Logout 1.0, section 2).
// Whom it was made for is the caller's to check.
func VerifyIDHint(ctx context.Context, token, issuer string, keys KeySource, c clock.Clock) (*IDClaims, error) {
	h, err := decodeHeader(token, TypeID)
	if err != nil {
		return nil, fmt.Errorf("read ID token: %w", err)
	}
	alg, key, err := keys.Key(ctx, h.KeyID)
	if err != nil {
		return nil, fmt.Errorf("find the key of an ID token: %w", err)
	}
	// What was issued at this clock can't be later than now; only the end is looked at as if it were still to come.
	then := func() time.Time { return c.Now().Add(-hintLife) }
	var claims IDClaims
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{alg}), jwt.WithStrictDecoding(), jwt.WithIssuer(issuer), jwt.WithExpirationRequired(), jwt.WithTimeFunc(then),
	}
	if h.Algorithm != alg {
		return nil, errors.New("alg of an ID token is not that of the key")
	}
	if _, err := jwt.NewParser(options...).ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return key, nil }); err != nil {
		return nil, fmt.Errorf("verify ID token: %w", err)
	}
	if claims.Subject == "" || claims.SessionID == "" || len(claims.Audience) != 1 {
		return nil, errors.New("an ID token names no user, no session or not one client")
	}
	return &claims, nil
}
