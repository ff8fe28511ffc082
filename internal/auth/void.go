package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/fountainai/fountain/internal/clock"
)

// TypeVoid is the typ of the records with which the kms voids a user's second factors.
const TypeVoid = "void-factors+jwt"

// VoidClaims are the claims of such a record: factors of sub that were enrolled up to Before are void. The kms signs a new record each time it sends
// one.
type VoidClaims struct {
	jwt.RegisteredClaims
	Before int64 `json:"before"` // microseconds since 1970
}

// VerifyVoid verifies a record with the kms's keys and returns the user and the time.
func VerifyVoid(ctx context.Context, record string, issuer string, keys KeySource, c clock.Clock) (subject string, before time.Time, err error) {
	h, err := decodeHeader(record, TypeVoid)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("read record: %w", err)
	}
	alg, key, err := keys.Key(ctx, h.KeyID)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("find the key of a record: %w", err)
	}
	var claims VoidClaims
	if err := parse(record, h, alg, key, expected{issuer: issuer, audience: ProofIssuer, now: c.Now}, &claims); err != nil {
		return "", time.Time{}, fmt.Errorf("verify record: %w", err)
	}
	if claims.Subject == "" || claims.Before <= 0 {
		return "", time.Time{}, errors.New("record names no user or no time")
	}
	return claims.Subject, time.UnixMicro(claims.Before).UTC(), nil
}
