package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// DeleteUser deletes a user and permanently ends all their sessions, keys and tokens. It requires a second factor.
// Error: CodeLastAdministrator.
func (k *KMS) DeleteUser(ctx context.Context, userID string, opts ...CallOption) error {
	return exec(ctx, k.client, opDeleteUser, opts, func(server string) (*http.Request, error) {
		return kms.NewDeleteUserRequest(server, userID)
	})
}

// ChangePassword changes the caller's own password and ends their other sessions. Errors: CodeInvalidCredentials,
// CodeWeakPassword.
func (k *KMS) ChangePassword(ctx context.Context, userID string, body kms.PasswordChange, opts ...CallOption) error {
	return exec(ctx, k.client, opChangePassword, opts, func(server string) (*http.Request, error) {
		return kms.NewChangePasswordRequest(server, userID, body)
	})
}

// CreatePasswordReset creates a single-use token with which a user sets a new password. It requires a second factor.
func (k *KMS) CreatePasswordReset(ctx context.Context, userID string, opts ...CallOption) (*kms.PasswordReset, error) {
	return send[kms.PasswordReset](ctx, k.client, opCreatePasswordReset, opts, func(server string) (*http.Request, error) {
		return kms.NewCreatePasswordResetRequest(server, userID, nil)
	})
}

// GetPasswordResetPage returns the page where users set a new password with a reset token.
func (k *KMS) GetPasswordResetPage(ctx context.Context, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, k.client, opGetPasswordResetPage, opts, func(server string) (*http.Request, error) {
		return kms.NewGetPasswordResetPageRequest(server, nil)
	}, "text/html")
}

// ResetPassword sets a new password with a reset token, which works once. Errors: ErrUnauthenticated, CodeWeakPassword.
func (k *KMS) ResetPassword(ctx context.Context, body kms.PasswordResetUse, opts ...CallOption) error {
	return exec(ctx, k.client, opResetPassword, opts, func(server string) (*http.Request, error) {
		return kms.NewResetPasswordRequest(server, body)
	})
}

// UnlockUser clears a user's failed sign-ins. It requires a second factor.
func (k *KMS) UnlockUser(ctx context.Context, userID string, opts ...CallOption) error {
	return exec(ctx, k.client, opUnlockUser, opts, func(server string) (*http.Request, error) {
		return kms.NewUnlockUserRequest(server, userID)
	})
}

// ListSessions reads one page of a user's sessions, newest first; Sessions reads all. It requires a second factor for
// another user's sessions.
func (k *KMS) ListSessions(ctx context.Context, userID string, params *kms.ListSessionsParams, opts ...CallOption) (*kms.SessionList, error) {
	return send[kms.SessionList](ctx, k.client, opListSessions, opts, func(server string) (*http.Request, error) {
		return kms.NewListSessionsRequest(server, userID, params)
	})
}

// Sessions yields a user's sessions, newest first.
func (k *KMS) Sessions(ctx context.Context, userID string, opts ...CallOption) iter.Seq2[kms.Session, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.Session, *string, error) {
		page, err := k.ListSessions(ctx, userID, &kms.ListSessionsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// RevokeSession ends one session of a user. It requires a second factor for another user's session. Repeating is safe.
func (k *KMS) RevokeSession(ctx context.Context, userID, sessionID string, opts ...CallOption) error {
	return exec(ctx, k.client, opRevokeSession, opts, func(server string) (*http.Request, error) {
		return kms.NewRevokeSessionRequest(server, userID, sessionID)
	})
}

// RevokeSessions ends all sessions of a user, including the caller's own session if it is one of them. It requires a
// second factor for another user's sessions.
func (k *KMS) RevokeSessions(ctx context.Context, userID string, opts ...CallOption) (*kms.SessionRevocation, error) {
	return send[kms.SessionRevocation](ctx, k.client, opRevokeSessions, opts, func(server string) (*http.Request, error) {
		return kms.NewRevokeSessionsRequest(server, userID)
	})
}
