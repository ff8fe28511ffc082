package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/kmsapi"
)

// BootstrapAdmin implements bootstrapAdmin.
func (h *Handlers) BootstrapAdmin(ctx context.Context, r kmsapi.BootstrapAdminRequestObject) (kmsapi.BootstrapAdminResponseObject, error) {
	u, err := h.core.Load().Bootstrap.Admin(ctx, r.Body.Token, r.Body.Username, r.Body.Password)
	if err != nil {
		return nil, err
	}
	return kmsapi.BootstrapAdmin201JSONResponse{
		Body: userBody(u), Headers: kmsapi.BootstrapAdmin201ResponseHeaders{ETag: etag(u.Version)},
	}, nil
}

// LoginUser implements loginUser.
func (h *Handlers) LoginUser(ctx context.Context, r kmsapi.LoginUserRequestObject) (kmsapi.LoginUserResponseObject, error) {
	issued, err := h.core.Load().Sessions.Login(ctx, r.Body.Username, r.Body.Password)
	if err != nil {
		return nil, err
	}
	return kmsapi.LoginUser200JSONResponse(tokenBody(issued)), nil
}

// RefreshToken implements refreshToken.
func (h *Handlers) RefreshToken(ctx context.Context, r kmsapi.RefreshTokenRequestObject) (kmsapi.RefreshTokenResponseObject, error) {
	issued, err := h.core.Load().Sessions.Refresh(ctx, r.Body.RefreshToken, signing.Request{})
	if err != nil {
		return nil, err
	}
	return kmsapi.RefreshToken200JSONResponse(tokenBody(issued)), nil
}

// LogoutUser implements logoutUser.
func (h *Handlers) LogoutUser(ctx context.Context, _ kmsapi.LogoutUserRequestObject) (kmsapi.LogoutUserResponseObject, error) {
	if err := h.core.Load().Sessions.Logout(ctx, caller(ctx)); err != nil {
		return nil, err
	}
	return kmsapi.LogoutUser204Response{}, nil
}

// CompleteStepUp implements completeStepUp.
func (h *Handlers) CompleteStepUp(ctx context.Context, r kmsapi.CompleteStepUpRequestObject) (kmsapi.CompleteStepUpResponseObject, error) {
	issued, err := h.core.Load().Sessions.StepUp(ctx, caller(ctx), r.Body.Proof, r.Body.Resource)
	if err != nil {
		return nil, err
	}
	return kmsapi.CompleteStepUp200JSONResponse(tokenBody(issued)), nil
}
