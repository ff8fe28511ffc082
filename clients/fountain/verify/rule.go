package verify

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Rule says who may call an operation. The zero Rule admits no caller.
type Rule struct {
	Public     bool       // no authentication
	Scopes     [][]string // alternatives: all scopes of one of them are needed; an empty alternative needs only a token
	Principals []string   // User, Service; empty: both
	AnyRole    []string   // a user needs one of them; not checked for services, which have no roles
	AllRoles   []string   // a user needs all of them
	StepUp     *StepUp    // nil: no second factor is needed
}

// StepUp requires a second factor (RFC 9470).
type StepUp struct {
	ACR    string        // aal2 or phr
	MaxAge time.Duration // maximum age of the factor, in whole seconds
	For    []string      // kinds of principals that need it; empty: users
}

// Require returns a rule that needs a token with all of the scopes; without any, it needs only a token.
func Require(scopes ...string) Rule { return Rule{Scopes: [][]string{scopes}} }

// Public returns a rule that requires nothing.
func Public() Rule { return Rule{Public: true} }

// Or returns the rule with another alternative set of scopes.
func (r Rule) Or(scopes ...string) Rule {
	r.Scopes = append(slices.Clone(r.Scopes), scopes)
	return r
}

// WithStepUp returns the rule with a second factor required of users, of at least the level acr and at most maxAge old.
func (r Rule) WithStepUp(acr string, maxAge time.Duration) Rule {
	r.StepUp = &StepUp{ACR: acr, MaxAge: maxAge}
	return r
}

// levels are the authentication context classes in ascending order.
var levels = []string{"aal1", "aal2", "phr"}

// check returns an error for a rule that contradicts itself or contains unknown words.
func (r Rule) check() error {
	if r.Public && (len(r.Scopes) > 0 || r.StepUp != nil || len(r.Principals)+len(r.AnyRole)+len(r.AllRoles) > 0) {
		return errors.New("a public operation has no other requirement")
	}
	if !r.Public && len(r.Scopes) == 0 {
		return errors.New("the rule admits no caller: use Require or Public")
	}
	for _, scope := range slices.Concat(r.Scopes...) {
		if scope == "" || strings.ContainsFunc(scope, notScopeCharacter) {
			return errors.New("a scope has characters that RFC 6749 does not allow")
		}
	}
	kinds := r.Principals
	if s := r.StepUp; s != nil {
		if slices.Index(levels, s.ACR) < 1 || s.MaxAge < time.Second {
			return errors.New("a step-up requires aal2 or phr, and an age of at least a second")
		}
		kinds = slices.Concat(kinds, s.For)
	}
	if slices.ContainsFunc(kinds, func(kind string) bool { return kind != User && kind != Service }) {
		return errors.New("a principal is user or service")
	}
	return nil
}

// notScopeCharacter follows RFC 6749, section 3.3.
func notScopeCharacter(c rune) bool { return c < 0x21 || c > 0x7e || c == '"' || c == '\\' }

// permit checks scopes, kind of principal, roles and second factor, in this order.
func (v *Verifier) permit(p *Principal, r Rule) *Problem {
	lacking := func(scopes []string) bool {
		return slices.ContainsFunc(scopes, func(s string) bool { return !p.HasScope(s) })
	}
	if !slices.ContainsFunc(r.Scopes, func(scopes []string) bool { return !lacking(scopes) }) {
		return v.insufficientScope(slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.Scopes...)))))
	}
	if len(r.Principals) > 0 && !slices.Contains(r.Principals, p.Kind) {
		return forbidden("principal_not_allowed", "Principal not allowed", "This operation is not for this kind of principal.")
	}
	if p.Kind == User {
		none := len(r.AnyRole) > 0 && !slices.ContainsFunc(r.AnyRole, p.HasRole)
		if none || slices.ContainsFunc(r.AllRoles, func(role string) bool { return !p.HasRole(role) }) {
			return forbidden("insufficient_role", "Insufficient role", "The user has no role that this operation needs.")
		}
	}
	if r.StepUp == nil {
		return nil
	}
	return v.stepUp(p, *r.StepUp)
}

// StepUp checks for a second factor. It is for handlers that can tell only from the request whether one is needed. Its
// error is a *Problem with the challenge of RFC 9470, section 3.
func (v *Verifier) StepUp(p *Principal, s StepUp) error {
	if refusal := v.stepUp(p, s); refusal != nil {
		return refusal
	}
	return nil
}

func (v *Verifier) stepUp(p *Principal, s StepUp) *Problem {
	asked := s.For
	if len(asked) == 0 {
		asked = []string{User}
	}
	if !slices.Contains(asked, p.Kind) {
		return nil
	}
	have, want := slices.Index(levels, p.ACR), slices.Index(levels, s.ACR)
	age := v.config.Now().Sub(p.AuthTime)
	if want < 0 || have < want || age > s.MaxAge || age < -leeway {
		return v.stepUpNeeded(s)
	}
	return nil
}

// bearer returns the request's token (RFC 6750, section 2.1). A request without credentials is authentication_required,
// with a challenge that names no error. A malformed or repeated Authorization header is invalid_token.
func (v *Verifier) bearer(r *http.Request) (string, *Problem) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", v.noCredentials()
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", v.invalidToken(errors.New("the Authorization header is not Bearer with one token"))
	}
	return token, nil
}

// Admit applies a rule to a request. If the rule is not public, the context of the returned request has the principal.
// A refusal is a *Problem.
func (v *Verifier) Admit(r *http.Request, rule Rule) (*http.Request, error) {
	if rule.Public {
		return r, nil
	}
	token, refusal := v.bearer(r)
	if refusal != nil {
		return nil, refusal
	}
	p, err := v.Verify(r.Context(), token)
	if err != nil {
		return nil, err
	}
	if refusal := v.permit(p, rule); refusal != nil {
		return nil, refusal
	}
	return r.WithContext(NewContext(r.Context(), p)), nil
}

// Protect guards one handler. It panics if the rule contradicts itself, because that is a programming error.
func (v *Verifier) Protect(rule Rule, next http.Handler) http.Handler {
	if err := rule.check(); err != nil {
		panic("verify: " + err.Error())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, err := v.Admit(r, rule)
		if err != nil {
			v.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, admitted)
	})
}

func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var p *Problem
	if !errors.As(err, &p) { // every refusal of this package is a *Problem
		p = v.unavailable("The request can't be judged.", err)
	}
	if p.Status >= http.StatusInternalServerError {
		v.config.Log.WarnContext(r.Context(), "a request can't be judged", "code", p.Code, "error", p.cause)
	} else {
		v.config.Log.DebugContext(r.Context(), "a request is refused", "code", p.Code, "error", p.cause)
	}
	v.config.Refuse(w, r, p)
}
