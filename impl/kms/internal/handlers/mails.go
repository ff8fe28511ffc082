package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/mail"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/store"
)

// MailPasswordReset implements mailPasswordReset.
func (h api) MailPasswordReset(ctx context.Context, r kmsapi.MailPasswordResetRequestObject) (kmsapi.MailPasswordResetResponseObject, error) {
	request := createRequest{operation: "mailPasswordReset", key: r.Params.IdempotencyKey, may: h.mayAdminister}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		m, err := h.Mails.SendReset(ctx, tx, caller(ctx), r.UserID, text(r.Body.To))
		return response{body: mailBody(m)}, err
	}))
}

// MailInvitation implements mailInvitation.
func (h api) MailInvitation(ctx context.Context, r kmsapi.MailInvitationRequestObject) (kmsapi.MailInvitationResponseObject, error) {
	request := createRequest{operation: "mailInvitation", key: r.Params.IdempotencyKey, may: h.mayAdminister}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		m, err := h.Mails.SendInvitation(ctx, tx, caller(ctx), r.UserID, text(r.Body.To))
		return response{body: mailBody(m)}, err
	}))
}

// RequestPasswordReset implements requestPasswordReset.
func (h api) RequestPasswordReset(ctx context.Context, r kmsapi.RequestPasswordResetRequestObject) (kmsapi.RequestPasswordResetResponseObject, error) {
	if err := h.Mails.Request(ctx, r.Body.Login); err != nil {
		return nil, err
	}
	return kmsapi.RequestPasswordReset204Response{}, nil
}

// ListMails implements listMails.
func (h api) ListMails(ctx context.Context, r kmsapi.ListMailsRequestObject) (kmsapi.ListMailsResponseObject, error) {
	mails, next, err := h.Mails.List(ctx, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListMails200JSONResponse{Items: bodies(mails, mailBody), NextCursor: present(next)}, nil
}

// ClaimMails implements claimMails.
func (h api) ClaimMails(ctx context.Context, r kmsapi.ClaimMailsRequestObject) (kmsapi.ClaimMailsResponseObject, error) {
	claimed, err := h.Mails.Claim(ctx, caller(ctx), httpserver.PreferredWait(r.Params.Prefer))
	if err != nil {
		return nil, err
	}
	return kmsapi.ClaimMails200JSONResponse{Items: bodies(claimed, func(c mail.Claimed) kmsapi.ClaimedMail {
		return kmsapi.ClaimedMail{ID: c.ID, Lease: c.Lease, Kind: kmsapi.MailKind(c.Kind), To: c.Address, Link: present(c.Link), ExpiresAt: c.ExpiresAt}
	})}, nil
}

// outcomes maps the contract's outcomes of a mail to states.
var outcomes = map[kmsapi.MailOutcomeOutcome]mail.Status{
	kmsapi.MailOutcomeOutcomeSent: mail.Sent, kmsapi.MailOutcomeOutcomeRetry: mail.Waiting, kmsapi.MailOutcomeOutcomeFailed: mail.Failed,
}

// ReportMail implements reportMail.
func (h api) ReportMail(ctx context.Context, r kmsapi.ReportMailRequestObject) (kmsapi.ReportMailResponseObject, error) {
	err := h.Mails.Report(ctx, caller(ctx), mail.Outcome{ID: r.MailID, Lease: r.Body.Lease, Status: outcomes[r.Body.Outcome], Reason: text(r.Body.Reason)})
	if err != nil {
		return nil, err
	}
	return kmsapi.ReportMail204Response{}, nil
}

func mailBody(m mail.Mail) kmsapi.Mail {
	return kmsapi.Mail{
		ID: m.ID, Kind: kmsapi.MailKind(m.Kind), UserID: m.UserID, To: m.To, Status: kmsapi.MailStatus(m.Status), Reason: present(m.Reason), Tries: int32(m.Tries),
		CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt, ExpiresAt: m.ExpiresAt,
	}
}
