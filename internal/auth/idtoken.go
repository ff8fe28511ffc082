package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fountainai/fountain/internal/clock"
)

// TypeID is the typ of ID tokens (OpenID Connect Core 1.0, section 2). It always differs from the typ of access tokens.
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

// hintLife is how long after its expiry an ID token is still accepted as a hint of the session to end. It exceeds the longest session.
const hintLife = 8 * 24 * time.Hour

// VerifyIDHint verifies an ID token that is returned to its issuer as a hint and may have expired (OpenID Connect RP-Initiated Logout 1.0, section
// 2). The caller must check the audience.
func VerifyIDHint(ctx context.Context, token, issuer string, keys KeySource, c clock.Clock) (*IDClaims, error) {
	h, err := decodeHeader(token, TypeID)
	if err != nil {
		return nil, fmt.Errorf("read ID token: %w", err)
	}
	alg, key, err := keys.Key(ctx, h.KeyID)
	if err != nil {
		return nil, fmt.Errorf("find the key of an ID token: %w", err)
	}
	// Shifting the clock back relaxes the expiry alone: a token issued by this clock has no time later than now.
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
