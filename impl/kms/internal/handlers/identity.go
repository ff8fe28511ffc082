package handlers

import (
	"context"
	"time"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/etag"
)

// BootstrapAdmin implements bootstrapAdmin.
func (h api) BootstrapAdmin(ctx context.Context, r kmsapi.BootstrapAdminRequestObject) (kmsapi.BootstrapAdminResponseObject, error) {
	u, err := h.Bootstrap.Admin(ctx, r.Body.Token, r.Body.Username, r.Body.Password)
	if err != nil {
		return nil, err
	}
	return kmsapi.BootstrapAdmin201JSONResponse{
		Body: createdBody(u), Headers: kmsapi.BootstrapAdmin201ResponseHeaders{ETag: etag.Of(u.Version)},
	}, nil
}

// LoginUser implements loginUser.
func (h api) LoginUser(ctx context.Context, r kmsapi.LoginUserRequestObject) (kmsapi.LoginUserResponseObject, error) {
	to, err := h.refreshPlace(ctx, r.Body.RefreshIn)
	if err != nil {
		return nil, err
	}
	in, err := h.Sessions.Login(session.From(ctx, receivedFrom(ctx).agent), r.Body.Username, r.Body.Password)
	if err != nil {
		return nil, err
	}
	if in.Waits != nil {
		return kmsapi.LoginUser202JSONResponse{
			Status: kmsapi.MfaRequiredStatusMfaRequired, MfaToken: in.Access, ExpiresIn: int64(in.ExpiresIn / time.Second), ExpiresAt: in.Waits.Until,
			Factors: factorWords(in.Waits.Factors),
		}, nil
	}
	body, cookie := to.put(in.Issued)
	return kmsapi.LoginUser200JSONResponse{Body: body, Headers: kmsapi.LoginUser200ResponseHeaders{SetCookie: cookie}}, nil
}

// CompleteSignIn implements completeSignIn.
func (h api) CompleteSignIn(ctx context.Context, r kmsapi.CompleteSignInRequestObject) (kmsapi.CompleteSignInResponseObject, error) {
	to, err := h.refreshPlace(ctx, r.Body.RefreshIn)
	if err != nil {
		return nil, err
	}
	issued, err := h.Sessions.CompleteSignIn(ctx, caller(ctx), r.Body.Proof)
	if err != nil {
		return nil, err
	}
	body, cookie := to.put(issued)
	return kmsapi.CompleteSignIn200JSONResponse{Body: body, Headers: kmsapi.CompleteSignIn200ResponseHeaders{SetCookie: cookie}}, nil
}

// SignInWithPasskey implements signInWithPasskey.
func (h api) SignInWithPasskey(ctx context.Context, r kmsapi.SignInWithPasskeyRequestObject) (kmsapi.SignInWithPasskeyResponseObject, error) {
	to, err := h.refreshPlace(ctx, r.Body.RefreshIn)
	if err != nil {
		return nil, err
	}
	issued, err := h.Sessions.SignInWithPasskey(session.From(ctx, receivedFrom(ctx).agent), r.Body.Proof)
	if err != nil {
		return nil, err
	}
	body, cookie := to.put(issued)
	return kmsapi.SignInWithPasskey200JSONResponse{Body: body, Headers: kmsapi.SignInWithPasskey200ResponseHeaders{SetCookie: cookie}}, nil
}

// RefreshToken implements refreshToken.
func (h api) RefreshToken(ctx context.Context, r kmsapi.RefreshTokenRequestObject) (kmsapi.RefreshTokenResponseObject, error) {
	issued, err := h.Sessions.Refresh(ctx, r.Body.RefreshToken, signing.Request{Resources: resources(r.Body.Resource)})
	if err != nil {
		return nil, err
	}
	return kmsapi.RefreshToken200JSONResponse(tokenBody(issued)), nil
}

// CompleteStepUp implements completeStepUp.
func (h api) CompleteStepUp(ctx context.Context, r kmsapi.CompleteStepUpRequestObject) (kmsapi.CompleteStepUpResponseObject, error) {
	issued, err := h.Sessions.StepUp(ctx, caller(ctx), r.Body.Proof, r.Body.Resource)
	if err != nil {
		return nil, err
	}
	return kmsapi.CompleteStepUp200JSONResponse(tokenBody(issued)), nil
}
