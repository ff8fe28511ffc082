package handlers

import (
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/passkey"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

// awayPause is how long clients are asked to wait while the kms or the database does not answer.
const awayPause = time.Second

// refuse translates an error of the rules or the database into a problem. It returns all other errors, problems among them, unchanged.
func refuse(err error) error {
	var locked *factor.TooManyAttempts
	switch {
	case errors.As(err, &locked):
		return problem.New(problem.TooManyAttempts, "Too many wrong codes were entered; wait before the next attempt.").WithRetryAfter(locked.After)
	case errors.Is(err, factor.ErrInvalidCode):
		return problem.New(problem.InvalidCode, "The code is not valid.")
	case errors.Is(err, factor.ErrNoSession):
		return problem.New(problem.Forbidden, "A code can only raise a session, and this token belongs to none: it was issued for an API key. Sign in with user name and password.")
	case errors.Is(err, factor.ErrSessionEnded):
		return problem.New(problem.SessionEnded, "The session has ended; sign in again.").
			WithHeader("WWW-Authenticate", `Bearer realm="fountain", error="invalid_token"`)
	case errors.Is(err, factor.ErrInvitation):
		return problem.New(problem.InvalidInvitation, "The invitation is unknown, used or expired.").WithField("body", "/invitation", "invitation", "is unknown, used or expired")
	case errors.Is(err, factor.ErrInvitationRequired):
		return problem.New(problem.InvitationRequired, "An administrator's first factor needs an invitation.")
	case errors.Is(err, factor.ErrAuthorityAway):
		return problem.New(problem.Unavailable, "The kms can't be reached to check the session.").WithRetryAfter(awayPause).Wrap(err)
	case errors.Is(err, factor.ErrNotAdministrator):
		return problem.New(problem.InsufficientRole, "Only an administrator may do this.")
	case errors.Is(err, factor.ErrNoFactor):
		return problem.New(problem.StateConflict, "Recovery codes require an active second factor; enrol one first.")
	case errors.Is(err, factor.ErrLimit):
		return problem.New(problem.LimitReached, fmt.Sprintf("A subject has at most %d factors.", factor.MaxFactors))
	case errors.Is(err, factor.ErrUnknown):
		return problem.New(problem.NotFound, "There is no such factor.")
	case errors.Is(err, factor.ErrExpired):
		return problem.New(problem.Gone, "The enrolment has expired; enrol again.")
	case errors.Is(err, store.ErrUnavailable):
		return problem.New(problem.Unavailable, "The service's database does not answer.").WithRetryAfter(awayPause).Wrap(err)
	case errors.Is(err, factor.ErrFirstRaises):
		return problem.New(problem.Forbidden, "An administrator's first factor must be one that can raise a session; enrol an authenticator.")
	}
	return refuseChallenge(refusePasskey(err))
}

// refusePasskey translates refusals of package passkey into problems. It returns other errors unchanged.
func refusePasskey(err error) error {
	switch {
	case errors.Is(err, passkey.ErrOff):
		return problem.New(problem.PasskeysOff, "Passkeys are switched off: no host name is configured for them.")
	case errors.Is(err, passkey.ErrInvalid):
		return problem.New(problem.InvalidPasskey, "The answer of the passkey is not valid; begin again.")
	case errors.Is(err, passkey.ErrUnknown):
		return problem.New(problem.NotFound, "There is no such challenge.")
	case errors.Is(err, passkey.ErrGone):
		return problem.New(problem.Gone, "The challenge was answered or has expired; begin a new one.")
	case errors.Is(err, passkey.ErrNone):
		return problem.New(problem.StateConflict, "You have no passkey; enrol one first.")
	case errors.Is(err, passkey.ErrKnown):
		return problem.New(problem.AlreadyExists, "This passkey is already one of your factors.")
	}
	return err
}

// refusalCodes are the problem codes of the refusals of package challenge.
var refusalCodes = map[challenge.Kind]problem.Code{
	challenge.NotFound:    problem.NotFound,
	challenge.Gone:        problem.Gone,
	challenge.Used:        problem.StateConflict,
	challenge.Wrong:       problem.InvalidCode,
	challenge.TooMany:     problem.TooManyAttempts,
	challenge.Budget:      problem.RateLimited,
	challenge.NoFactor:    problem.StateConflict,
	challenge.BadTarget:   problem.ValidationFailed,
	challenge.Known:       problem.AlreadyExists,
	challenge.Full:        problem.LimitReached,
	challenge.Away:        problem.Unavailable,
	challenge.NoRaise:     problem.Forbidden,
	challenge.NotYours:    problem.Forbidden,
	challenge.SubjectLack: problem.ValidationFailed,
}

// refuseChallenge translates refusals of package challenge into problems. It returns other errors unchanged.
func refuseChallenge(err error) error {
	var r *challenge.Refusal
	if !errors.As(err, &r) {
		return err
	}
	p := problem.New(refusalCodes[r.Kind], r.Detail).Wrap(err)
	if r.After > 0 {
		p = p.WithRetryAfter(r.After)
	}
	switch r.Kind {
	case challenge.BadTarget:
		p = p.WithField("body", "/target", "target", r.Detail)
	case challenge.SubjectLack:
		p = p.WithField("body", "/subject", "required", r.Detail)
	}
	return p
}
