package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/fountainai/fountain/generated/twofactorapi"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/problem"
)

// codes is the one table of what the refusals of package factor become outside.
var codes = map[factor.Kind]problem.Code{
	factor.Forbidden:          problem.Forbidden,
	factor.Gone:               problem.Gone,
	factor.InvalidCode:        problem.InvalidCode,
	factor.InvalidInvitation:  problem.InvalidInvitation,
	factor.InvitationRequired: problem.InvitationRequired,
	factor.LimitReached:       problem.LimitReached,
	factor.NotFound:           problem.NotFound,
	factor.SessionEnded:       problem.SessionEnded,
	factor.TooManyAttempts:    problem.TooManyAttempts,
	factor.Unavailable:        problem.Unavailable,
}

// refuse turns a refusal of package factor into a problem. Other errors, problems among them, pass unchanged.
func refuse(err error) error {
	var refusal *factor.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	code, known := codes[refusal.Kind]
	if !known {
		return err
	}
	p := problem.New(code, refusal.Sentence).Wrap(err) // with what was tried, for the log
	if refusal.Retry > 0 {
		p = p.WithRetryAfter(refusal.Retry)
	}
	switch refusal.Kind {
	case factor.InvalidInvitation:
		p = p.WithField("body", "/invitation", "invitation", "does not hold")
	case factor.SessionEnded:
		p = p.WithHeader("WWW-Authenticate", `Bearer realm="fountain", error="invalid_token"`)
	}
	return p
}

// translated makes problems of refusals.
func translated(next twofactorapi.StrictHandlerFunc, _ string) twofactorapi.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		answer, err := next(ctx, w, r, request)
		if err != nil {
			return nil, refuse(err)
		}
		return answer, nil
	}
}
