package factor

import (
	"errors"
	"fmt"
	"time"
)

// Refusals of the rules. The refusals in Caller.SecondFactor and Caller.SignIn are returned unchanged.
var (
	ErrInvalidCode        = errors.New("code is not valid")                                // wrong, used or too old, or the subject has no factor; callers can't tell which
	ErrNoSession          = errors.New("token belongs to no session that could be raised") // such as that of an API key
	ErrSessionEnded       = errors.New("session has ended")                                // as the kms says at this moment
	ErrInvitation         = errors.New("invitation is not valid")                          // unknown, expired, used, or issued to another user
	ErrInvitationRequired = errors.New("an administrator's first factor needs an invitation")
	ErrAuthorityAway      = errors.New("the kms can't be reached")
	ErrNotAdministrator   = errors.New("the caller is not an administrator now")
	ErrNoFactor           = errors.New("subject has no active factor")
	ErrLimit              = fmt.Errorf("a subject has at most %d factors", MaxFactors)
	ErrUnknown            = errors.New("subject has no such factor, or not in the state that was asked for")
	ErrExpired            = errors.New("enrolment has expired")
)

// TooManyAttempts says that no code is checked for a while.
type TooManyAttempts struct {
	After time.Duration // until codes are checked again
}

// Error implements error.
func (e *TooManyAttempts) Error() string { return "too many wrong codes" }
