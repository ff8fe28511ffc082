package handlers

import (
	"errors"

	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/internal/problem"
)

// refusalCodes is what the refusals of package challenge become outside.
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

// refuseChallenge makes a problem of what package challenge refuses; other errors pass.
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
