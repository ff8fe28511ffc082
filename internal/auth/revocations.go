package auth

import "errors"

// Revocations knows which tokens were revoked before they expired.
type Revocations interface {
	// Revoked reports whether the principal's token, session, key or owner was revoked. ErrUnknownRevocations means that this is unknown; the token
	// must then be refused.
	Revoked(p *Principal) (bool, error)
}

// ErrUnknownRevocations means that the revocation feed has not been read for too long.
var ErrUnknownRevocations = errors.New("revocations have not been read for too long")

// NoRevocations revokes nothing. It is for tests.
type NoRevocations struct{}

// Revoked implements Revocations.
func (NoRevocations) Revoked(*Principal) (bool, error) { return false, nil }
