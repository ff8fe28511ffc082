package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/store"
)

// CreateUser implements createUser.
func (h *Handlers) CreateUser(ctx context.Context, r kmsapi.CreateUserRequestObject) (kmsapi.CreateUserResponseObject, error) {
	core := h.core.Load()
	draft, err := core.Users.Draft(ctx, r.Body.Username, r.Body.Password, roleNames(r.Body.Roles))
	if err != nil {
		return nil, err
	}
	request := creation{operation: "createUser", key: r.Params.IdempotencyKey, body: r.Body}
	return answered(core.create(ctx, request, func(ctx context.Context, tx *store.Tx) (made, error) {
		u, err := core.Users.Create(ctx, tx, draft)
		return made{userBody(u), etag(u.Version)}, err
	}))
}

// answered keeps an empty answer from hiding an error in a non-nil interface.
func answered(s stored, err error) (*stored, error) {
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// ListUsers implements listUsers.
func (h *Handlers) ListUsers(ctx context.Context, r kmsapi.ListUsersRequestObject) (kmsapi.ListUsersResponseObject, error) {
	users, next, err := h.core.Load().Users.List(ctx, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListUsers200JSONResponse{Items: bodies(users, userBody), NextCursor: present(next)}, nil
}

// GetUser implements getUser. Others than administrators see themselves alone.
func (h *Handlers) GetUser(ctx context.Context, r kmsapi.GetUserRequestObject) (kmsapi.GetUserResponseObject, error) {
	who := caller(ctx)
	if r.UserID != who.Subject && !(who.HasRole(authority.RoleAdmin) && who.HasScope("users:read")) { // an administrator's key may have less
		return nil, user.NotFound()
	}
	u, err := h.core.Load().Users.Get(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	return kmsapi.GetUser200JSONResponse{Body: userBody(u), Headers: kmsapi.GetUser200ResponseHeaders{ETag: etag(u.Version)}}, nil
}

// UpdateUser implements updateUser.
func (h *Handlers) UpdateUser(ctx context.Context, r kmsapi.UpdateUserRequestObject) (kmsapi.UpdateUserResponseObject, error) {
	var change user.Change
	if r.Body.Roles != nil {
		roles := roleNames(*r.Body.Roles)
		change.Roles = &roles
	}
	if r.Body.Status != nil {
		status := string(*r.Body.Status)
		change.Status = &status
	}
	u, err := h.core.Load().Users.Update(ctx, r.UserID, version(r.Params.IfMatch), change)
	if err != nil {
		return nil, err
	}
	return kmsapi.UpdateUser200JSONResponse{Body: userBody(u), Headers: kmsapi.UpdateUser200ResponseHeaders{ETag: etag(u.Version)}}, nil
}
