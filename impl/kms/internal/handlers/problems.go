package handlers

import (
	"context"
	"errors"
	"net/http"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

// codes maps the domain's kinds of refusal to problem codes.
var codes = map[domain.Kind]problem.Code{
	domain.AlreadyExists:         problem.AlreadyExists,
	domain.BootstrapClosed:       problem.BootstrapClosed,
	domain.ContractBreaking:      problem.ContractBreaking,
	domain.Ended:                 problem.InvalidToken,
	domain.FactorNotAccepted:     problem.FactorNotAccepted,
	domain.Forbidden:             problem.Forbidden,
	domain.Gone:                  problem.Gone,
	domain.InsufficientScope:     problem.InsufficientScope,
	domain.InvalidBootstrapToken: problem.InvalidBootstrapToken,
	domain.InvalidClient:         problem.InvalidClient,
	domain.InvalidCredentials:    problem.InvalidCredentials,
	domain.InvalidContract:       problem.InvalidContract,
	domain.InvalidEnrolmentToken: problem.InvalidEnrolmentToken,
	domain.InvalidGrant:          problem.InvalidGrant,
	domain.InvalidInvitation:     problem.InvalidInvitation,
	domain.InvalidProof:          problem.InvalidProof,
	domain.InvalidRequest:        problem.InvalidRequest,
	domain.InvalidResetToken:     problem.InvalidResetToken,
	domain.InvalidScope:          problem.InvalidScope,
	domain.InvalidTarget:         problem.InvalidTarget,
	domain.LastAdministrator:     problem.LastAdministrator,
	domain.LimitReached:          problem.LimitReached,
	domain.MailOff:               problem.MailOff,
	domain.NotFound:              problem.NotFound,
	domain.Overloaded:            problem.Overloaded,
	domain.RateLimited:           problem.RateLimited,
	domain.PreconditionFailed:    problem.PreconditionFailed,
	domain.ProofUsed:             problem.ProofUsed,
	domain.RequiredService:       problem.RequiredService,
	domain.SessionEnded:          problem.SessionEnded,
	domain.StateConflict:         problem.StateConflict,
	domain.UnsupportedGrantType:  problem.UnsupportedGrantType,
	domain.ValidationFailed:      problem.ValidationFailed,
	domain.WeakPassword:          problem.WeakPassword,
}

// refuse turns refusals of the domain, and of the packages that services share, into problems. It returns other errors, including problems, unchanged.
func refuse(err error) error {
	switch {
	case errors.Is(err, page.ErrInvalid):
		return problem.BadCursor().Wrap(err)
	case errors.Is(err, auth.ErrInvalidProof):
		return problem.New(problem.InvalidProof, "The second-factor proof is not valid.").Wrap(err)
	}
	var refusal *domain.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	code, known := codes[refusal.Kind]
	if !known {
		return err
	}
	p := problem.New(code, refusal.Sentence).Wrap(err) // with what was tried, for the log
	for _, f := range refusal.Fields {
		p = p.With(problem.Field{In: f.In, Pointer: f.Pointer, Keyword: f.Rule, Message: f.Message, Name: f.Name})
	}
	if refusal.Retry > 0 {
		p = p.WithRetryAfter(refusal.Retry)
	}
	return p
}

const (
	bearerChallenge  = `Bearer realm="fountain"`
	invalidChallenge = `Bearer realm="fountain", error="invalid_token"`
	basicChallenge   = `Basic realm="fountain", charset="UTF-8"`
)

// translated turns refusals into problems, and adds to every 401 how to authenticate (RFC 9110, section 11.6.1; RFC 6749, section 5.2).
func translated(next kmsapi.StrictHandlerFunc, _ string) kmsapi.StrictHandlerFunc {
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		answer, err := next(ctx, w, r, request)
		if err == nil {
			return answer, nil
		}
		err = refuse(err)
		var known *problem.Error
		if !errors.As(err, &known) || known.Status() != http.StatusUnauthorized || known.Header.Get("WWW-Authenticate") != "" {
			return nil, err
		}
		switch known.Code {
		case problem.InvalidClient:
			return nil, known.WithHeader("WWW-Authenticate", basicChallenge)
		case problem.InvalidToken:
			return nil, known.WithHeader("WWW-Authenticate", invalidChallenge)
		}
		return nil, known.WithHeader("WWW-Authenticate", bearerChallenge)
	}
}
