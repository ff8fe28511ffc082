package passkey

import "errors"

// Refusals of the rules, in addition to those of package factor.
var (
	ErrOff     = errors.New("passkeys are switched off")
	ErrInvalid = errors.New("the answer of the passkey is not valid")
	ErrUnknown = errors.New("there is no such challenge of the session")
	ErrGone    = errors.New("challenge was answered or has expired")
	ErrNone    = errors.New("subject has no passkey")
	ErrKnown   = errors.New("credential is a factor already")
)
