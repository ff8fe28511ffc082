// Package delivery brings one-time codes to people: by mail, by SMS, and by webhook. It knows providers, addresses and templates, and neither who may
// ask for a code nor when one is right.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Channel is a way to a person.
type Channel string

// The channels.
const (
	Email   Channel = "email"
	SMS     Channel = "sms"
	Webhook Channel = "webhook"
)

// Message is one code on its way to one target, a notice, or a letter.
type Message struct {
	ID        string // the same for every try, so that a provider or a receiver can tell a repetition
	Channel   Channel
	Target    string // in the canonical form of ParseTarget
	Subject   string // whose code it is
	Code      string
	Purpose   string        // what the code is for, in the words of whoever asked
	Operation string        // what exactly is agreed to by giving the code; "" for nothing in particular
	Life      time.Duration // of the code, from the provider's acceptance
	Notice    string        // what was done to the person's factors; a key of Notices. Then there is no code, purpose, operation or life
	Letter    *Letter       // a mail of the kms; nil for none. Then there is nothing of the others
}

// Notices are the sentences of the notices, each with its key, as mails and SMS have them.
var Notices = map[string]string{
	"factor_added":       "A second factor was added to your account.",
	"factor_revoked":     "A second factor of your account was revoked.",
	"recovery_code_used": "A recovery code of your account was used.",
	"factors_reset":      "An administrator has ended all second factors of your account.",
	"factors_voided":     "An operator has ended all second factors of your account.",
}

// Receipt is a provider's word that it has taken a message over.
type Receipt struct {
	Provider string
	ID       string // the provider's name of the message; "" where it gives none
}

// Sender hands messages to one provider. A Send that returns an error that is no *Failure may be tried again.
type Sender interface {
	Name() string
	Send(ctx context.Context, m Message, text Text) (Receipt, error)
}

// Failure is why a message was not taken over. Its text holds neither the code nor the target.
type Failure struct {
	Permanent bool          // trying again is of no use
	After     time.Duration // the provider asks to wait this long; 0: it does not say
	Reason    string        // a word for the status and the metric
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
	Refused     = "refused"     // the provider refuses us: credentials, account, sender
	Limited     = "limited"     // too many messages for the provider
	Unreachable = "unreachable" // no answer, or a fault of the provider
	Undelivered = "undelivered" // the provider took it over, and said later that it did not arrive
	Off         = "off"         // no provider is configured for the channel
	Resting     = "resting"     // every provider of the channel has failed repeatedly and is left alone for a moment
)

func permanent(reason string, cause error) error {
	return &Failure{Permanent: true, Reason: reason, cause: cause}
}

func temporary(reason string, after time.Duration, cause error) error {
	return &Failure{Reason: reason, After: after, cause: cause}
}

// AsFailure returns err as a failure. What is none was not foreseen, and may be tried again.
func AsFailure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Reason: Unreachable, cause: err}
}
