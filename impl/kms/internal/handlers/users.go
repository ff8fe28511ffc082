package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
)

// CreateUser implements createUser.
func (h api) CreateUser(ctx context.Context, r kmsapi.CreateUserRequestObject) (kmsapi.CreateUserResponseObject, error) {
	draft, err := h.Users.Draft(ctx, r.Body.Username, r.Body.Password, text(r.Body.Tenant), r.Body.Roles)
	if err != nil {
		return nil, err
	}
	if draft, err = draft.At(text(r.Body.Email)); err != nil {
		return nil, err
	}
	request := createRequest{operation: "createUser", key: r.Params.IdempotencyKey, secret: true, may: h.mayAdminister}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		u, err := h.Users.Create(ctx, tx, caller(ctx), draft)
		return response{createdBody(u), etag.Of(u.Version)}, err
	}))
}

// mayAdminister refuses a caller who is currently no administrator.
func (h api) mayAdminister(ctx context.Context, tx *store.Tx) error {
	return h.Users.MayAdminister(ctx, tx, caller(ctx))
}

// CreateInvitation implements createInvitation.
func (h api) CreateInvitation(ctx context.Context, r kmsapi.CreateInvitationRequestObject) (kmsapi.CreateInvitationResponseObject, error) {
	request := createRequest{operation: "createInvitation", key: r.Params.IdempotencyKey, secret: true, may: h.mayAdminister}
	return answered(h.create(ctx, request, func(ctx context.Context, tx *store.Tx) (response, error) {
		made, err := h.Users.Invite(ctx, tx, caller(ctx), r.UserID)
		return response{body: invitationBody(made)}, err
	}))
}

// CheckInvitation implements checkInvitation.
func (h api) CheckInvitation(ctx context.Context, r kmsapi.CheckInvitationRequestObject) (kmsapi.CheckInvitationResponseObject, error) {
	id, err := h.Users.CheckInvitation(ctx, caller(ctx), r.Body.UserID, r.Body.Token)
	if err != nil {
		return nil, err
	}
	return kmsapi.CheckInvitation200JSONResponse{InvitationID: id}, nil
}

// UseInvitation implements useInvitation.
func (h api) UseInvitation(ctx context.Context, r kmsapi.UseInvitationRequestObject) (kmsapi.UseInvitationResponseObject, error) {
	if err := h.Users.UseInvitation(ctx, caller(ctx), r.InvitationID, r.Body.UserID, r.Body.FactorID); err != nil {
		return nil, err
	}
	return kmsapi.UseInvitation204Response{}, nil
}

// answered returns a nil interface on error, so that an empty answer does not hide it.
func answered(s storedResponse, err error) (*storedResponse, error) {
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// ListUsers implements listUsers.
func (h api) ListUsers(ctx context.Context, r kmsapi.ListUsersRequestObject) (kmsapi.ListUsersResponseObject, error) {
	users, next, err := h.Users.List(ctx, text(r.Params.Cursor), limit(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return kmsapi.ListUsers200JSONResponse{Items: bodies(users, userBody), NextCursor: present(next)}, nil
}

// GetUser implements getUser. Users who are not administrators see only themselves. Administrators must present a second factor to see others.
func (h api) GetUser(ctx context.Context, r kmsapi.GetUserRequestObject) (kmsapi.GetUserResponseObject, error) {
	who := caller(ctx)
	if r.UserID != who.Subject && !(who.HasRole(authority.RoleAdmin) && who.HasScope("users:read")) { // an administrator's key may lack the scope
		return nil, user.NotFound()
	}
	if r.UserID != who.Subject {
		if err := h.stepUp(ctx); err != nil {
			return nil, err
		}
	}
	u, err := h.Users.Get(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	return kmsapi.GetUser200JSONResponse{Body: userBody(u), Headers: kmsapi.GetUser200ResponseHeaders{ETag: etag.Of(u.Version)}}, nil
}

// UpdateUser implements updateUser.
func (h api) UpdateUser(ctx context.Context, r kmsapi.UpdateUserRequestObject) (kmsapi.UpdateUserResponseObject, error) {
	change := user.Change{Roles: r.Body.Roles, Email: r.Body.Email}
	if r.Body.Status != nil {
		status := string(*r.Body.Status)
		change.Status = &status
	}
	u, err := h.Users.Update(ctx, caller(ctx), r.UserID, etag.ParseMatch(r.Params.IfMatch), change, h.Mails.TellMoved)
	if err != nil {
		return nil, err
	}
	return kmsapi.UpdateUser200JSONResponse{Body: userBody(u), Headers: kmsapi.UpdateUser200ResponseHeaders{ETag: etag.Of(u.Version)}}, nil
}
