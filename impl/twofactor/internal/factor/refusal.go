package factor

import "time"

// Kind says why something is refused. It is an error, so that errors.Is(err, factor.InvalidCode) asks for it.
type Kind string

// The kinds of refusal. What each becomes outside is decided in handlers/problems.go.
const (
	Forbidden          Kind = "forbidden"
	Gone               Kind = "gone"
	InvalidCode        Kind = "invalid code"
	InvalidInvitation  Kind = "invalid invitation"
	InvitationRequired Kind = "invitation required"
	LimitReached       Kind = "limit reached"
	NotFound           Kind = "not found"
	SessionEnded       Kind = "session ended"
	TooManyAttempts    Kind = "too many attempts"
	Unavailable        Kind = "unavailable"
)

// Error implements error.
func (k Kind) Error() string { return string(k) }

// Refusal says that a rule does not allow what was asked, or that it can't be done now.
type Refusal struct {
	Kind     Kind
	Sentence string        // for the caller: a full sentence without internals
	Retry    time.Duration // after which to try again; 0: it does not help
	cause    error
}

// Refuse returns a refusal.
func Refuse(kind Kind, sentence string) *Refusal { return &Refusal{Kind: kind, Sentence: sentence} }

// After says when to try again.
func (r *Refusal) After(d time.Duration) *Refusal {
	r.Retry = d
	return r
}

// Because keeps the cause, for the log alone.
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

// Unwrap gives errors.Is the kind and the cause.
func (r *Refusal) Unwrap() []error {
	if r.cause == nil {
		return []error{r.Kind}
	}
	return []error{r.Kind, r.cause}
}

// LockedOut is what a locked factor answers until its lock ends, in left.
func LockedOut(left time.Duration) error {
	return Refuse(TooManyAttempts, "Too many wrong codes were given; wait before the next one.").After(max(left, time.Nanosecond))
}

// Unknown says that the subject has no such factor, or not in the state that was asked for.
func Unknown() error { return Refuse(NotFound, "There is no such factor.") }
