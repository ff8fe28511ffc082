package handlers

import (
	"bytes"
	"context"

	"github.com/fountainai/fountain/console"
	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/internal/store"
)

// ChangePassword implements changePassword.
func (h api) ChangePassword(ctx context.Context, r kmsapi.ChangePasswordRequestObject) (kmsapi.ChangePasswordResponseObject, error) {
	if err := h.Sessions.ChangePassword(ctx, caller(ctx), r.UserID, r.Body.CurrentPassword, r.Body.NewPassword); err != nil {
		return nil, err
	}
	return kmsapi.ChangePassword204Response{}, nil
}

// CreatePasswordReset implements createPasswordReset.
func (h api) CreatePasswordReset(ctx context.Context, r kmsapi.CreatePasswordResetRequestObject) (kmsapi.CreatePasswordResetResponseObject, error) {
	request := createRequest{operation: "createPasswordReset", key: r.Params.IdempotencyKey, secret: true, may: h.mayAdminister}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		made, err := h.Users.CreateReset(ctx, tx, caller(ctx), r.UserID, false)
		return response{body: kmsapi.PasswordReset{Token: made.Token, ExpiresAt: made.ExpiresAt}}, err
	}))
}

// GetPasswordResetPage implements getPasswordResetPage.
func (h api) GetPasswordResetPage(context.Context, kmsapi.GetPasswordResetPageRequestObject) (kmsapi.GetPasswordResetPageResponseObject, error) {
	page := console.PasswordResetPage()
	return kmsapi.GetPasswordResetPage200TextHTMLResponse{
		Body: bytes.NewReader(page.Content), ContentLength: int64(len(page.Content)),
		Headers: kmsapi.GetPasswordResetPage200ResponseHeaders{
			CacheControl: revalidated, ContentSecurityPolicy: console.CSP, CrossOriginOpenerPolicy: "same-origin", ETag: page.ETag, ReferrerPolicy: "no-referrer",
		},
	}, nil
}

// ResetPassword implements resetPassword.
func (h api) ResetPassword(ctx context.Context, r kmsapi.ResetPasswordRequestObject) (kmsapi.ResetPasswordResponseObject, error) {
	if err := h.Sessions.ResetPassword(ctx, r.Body.Token, r.Body.NewPassword, h.Mails.TellChanged); err != nil {
		return nil, err
	}
	return kmsapi.ResetPassword204Response{}, nil
}

// UnlockUser implements unlockUser.
func (h api) UnlockUser(ctx context.Context, r kmsapi.UnlockUserRequestObject) (kmsapi.UnlockUserResponseObject, error) {
	if err := h.Sessions.Unlock(ctx, caller(ctx), r.UserID); err != nil {
		return nil, err
	}
	return kmsapi.UnlockUser204Response{}, nil
}

// DeleteUser implements deleteUser.
func (h api) DeleteUser(ctx context.Context, r kmsapi.DeleteUserRequestObject) (kmsapi.DeleteUserResponseObject, error) {
	if err := h.Users.Delete(ctx, caller(ctx), r.UserID); err != nil {
		return nil, err
	}
	return kmsapi.DeleteUser204Response{}, nil
}

func (h api) sessionCaller(ctx context.Context) session.Caller {
	return session.Caller{Principal: caller(ctx), StepUp: func() error { return h.stepUp(ctx) }}
}

// ListSessions implements listSessions.
func (h api) ListSessions(ctx context.Context, r kmsapi.ListSessionsRequestObject) (kmsapi.ListSessionsResponseObject, error) {
	found, next, err := h.Sessions.List(ctx, h.sessionCaller(ctx), r.UserID, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	who := caller(ctx)
	items := bodies(found, func(f session.Family) kmsapi.Session {
		return kmsapi.Session{ID: f.ID, ClientID: f.ClientID, ClientName: present(f.ClientName), UserAgent: present(f.UserAgent), CreatedAt: f.CreatedAt, ExpiresAt: f.ExpiresAt, Current: f.Current(who)}
	})
	return kmsapi.ListSessions200JSONResponse{Items: items, NextCursor: present(next)}, nil
}

// RevokeSession implements revokeSession.
func (h api) RevokeSession(ctx context.Context, r kmsapi.RevokeSessionRequestObject) (kmsapi.RevokeSessionResponseObject, error) {
	if err := h.Sessions.RevokeOne(ctx, h.sessionCaller(ctx), r.UserID, r.SessionID); err != nil {
		return nil, err
	}
	return kmsapi.RevokeSession204Response{}, nil
}

// RevokeSessions implements revokeSessions.
func (h api) RevokeSessions(ctx context.Context, r kmsapi.RevokeSessionsRequestObject) (kmsapi.RevokeSessionsResponseObject, error) {
	n, err := h.Sessions.RevokeAll(ctx, h.sessionCaller(ctx), r.UserID)
	if err != nil {
		return nil, err
	}
	return kmsapi.RevokeSessions200JSONResponse{Revoked: n}, nil
}
