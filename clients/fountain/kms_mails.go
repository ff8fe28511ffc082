package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// RequestPasswordReset requests a link to set a new password, by user name or mail address. No sign-in is needed. The
// response does not reveal whether the user exists. Error: CodeMailOff.
func (k *KMS) RequestPasswordReset(ctx context.Context, body kms.PasswordResetRequest, opts ...CallOption) error {
	return exec(ctx, k.client, opRequestPasswordReset, opts, func(server string) (*http.Request, error) {
		return kms.NewRequestPasswordResetRequest(server, body)
	})
}

// MailPasswordReset mails a user a link to set a new password, to the address in body or else to the user's own. It
// requires a second factor. Error: CodeMailOff.
func (k *KMS) MailPasswordReset(ctx context.Context, userID string, body kms.MailOrder, opts ...CallOption) (*kms.Mail, error) {
	return send[kms.Mail](ctx, k.client, opMailPasswordReset, opts, func(server string) (*http.Request, error) {
		return kms.NewMailPasswordResetRequest(server, userID, nil, body)
	})
}

// MailInvitation mails an administrator a link with the invitation to enrol a first second factor. It requires a second
// factor. Error: CodeMailOff.
func (k *KMS) MailInvitation(ctx context.Context, userID string, body kms.MailOrder, opts ...CallOption) (*kms.Mail, error) {
	return send[kms.Mail](ctx, k.client, opMailInvitation, opts, func(server string) (*http.Request, error) {
		return kms.NewMailInvitationRequest(server, userID, nil, body)
	})
}

// ListMails reads one page of the mails to users, newest first; Mails reads all. It requires a second factor.
func (k *KMS) ListMails(ctx context.Context, params *kms.ListMailsParams, opts ...CallOption) (*kms.MailList, error) {
	return send[kms.MailList](ctx, k.client, opListMails, opts, func(server string) (*http.Request, error) {
		return kms.NewListMailsRequest(server, params)
	})
}

// Mails yields the mails to users, newest first.
func (k *KMS) Mails(ctx context.Context, opts ...CallOption) iter.Seq2[kms.Mail, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Mail, *string, error) {
		page, err := k.ListMails(ctx, &kms.ListMailsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// ClaimMails claims mails that are to be sent. It is for the twofactor service alone.
func (k *KMS) ClaimMails(ctx context.Context, params *kms.ClaimMailsParams, opts ...CallOption) (*kms.MailClaim, error) {
	return send[kms.MailClaim](ctx, k.client, opClaimMails, opts, func(server string) (*http.Request, error) {
		return kms.NewClaimMailsRequest(server, params)
	})
}

// ReportMail reports the outcome of a mail. It is for the twofactor service alone.
func (k *KMS) ReportMail(ctx context.Context, mailID string, body kms.MailOutcome, opts ...CallOption) error {
	return exec(ctx, k.client, opReportMail, opts, func(server string) (*http.Request, error) {
		return kms.NewReportMailRequest(server, mailID, body)
	})
}
