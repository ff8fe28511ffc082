package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// RequestPasswordReset asks for a link to choose a new password, by user name or mail address. Nobody need be signed in, and whether there is such a user is
// not told. Error: CodeMailOff.
func (k *KMS) RequestPasswordReset(ctx context.Context, body kms.PasswordResetRequest, opts ...CallOption) error {
	return exec(ctx, k.client, opRequestPasswordReset, opts, func(server string) (*http.Request, error) {
		return kms.NewRequestPasswordResetRequest(server, body)
	})
}

// MailPasswordReset sends a user a link to choose a new password, at the address of the order or their own. It asks for a second factor. Error: CodeMailOff.
func (k *KMS) MailPasswordReset(ctx context.Context, userID string, body kms.MailOrder, opts ...CallOption) (*kms.Mail, error) {
	return send[kms.Mail](ctx, k.client, opMailPasswordReset, opts, func(server string) (*http.Request, error) {
		return kms.NewMailPasswordResetRequest(server, userID, nil, body)
	})
}

// MailInvitation sends an administrator the link with the invitation to enrol a first second factor. It asks for a second factor. Error: CodeMailOff.
func (k *KMS) MailInvitation(ctx context.Context, userID string, body kms.MailOrder, opts ...CallOption) (*kms.Mail, error) {
	return send[kms.Mail](ctx, k.client, opMailInvitation, opts, func(server string) (*http.Request, error) {
		return kms.NewMailInvitationRequest(server, userID, nil, body)
	})
}

// ListMails reads one page of mails to people, newest first; Mails reads all. It asks for a second factor.
func (k *KMS) ListMails(ctx context.Context, params *kms.ListMailsParams, opts ...CallOption) (*kms.MailList, error) {
	return send[kms.MailList](ctx, k.client, opListMails, opts, func(server string) (*http.Request, error) {
		return kms.NewListMailsRequest(server, params)
	})
}

// Mails yields mails to people, newest first.
func (k *KMS) Mails(ctx context.Context, opts ...CallOption) iter.Seq2[kms.Mail, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Mail, *string, error) {
		page, err := k.ListMails(ctx, &kms.ListMailsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// ClaimMails takes up mails that are to be sent; for the twofactor service alone.
func (k *KMS) ClaimMails(ctx context.Context, params *kms.ClaimMailsParams, opts ...CallOption) (*kms.MailClaim, error) {
	return send[kms.MailClaim](ctx, k.client, opClaimMails, opts, func(server string) (*http.Request, error) {
		return kms.NewClaimMailsRequest(server, params)
	})
}

// ReportMail tells what became of a mail; for the twofactor service alone.
func (k *KMS) ReportMail(ctx context.Context, mailID string, body kms.MailOutcome, opts ...CallOption) error {
	return exec(ctx, k.client, opReportMail, opts, func(server string) (*http.Request, error) {
		return kms.NewReportMailRequest(server, mailID, body)
	})
}
