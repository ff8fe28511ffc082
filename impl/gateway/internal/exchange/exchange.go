// Package exchange holds what the gateway knows of one request on its way, and runs it through the steps in their order.
// A step does one check or one deed and returns a problem when the way ends there.
package exchange

import (
	"net/http"
	"net/netip"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
)

// Exchange is one request and its answer. Steps fill it from top to bottom.
type Exchange struct {
	Writer   http.ResponseWriter
	Request  *http.Request
	ClientIP netip.Addr // the peer, or what a trusted proxy says of it

	Match     *contract.Match
	Operation *contract.Operation
	Principal *auth.Principal // nil at a public operation
	Code      string          // the X-OTP header, which leaves the request at once
	Redeem    bool            // the code must be redeemed before the request goes on

	Body []byte // nil: none was sent, or it is a stream

	Answered bool // a step has written the answer

	after []func()
}

// Step is one station. Name is what the order test and the metrics call it.
type Step struct {
	Name string
	Do   func(*Exchange) error
}

// After registers what is done when the exchange has ended, last registered first.
func (x *Exchange) After(do func()) { x.after = append(x.after, do) }

// Run takes the exchange through the steps until one refuses or answers; it returns the refusal and the step's name.
func Run(x *Exchange, steps []Step) (refusedBy string, err error) {
	defer func() {
		for i := len(x.after) - 1; i >= 0; i-- {
			x.after[i]()
		}
	}()
	for _, step := range steps {
		if err := step.Do(x); err != nil {
			return step.Name, err
		}
		if x.Answered {
			return "", nil
		}
	}
	return "", nil
}
