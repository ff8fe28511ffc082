package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/fountainai/fountain/generated/twofactorapi"
	"github.com/fountainai/fountain/impl/twofactor/internal/challenge"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

// beginChallenge is begin for operations that services can call too.
func (h *Handlers) beginChallenge(ctx context.Context) (*Core, challenge.Caller, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, challenge.Caller{}, err
	}
	p, _ := auth.FromContext(ctx) // begin has found it
	return core, challenge.Caller{Caller: caller, Service: p.Kind == auth.KindService}, nil
}

// EnrolDelivery implements twofactorapi.StrictServerInterface.
func (h *Handlers) EnrolDelivery(ctx context.Context, r twofactorapi.EnrolDeliveryRequestObject) (twofactorapi.EnrolDeliveryResponseObject, error) {
	core, caller, err := h.beginChallenge(ctx)
	if err != nil {
		return nil, err
	}
	e := challenge.Enrolment{Channel: delivery.Channel(r.Body.Channel), Target: r.Body.Target, Label: orEmpty(r.Body.Label), Invitation: orEmpty(r.Body.Invitation)}
	f, c, err := core.Challenges.Enrol(ctx, caller, e)
	if err != nil {
		return nil, err
	}
	return twofactorapi.EnrolDelivery201JSONResponse{Factor: factorTo(f), Challenge: challengeTo(c, true, h.Clock.Now())}, nil
}

// ConfirmDelivery implements twofactorapi.StrictServerInterface.
func (h *Handlers) ConfirmDelivery(ctx context.Context, r twofactorapi.ConfirmDeliveryRequestObject) (twofactorapi.ConfirmDeliveryResponseObject, error) {
	core, caller, err := h.beginChallenge(ctx)
	if err != nil {
		return nil, err
	}
	f, err := core.Challenges.Confirm(ctx, caller, r.FactorID, r.Body.Code)
	if err != nil {
		return nil, err
	}
	return twofactorapi.ConfirmDelivery200JSONResponse(factorTo(f)), nil
}

// CreateChallenge implements twofactorapi.StrictServerInterface.
func (h *Handlers) CreateChallenge(ctx context.Context, r twofactorapi.CreateChallengeRequestObject) (twofactorapi.CreateChallengeResponseObject, error) {
	core, caller, err := h.beginChallenge(ctx)
	if err != nil {
		return nil, err
	}
	wanted := challenge.Request{Subject: orEmpty(r.Body.Subject), Purpose: r.Body.Purpose, Operation: orEmpty(r.Body.Operation), Life: challenge.DefaultLife}
	if r.Body.Channel != nil {
		wanted.Channel = delivery.Channel(*r.Body.Channel)
	}
	if r.Body.Life != nil {
		wanted.Life = time.Duration(*r.Body.Life) * time.Second
	}
	c, err := core.Challenges.Create(ctx, caller, wanted)
	if err != nil {
		return nil, err
	}
	return twofactorapi.CreateChallenge201JSONResponse(challengeTo(c, !caller.Service, h.Clock.Now())), nil
}

// GetChallenge implements twofactorapi.StrictServerInterface.
func (h *Handlers) GetChallenge(ctx context.Context, r twofactorapi.GetChallengeRequestObject) (twofactorapi.GetChallengeResponseObject, error) {
	core, caller, err := h.beginChallenge(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.Challenges.Get(ctx, caller, r.ChallengeID)
	if err != nil {
		return nil, err
	}
	return twofactorapi.GetChallenge200JSONResponse(challengeTo(c, !caller.Service, h.Clock.Now())), nil
}

// ResendChallenge implements twofactorapi.StrictServerInterface.
func (h *Handlers) ResendChallenge(ctx context.Context, r twofactorapi.ResendChallengeRequestObject) (twofactorapi.ResendChallengeResponseObject, error) {
	core, caller, err := h.beginChallenge(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.Challenges.Resend(ctx, caller, r.ChallengeID)
	if err != nil {
		return nil, err
	}
	return twofactorapi.ResendChallenge200JSONResponse(challengeTo(c, !caller.Service, h.Clock.Now())), nil
}

// CancelChallenge implements twofactorapi.StrictServerInterface.
func (h *Handlers) CancelChallenge(ctx context.Context, r twofactorapi.CancelChallengeRequestObject) (twofactorapi.CancelChallengeResponseObject, error) {
	core, caller, err := h.beginChallenge(ctx)
	if err != nil {
		return nil, err
	}
	if err := core.Challenges.Cancel(ctx, caller, r.ChallengeID); err != nil {
		return nil, err
	}
	return twofactorapi.CancelChallenge204Response{}, nil
}

// VerifyChallenge implements twofactorapi.StrictServerInterface.
func (h *Handlers) VerifyChallenge(ctx context.Context, r twofactorapi.VerifyChallengeRequestObject) (twofactorapi.VerifyChallengeResponseObject, error) {
	core, caller, err := h.beginChallenge(ctx)
	if err != nil {
		return nil, err
	}
	wantProof := r.Body.Proof != nil && *r.Body.Proof
	c, proof, err := core.Challenges.Verify(ctx, caller, r.ChallengeID, r.Body.Code, wantProof)
	if err != nil {
		return nil, err
	}
	answer := twofactorapi.VerifyChallenge200JSONResponse{ChallengeID: c.ID, Subject: c.Subject, Purpose: c.Purpose}
	answer.Operation, answer.OperationDigest = operationTo(c.Operation)
	if wantProof {
		given := proofTo(proof)
		answer.Proof = &given
	}
	return answer, nil
}

// ListDeliveries implements twofactorapi.StrictServerInterface.
func (h *Handlers) ListDeliveries(ctx context.Context, r twofactorapi.ListDeliveriesRequestObject) (twofactorapi.ListDeliveriesResponseObject, error) {
	core, _, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	var after factor.Cursor
	if r.Params.Cursor != nil {
		var created int64
		if err := page.Decode("deliveries", *r.Params.Cursor, &created, &after.ID); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
		after.Created = time.UnixMicro(created)
	}
	var wanted *int
	if r.Params.Limit != nil {
		wanted = new(int(*r.Params.Limit))
	}
	limit := page.Limit(wanted, defaultPage, largestPage)
	deliveries, err := core.Challenges.Deliveries(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	list := twofactorapi.DeliveryList{Items: make([]twofactorapi.Delivery, 0, len(deliveries))}
	if len(deliveries) > limit {
		last := deliveries[limit-1]
		list.NextCursor = new(page.Encode("deliveries", last.Created.UnixMicro(), last.ID))
		deliveries = deliveries[:limit]
	}
	for _, d := range deliveries {
		list.Items = append(list.Items, deliveryTo(d))
	}
	return twofactorapi.ListDeliveries200JSONResponse(list), nil
}

// formKey is the context key of the form of a request.
type formKey struct{}

// withForm puts the form of a callback into the context for its handler, because all parameters are signed.
func withForm(next twofactorapi.StrictHandlerFunc, operationID string) twofactorapi.StrictHandlerFunc {
	if operationID != "ReceiveTwilioStatus" {
		return next
	}
	return func(ctx context.Context, w http.ResponseWriter, r *http.Request, request any) (any, error) {
		return next(context.WithValue(ctx, formKey{}, r.PostForm), w, r, request)
	}
}

// ReceiveTwilioStatus implements twofactorapi.StrictServerInterface.
func (h *Handlers) ReceiveTwilioStatus(ctx context.Context, r twofactorapi.ReceiveTwilioStatusRequestObject) (twofactorapi.ReceiveTwilioStatusResponseObject, error) {
	core := h.core.Load()
	if core == nil {
		return nil, notReady("it is starting")
	}
	form, ok := ctx.Value(formKey{}).(url.Values)
	if !ok {
		return nil, errors.New("callback was reached without its form")
	}
	genuine, err := core.TwilioAccepts(form, orEmpty(r.Params.XTwilioSignature))
	if err != nil {
		return nil, err
	}
	if !genuine {
		return nil, problem.New(problem.Forbidden, "The signature is not valid.")
	}
	status := challenge.Delivered
	switch form.Get("MessageStatus") {
	case "delivered", "read":
	case "failed", "undelivered", "canceled":
		status = challenge.Failed
	default: // on its way: no final status yet
		return twofactorapi.ReceiveTwilioStatus204Response{}, nil
	}
	reason := ""
	if status == challenge.Failed {
		reason = delivery.Undelivered
	}
	if err := core.Challenges.Report(ctx, form.Get("MessageSid"), status, reason); err != nil {
		return nil, err
	}
	return twofactorapi.ReceiveTwilioStatus204Response{}, nil
}

// challengeTo converts a challenge. Only for the subject itself (own) it includes what it knows about the factor.
func challengeTo(c challenge.Challenge, own bool, now time.Time) twofactorapi.Challenge {
	out := twofactorapi.Challenge{
		ChallengeID: c.ID, Status: string(c.StatusAt(now)), Purpose: c.ShownPurpose(), Delivery: string(c.Delivery), AttemptsLeft: int32(c.AttemptsLeft()),
		CreatedAt: c.Created, ExpiresAt: c.Expires, ResendAfter: c.ResendAfter(),
	}
	out.Operation, out.OperationDigest = operationTo(c.Operation)
	if own {
		out.Channel, out.MaskedTarget = optional(string(c.Channel)), optional(c.MaskedTarget)
	}
	return out
}

// operationTo returns an operation with its digest; nil for none.
func operationTo(operation string) (text, digest *string) {
	if operation == "" {
		return nil, nil
	}
	sum := sha256.Sum256([]byte(operation))
	return &operation, new(hex.EncodeToString(sum[:]))
}

func deliveryTo(d challenge.Delivery) twofactorapi.Delivery {
	return twofactorapi.Delivery{
		ID: d.ID, Subject: d.Subject, Channel: string(d.Channel), MaskedTarget: optional(d.MaskedTarget), Status: string(d.Status), Tries: int32(d.Tries),
		Provider: optional(d.Provider), ProviderID: optional(d.ProviderID), Reason: optional(d.Reason), Notice: optional(string(d.Notice)), CreatedAt: d.Created, SentAt: optionalTime(d.SentAt),
	}
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
