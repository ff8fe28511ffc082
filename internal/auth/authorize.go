package auth

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// Authorize makes every authorization decision that needs no request body: scopes, kind of principal and roles (Permit), then the second factor
// (StepUp). It returns nil or a problem.
func Authorize(p *Principal, op *contract.Operation, now time.Time) error {
	if err := Permit(p, op); err != nil {
		return err
	}
	return StepUp(p, op, now)
}

// Permit checks the scopes, then the kind of principal, then a user's roles. Where the contract's security lists alternatives, one of them is enough.
func Permit(p *Principal, op *contract.Operation) error {
	if !op.Public && !slices.ContainsFunc(op.Requirements, func(r contract.Requirement) bool { return p.hasScopes(r.Scopes) }) {
		return problem.New(problem.InsufficientScope, "The access token lacks a scope that this operation needs.").
			WithHeader("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q, error="insufficient_scope", scope=%q`, realm, strings.Join(op.Scopes(), " ")))
	}
	if !slices.Contains(op.Policy.Principals, p.Kind) {
		return problem.New(problem.PrincipalNotAllowed, "This operation is not for this kind of principal.")
	}
	if p.Kind == KindUser && !op.Policy.Roles.Permit(p.Roles) {
		return problem.New(problem.InsufficientRole, "The user has no role that this operation needs.")
	}
	return nil
}

// StepUp checks the second factor where the contract demands it of every request. A dynamic demand is left to the domain, which calls RequireStepUp.
func StepUp(p *Principal, op *contract.Operation, now time.Time) error {
	if s := op.Policy.StepUp; s == nil || s.Dynamic {
		return nil
	}
	return RequireStepUp(p, op, now)
}

// RequireStepUp checks the contract's demand for a second factor, dynamic or not. The refusal is the challenge of RFC 9470, section 3.
func RequireStepUp(p *Principal, op *contract.Operation, now time.Time) error {
	s := op.Policy.StepUp
	if s == nil || !slices.Contains(s.For, p.Kind) {
		return nil
	}
	age := now.Sub(p.AuthTime)
	if contract.ACRSatisfies(p.ACR, s.ACR) && age <= s.MaxAge && age >= -Leeway {
		return nil
	}
	return Challenge(s)
}

// Challenge returns the refusal that asks for a second factor (RFC 9470, section 3).
func Challenge(s *contract.StepUp) error {
	seconds := int64(s.MaxAge / time.Second)
	return problem.New(problem.InsufficientUserAuthentication, fmt.Sprintf("A second factor within the last %d seconds is needed.", seconds)).
		WithHeader("WWW-Authenticate", fmt.Sprintf(
			`Bearer realm=%q, error="insufficient_user_authentication", error_description="A second factor is needed", acr_values=%q, max_age="%d"`, realm, s.ACR, seconds)).
		WithAuthentication([]string{s.ACR}, s.MaxAge)
}

// ForItAlone refuses, at an operation of an adopted service, a token that is also valid for other services: the adopted service could use it there.
// The refusal is invalid_token (401). It returns nil when p is nil, because the operation is public.
func ForItAlone(p *Principal, op *contract.Operation) error {
	if op.Mount == "" || p == nil || len(p.Audience) == 1 {
		return nil
	}
	return refusedToken("This service accepts only tokens that are for it alone: request one with resource="+op.Word+".", "it has several audiences")
}
