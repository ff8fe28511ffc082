package contract

import (
	"slices"
	"time"
)

// Policy is the x-fountain extension of one operation after inheritance: root, then path, then operation. A later key replaces an earlier one, except
// rate, which is merged by name.
type Policy struct {
	Principals  []string      // "user", "service": who may call at all
	Roles       Roles         // for users, after scopes
	APIKey      bool          // the gateway accepts an API key as bearer token and exchanges it for an access token
	StepUp      *StepUp       // nil: no second factor is demanded
	Rate        []Rate        // all must pass
	Concurrency int           // requests of this operation at a time; 0: no limit
	PerSubject  int           // of these, requests of one subject; 0: no limit of its own
	Timeout     time.Duration // for the whole request; streams are exempt
	Body        Size          // of the request
	Response    Size          // of the answer; streams are exempt
	Idempotency string        // IdempotencyRequired, IdempotencyOptional, IdempotencyNone or "" where the method needs none
	Retry       *Retry        // nil: see Operation.Repeats
	Stream      *Stream       // nil: not a stream
	Validate    Validation
	Sensitive   bool   // nothing of body or query is logged, answers are not stored
	Errors      string // ErrorsProblem or ErrorsOAuth: the form of the answer when it fails
}

// Values of Policy.Idempotency.
const (
	IdempotencyRequired = "required"
	IdempotencyOptional = "optional"
	IdempotencyNone     = "none"
)

// Values of Policy.Errors.
const (
	ErrorsProblem = "problem"
	ErrorsOAuth   = "oauth"
)

// Roles are the required roles of a user. The zero value requires none.
type Roles struct {
	AnyOf []string `json:"anyOf,omitempty"`
	AllOf []string `json:"allOf,omitempty"`
}

// Permit reports whether roles satisfy the requirement.
func (r Roles) Permit(roles []string) bool {
	for _, need := range r.AllOf {
		if !slices.Contains(roles, need) {
			return false
		}
	}
	if len(r.AnyOf) == 0 {
		return true
	}
	return slices.ContainsFunc(r.AnyOf, func(one string) bool { return slices.Contains(roles, one) })
}

// StepUp is the demand for a second factor (RFC 9470).
type StepUp struct {
	ACR     string        // aal2 or phr
	MaxAge  time.Duration // how old auth_time may be
	For     []string      // the kinds of principal it is demanded of
	Dynamic bool          // a rule of the domain may demand it: then nothing is checked before the handler
}

// Rate is one limit.
type Rate struct {
	Name    string
	Key     string // "sub", "ip", "client" or "operation"
	Quota   int    // requests (times Cost) per Window
	Window  time.Duration
	Burst   int
	Cost    int
	Preauth bool // counted before authentication; only with key ip or operation
}

// Size is a cap in bytes.
type Size struct{ Max int64 }

// Retry says how often the gateway may repeat a request, on another target, after a connection broke before any answer.
type Retry struct {
	Max int      // 0: never
	On  []string // "connect"
}

// Stream kinds.
const (
	StreamSSE      = "sse"
	StreamNDJSON   = "ndjson"
	StreamLongPoll = "longpoll"
)

// Stream marks an operation whose request or answer has no fixed end.
type Stream struct {
	Kind        string
	Idle        time.Duration // maximum pause between pieces of the request body or of the answer
	MaxDuration time.Duration
	LineMax     int64 // most bytes of one NDJSON line
}

// Validation says how violations are handled on each side.
type Validation struct{ Request, Response Mode }

// Mode is enforce, report, off, or sample with a share of requests.
type Mode struct {
	Kind   string
	Sample float64 // 0..1, for ModeSample
}

// Kinds of Mode.
const (
	ModeEnforce = "enforce"
	ModeReport  = "report"
	ModeSample  = "sample"
	ModeOff     = "off"
)

// Authentication context classes in rising order (DESIGN section 6).
const (
	ACRPassword          = "aal1"
	ACRSecondFactor      = "aal2"
	ACRPhishingResistant = "phr"
)

// ACRSatisfies reports whether a token's acr is at least the required one. An unknown acr satisfies nothing.
func ACRSatisfies(have, want string) bool {
	order := []string{ACRPassword, ACRSecondFactor, ACRPhishingResistant}
	h, w := slices.Index(order, have), slices.Index(order, want)
	return w >= 0 && h >= w
}
