package challenge

import "time"

// Kind is the reason of a refusal.
type Kind string

// The kinds of refusals.
const (
	NotFound    Kind = "not found"
	Gone        Kind = "gone"           // expired, cancelled or replaced
	Used        Kind = "used"           // the code was accepted before
	Wrong       Kind = "wrong"          // the code is not right
	TooMany     Kind = "too many"       // attempts
	Budget      Kind = "budget"         // messages
	NoFactor    Kind = "no factor"      // nothing that a code could be sent to
	BadTarget   Kind = "bad target"     // not an address, or one to which codes are not sent
	Known       Kind = "known"          // the subject has this target already
	Full        Kind = "full"           // the subject has the maximum number of factors
	Away        Kind = "away"           // no provider works
	NoRaise     Kind = "does not raise" // a code of this channel raises no session
	NotYours    Kind = "not yours"      // a user named another subject
	SubjectLack Kind = "subject lack"   // a service did not name the subject
)

// Refusal is an error of the rules. Its text may be shown to the caller and contains nothing that the caller has sent.
type Refusal struct {
	Kind   Kind
	Detail string
	After  time.Duration // when a repeat can succeed; 0: not known
}

// Error implements error.
func (r *Refusal) Error() string { return r.Detail }

func refuse(kind Kind, detail string) error { return &Refusal{Kind: kind, Detail: detail} }

func refuseFor(kind Kind, after time.Duration, detail string) error {
	return &Refusal{Kind: kind, Detail: detail, After: after}
}

func notFound() error { return refuse(NotFound, "There is no such challenge.") }
