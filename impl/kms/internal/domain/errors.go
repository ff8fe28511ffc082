// Package domain has what the domain packages of the kms share: refusals and time. It knows neither HTTP nor SQL.
package domain

import "time"

// Kind is the reason of a refusal. It is an error, so that errors.Is(err, domain.Forbidden) tests for it.
type Kind string

// The kinds of refusal. handlers/problems.go maps them to problems.
const (
	AlreadyExists         Kind = "already exists"
	BootstrapClosed       Kind = "bootstrap is closed"
	ContractBreaking      Kind = "contract is breaking"
	Ended                 Kind = "session, key or owner has ended"
	FactorNotAccepted     Kind = "factor is not accepted"
	Forbidden             Kind = "forbidden"
	Gone                  Kind = "gone"
	InsufficientScope     Kind = "insufficient scope"
	InvalidBootstrapToken Kind = "invalid bootstrap token"
	InvalidClient         Kind = "invalid client"
	InvalidContract       Kind = "invalid contract"
	InvalidCredentials    Kind = "invalid credentials"
	InvalidEnrolmentToken Kind = "invalid enrolment token"
	InvalidGrant          Kind = "invalid grant"
	InvalidInvitation     Kind = "invalid invitation"
	InvalidProof          Kind = "invalid proof"
	InvalidRequest        Kind = "invalid request"
	InvalidResetToken     Kind = "invalid reset token"
	InvalidScope          Kind = "invalid scope"
	InvalidTarget         Kind = "invalid target"
	LastAdministrator     Kind = "last administrator"
	LimitReached          Kind = "limit reached"
	MailOff               Kind = "mail is off"
	NotFound              Kind = "not found"
	Overloaded            Kind = "overloaded"
	PreconditionFailed    Kind = "precondition failed"
	ProofUsed             Kind = "proof used"
	RateLimited           Kind = "rate limited"
	RequiredService       Kind = "required service"
	SessionEnded          Kind = "session ended"
	StateConflict         Kind = "state conflict"
	UnsupportedGrantType  Kind = "unsupported grant type"
	ValidationFailed      Kind = "validation failed"
	WeakPassword          Kind = "weak password"
)

// Error implements error.
func (k Kind) Error() string { return string(k) }

// Field is an invalid part of a request.
type Field struct {
	In      string // body, path, query or header
	Pointer string // JSON pointer in a body, else the parameter's name
	Rule    string
	Message string // never repeats input, except places in a contract
	Name    string // the name by which a repeated request can accept it; mostly ""
}

// Refusal is the error of a request that a rule does not allow.
type Refusal struct {
	Kind     Kind
	Sentence string        // for the caller: a full sentence without internals
	Fields   []Field       // the invalid parts of the request, if known
	Retry    time.Duration // when to try again; 0: trying again does not help
	cause    error
}

// Refuse returns a refusal.
func Refuse(kind Kind, sentence string) *Refusal { return &Refusal{Kind: kind, Sentence: sentence} }

// WithField adds an invalid part of the request.
func (r *Refusal) WithField(in, pointer, rule, message string) *Refusal {
	r.Fields = append(r.Fields, Field{In: in, Pointer: pointer, Rule: rule, Message: message})
	return r
}

// After sets when to try again.
func (r *Refusal) After(d time.Duration) *Refusal {
	r.Retry = d
	return r
}

// Because sets the cause, which appears only in the log.
func (r *Refusal) Because(cause error) *Refusal {
	r.cause = cause
	return r
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.cause != nil {
		return string(r.Kind) + ": " + r.cause.Error()
	}
	return string(r.Kind)
}

// Unwrap returns the kind and the cause, for errors.Is.
func (r *Refusal) Unwrap() []error {
	if r.cause == nil {
		return []error{r.Kind}
	}
	return []error{r.Kind, r.cause}
}
