package factor

import (
	"errors"
	"fmt"
	"time"
)

// What the rules refuse. A refusal that the caller brings along (Caller.SecondFactor, Caller.SignIn) is returned as it is.
var (
	ErrInvalidCode        = errors.New("code is not valid")                                // wrong, used or too old, or the subject has no factor: alike
	ErrNoSession          = errors.New("token belongs to no session that could be raised") // an API key's
	ErrSessionEnded       = errors.New("session has ended")                                // by the kms's word at this moment
	ErrInvitation         = errors.New("invitation is not good")                           // unknown, expired, used, or another user's
	ErrInvitationRequired = errors.New("an administrator's first factor needs an invitation")
	ErrAuthorityAway      = errors.New("the kms can't be asked")
	ErrNotAdministrator   = errors.New("the caller is no administrator now")
	ErrNoFactor           = errors.New("subject has no active factor")
	ErrLimit              = fmt.Errorf("a subject has at most %d factors", MaxFactors)
	ErrUnknown            = errors.New("subject has no such factor, or not in the state that was asked for")
	ErrExpired            = errors.New("enrolment has expired")
)

// TooManyAttempts says that no code is looked at for a while.
type TooManyAttempts struct {
	After time.Duration // until the next one is
}

// Error implements error.
func (e *TooManyAttempts) Error() string { return "too many wrong codes" }
