package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/kms"
)

// CreateUser makes a user. It asks for a second factor. Errors: ErrConflict when the name is taken, CodeWeakPassword.
func (k *KMS) CreateUser(ctx context.Context, body kms.UserCreate, opts ...CallOption) (*kms.User, error) {
	return send[kms.User](ctx, k.client, opCreateUser, opts, func(server string) (*http.Request, error) {
		return kms.NewCreateUserRequest(server, nil, body)
	})
}

// ListUsers reads one page of users by name; Users reads all.
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

// GetUser reads a user; somebody who is no administrator reads only themselves.
func (k *KMS) GetUser(ctx context.Context, userID string, opts ...CallOption) (*kms.User, error) {
	return send[kms.User](ctx, k.client, opGetUser, opts, func(server string) (*http.Request, error) {
		return kms.NewGetUserRequest(server, userID)
	})
}

// UpdateUser changes roles or status of a user in the version that tag names: IfMatch(user.Version). It asks for a second
// factor. Errors: ErrStale, CodeLastAdministrator.
func (k *KMS) UpdateUser(ctx context.Context, userID string, tag ETag, body kms.UserUpdate, opts ...CallOption) (*kms.User, error) {
	return send[kms.User](ctx, k.client, opUpdateUser, opts, func(server string) (*http.Request, error) {
		return kms.NewUpdateUserRequest(server, userID, &kms.UpdateUserParams{IfMatch: string(tag)}, body)
	})
}
