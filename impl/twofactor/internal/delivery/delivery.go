// Package delivery sends one-time codes to people: by mail, by SMS, and by webhook. It knows providers, addresses and templates. It does not know who may
// ask for a code, nor when one is right.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Channel is a way to send messages to a person.
type Channel string

// The channels.
const (
	Email   Channel = "email"
	SMS     Channel = "sms"
	Webhook Channel = "webhook"
)

// Message is a code, a notice or a letter for one target.
type Message struct {
	ID        string // the same for every try, so that a provider or a receiver can recognise a repetition
	Channel   Channel
	Target    string // in the canonical form of ParseTarget
	Subject   string // the owner of the code
	Code      string
	Purpose   string        // what the code is for, in the words of the caller who asked for it
	Operation string        // what exactly giving the code agrees to; "" for nothing in particular
	Life      time.Duration // of the code, from the provider's acceptance
	Notice    string        // what was done to the person's factors: a key of Notices. A notice has no code, purpose, operation or life
	Letter    *Letter       // a mail of the kms; nil for none. A letter has neither a code nor a notice
}

// Notices are the sentences of the notices in mails and SMS, by their keys.
var Notices = map[string]string{
	"factor_added":       "A second factor was added to your account.",
	"factor_revoked":     "A second factor of your account was revoked.",
	"recovery_code_used": "A recovery code of your account was used.",
	"factors_reset":      "An administrator has ended all second factors of your account.",
	"factors_voided":     "An operator has ended all second factors of your account.",
}

// Receipt is a provider's confirmation that it has accepted a message.
type Receipt struct {
	Provider string
	ID       string // of the message at the provider; "" when it gives none
}

// Sender passes messages to one provider. A Send that returns an error other than a *Failure may be tried again.
type Sender interface {
	Name() string
	Send(ctx context.Context, m Message, text Text) (Receipt, error)
}

// Failure is why a provider has not accepted a message. Its text contains neither the code nor the target.
type Failure struct {
	Permanent bool          // a repeat would fail too
	After     time.Duration // how long the provider asks to wait; 0: it does not say
	Reason    string        // a word for status and metrics
	cause     error
}

// Error implements error.
func (f *Failure) Error() string {
	if f.cause != nil {
		return fmt.Sprintf("%s: %v", f.Reason, f.cause)
	}
	return f.Reason
}

// Unwrap returns what caused the failure.
func (f *Failure) Unwrap() error { return f.cause }

// The reasons of failures.
const (
	Rejected    = "rejected"    // the provider refuses this message or this target for good
	Refused     = "refused"     // the provider refuses this service: credentials, account, sender
	Limited     = "limited"     // too many messages for the provider
	Unreachable = "unreachable" // no answer, or a fault of the provider
	Undelivered = "undelivered" // the provider accepted it, and reported later that it did not arrive
	Off         = "off"         // no provider is configured for the channel
	Resting     = "resting"     // every provider of the channel has failed repeatedly, and none is tried for a while (breaker)
)

func permanent(reason string, cause error) error {
	return &Failure{Permanent: true, Reason: reason, cause: cause}
}

func temporary(reason string, after time.Duration, cause error) error {
	return &Failure{Reason: reason, After: after, cause: cause}
}

// AsFailure returns err as a *Failure. Any other error was not foreseen, and may be tried again.
func AsFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Reason: Unreachable, cause: err}
}
