package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// CreateUser creates a user. For an administrator the response holds the invitation for EnrolTotp, once. It requires a
// second factor. Errors: ErrConflict if the name is taken, CodeWeakPassword.
func (k *KMS) CreateUser(ctx context.Context, body kms.UserCreate, opts ...CallOption) (*kms.UserCreated, error) {
	return send[kms.UserCreated](ctx, k.client, opCreateUser, opts, func(server string) (*http.Request, error) {
		return kms.NewCreateUserRequest(server, nil, body)
	})
}

// ListUsers reads one page of users by name; Users reads all. Users need a second factor.
func (k *KMS) ListUsers(ctx context.Context, params *kms.ListUsersParams, opts ...CallOption) (*kms.UserList, error) {
	return send[kms.UserList](ctx, k.client, opListUsers, opts, func(server string) (*http.Request, error) {
		return kms.NewListUsersRequest(server, params)
	})
}

// Users yields the users by name.
func (k *KMS) Users(ctx context.Context, opts ...CallOption) iter.Seq2[kms.User, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]kms.User, *string, error) {
		page, err := k.ListUsers(ctx, &kms.ListUsersParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetUser reads a user. Users can read themselves. An administrator can read any user, which requires a second factor.
// For other callers the user does not exist (ErrNotFound).
func (k *KMS) GetUser(ctx context.Context, userID string, opts ...CallOption) (*kms.User, error) {
	return send[kms.User](ctx, k.client, opGetUser, opts, func(server string) (*http.Request, error) {
		return kms.NewGetUserRequest(server, userID, nil)
	})
}

// UpdateUser changes a user's roles or status if tag names the user's current version: IfMatch(user.Version). It
// requires a second factor. Errors: ErrStale, CodeLastAdministrator.
func (k *KMS) UpdateUser(ctx context.Context, userID string, tag ETag, body kms.UserUpdate, opts ...CallOption) (*kms.User, error) {
	return send[kms.User](ctx, k.client, opUpdateUser, opts, func(server string) (*http.Request, error) {
		return kms.NewUpdateUserRequest(server, userID, &kms.UpdateUserParams{IfMatch: string(tag)}, body)
	})
}

// CreateInvitation creates the invitation with which an administrator enrols a first second factor. Older invitations
// stop working. It requires a second factor.
func (k *KMS) CreateInvitation(ctx context.Context, userID string, opts ...CallOption) (*kms.Invitation, error) {
	return send[kms.Invitation](ctx, k.client, opCreateInvitation, opts, func(server string) (*http.Request, error) {
		return kms.NewCreateInvitationRequest(server, userID, nil)
	})
}

// CheckInvitation reports whether an invitation is valid. It is for the twofactor service alone.
func (k *KMS) CheckInvitation(ctx context.Context, body kms.InvitationCheck, opts ...CallOption) (*kms.InvitationChecked, error) {
	return send[kms.InvitationChecked](ctx, k.client, opCheckInvitation, opts, func(server string) (*http.Request, error) {
		return kms.NewCheckInvitationRequest(server, body)
	})
}

// UseInvitation uses up an invitation for one factor. It is for the twofactor service alone. Repeating is safe.
func (k *KMS) UseInvitation(ctx context.Context, invitationID string, body kms.InvitationUse, opts ...CallOption) error {
	return exec(ctx, k.client, opUseInvitation, opts, func(server string) (*http.Request, error) {
		return kms.NewUseInvitationRequest(server, invitationID, body)
	})
}
