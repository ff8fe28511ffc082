package fountain

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/twofactor"
)

// EnrolDelivery starts the enrolment of an address to which codes are sent, and sends the first code. The factor
// becomes active with ConfirmDelivery. The requirements are those of EnrolTotp. Errors: CodeValidationFailed for an
// address to which codes are not sent, CodeRateLimited.
func (t *Twofactor) EnrolDelivery(ctx context.Context, body twofactor.DeliveryEnrol, opts ...CallOption) (*twofactor.DeliveryEnrolment, error) {
	return send[twofactor.DeliveryEnrolment](ctx, t.client, opEnrolDelivery, opts, func(server string) (*http.Request, error) {
		return twofactor.NewEnrolDeliveryRequest(server, body)
	})
}

// ConfirmDelivery activates a pending address with the code that was sent to it. It requires a second factor if another
// factor became active after this one was enrolled without a second factor. Errors: CodeInvalidCode, ErrGone.
func (t *Twofactor) ConfirmDelivery(ctx context.Context, factorID string, body twofactor.DeliveryConfirm, opts ...CallOption) (*twofactor.Factor, error) {
	return send[twofactor.Factor](ctx, t.client, opConfirmDelivery, opts, func(server string) (*http.Request, error) {
		return twofactor.NewConfirmDeliveryRequest(server, factorID, body)
	})
}

// CreateChallenge sends a code. A service names the subject; a user gets the code at their own address. Errors:
// CodeStateConflict if a user has no such address, CodeRateLimited, ErrUnavailable while no provider works.
func (t *Twofactor) CreateChallenge(ctx context.Context, body twofactor.ChallengeCreate, opts ...CallOption) (*twofactor.Challenge, error) {
	return send[twofactor.Challenge](ctx, t.client, opCreateChallenge, opts, func(server string) (*http.Request, error) {
		return twofactor.NewCreateChallengeRequest(server, body)
	})
}

// GetChallenge reads the state of one of the caller's challenges and the delivery status of its code.
func (t *Twofactor) GetChallenge(ctx context.Context, challengeID string, opts ...CallOption) (*twofactor.Challenge, error) {
	return send[twofactor.Challenge](ctx, t.client, opGetChallenge, opts, func(server string) (*http.Request, error) {
		return twofactor.NewGetChallengeRequest(server, challengeID)
	})
}

// CancelChallenge cancels a challenge. Its codes are no longer accepted.
func (t *Twofactor) CancelChallenge(ctx context.Context, challengeID string, opts ...CallOption) error {
	return exec(ctx, t.client, opCancelChallenge, opts, func(server string) (*http.Request, error) {
		return twofactor.NewCancelChallengeRequest(server, challengeID)
	})
}

// ResendChallenge sends another code for a challenge. Earlier attempts still count. Errors: CodeRateLimited before
// ResendAfter, ErrGone.
func (t *Twofactor) ResendChallenge(ctx context.Context, challengeID string, opts ...CallOption) (*twofactor.Challenge, error) {
	return send[twofactor.Challenge](ctx, t.client, opResendChallenge, opts, func(server string) (*http.Request, error) {
		return twofactor.NewResendChallengeRequest(server, challengeID)
	})
}

// VerifyChallenge verifies the code of a challenge, which uses it up. Errors: CodeInvalidCode, CodeTooManyAttempts,
// CodeStateConflict if the challenge was verified before, ErrGone.
func (t *Twofactor) VerifyChallenge(ctx context.Context, challengeID string, body twofactor.ChallengeVerify, opts ...CallOption) (*twofactor.ChallengeVerified, error) {
	return send[twofactor.ChallengeVerified](ctx, t.client, opVerifyChallenge, opts, func(server string) (*http.Request, error) {
		return twofactor.NewVerifyChallengeRequest(server, challengeID, body)
	})
}

// ListDeliveries reads one page of the codes that were sent, newest first; Deliveries reads all. It is for
// administrators.
func (t *Twofactor) ListDeliveries(ctx context.Context, params *twofactor.ListDeliveriesParams, opts ...CallOption) (*twofactor.DeliveryList, error) {
	return send[twofactor.DeliveryList](ctx, t.client, opListDeliveries, opts, func(server string) (*http.Request, error) {
		return twofactor.NewListDeliveriesRequest(server, params)
	})
}

// Deliveries yields the codes that were sent, newest first.
func (t *Twofactor) Deliveries(ctx context.Context, opts ...CallOption) iter.Seq2[twofactor.Delivery, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]twofactor.Delivery, *string, error) {
		page, err := t.ListDeliveries(ctx, &twofactor.ListDeliveriesParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// ReceiveTwilioStatus forwards a status report of Twilio with its X-Twilio-Signature. It is for a relay that Twilio can
// reach when it cannot reach the gateway.
func (t *Twofactor) ReceiveTwilioStatus(ctx context.Context, signature string, form url.Values, opts ...CallOption) error {
	return exec(ctx, t.client, opReceiveTwilioStatus, opts, func(server string) (*http.Request, error) {
		return twofactor.NewReceiveTwilioStatusRequestWithBody(server, &twofactor.ReceiveTwilioStatusParams{XTwilioSignature: &signature},
			"application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	})
}
