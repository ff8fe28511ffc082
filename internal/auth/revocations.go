package auth

import "errors"

// Revocations knows which tokens were ended before their time.
type Revocations interface {
	// Revoked reports whether the principal's token, session, key or owner was ended. ErrUnknownRevocations says that it can't be
	// told; the token must not be accepted then.
	Revoked(p *Principal) (bool, error)
}

// ErrUnknownRevocations says that revocations have not been heard of for too long.
var ErrUnknownRevocations = errors.New("revocations have not been read for too long")

// NoRevocations accepts every token that is otherwise good. It is for tests.
type NoRevocations struct{}

// Revoked implements Revocations.
func (NoRevocations) Revoked(*Principal) (bool, error) { return false, nil }
