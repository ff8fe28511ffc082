package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/fountainai/fountain/generated/twofactorapi"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/qr"
	"github.com/fountainai/fountain/internal/idempotency"
)

// ListFactors implements twofactorapi.StrictServerInterface.
func (h *Handlers) ListFactors(ctx context.Context, r twofactorapi.ListFactorsRequestObject) (twofactorapi.ListFactorsResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	after, limit, err := listFrom(r.Params)
	if err != nil {
		return nil, err
	}
	factors, err := core.Factors.List(ctx, caller.Subject, after, limit+1)
	if err != nil {
		return nil, err
	}
	return twofactorapi.ListFactors200JSONResponse(listTo(factors, limit)), nil
}

// EnrolTotp implements twofactorapi.StrictServerInterface.
func (h *Handlers) EnrolTotp(ctx context.Context, r twofactorapi.EnrolTotpRequestObject) (twofactorapi.EnrolTotpResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	once, err := enrolOnce(core, caller, r)
	if err != nil {
		return nil, err
	}
	label, parameters := enrolFrom(r.Body)
	enrolment, err := core.Factors.Enrol(ctx, caller, label, parameters, invitationFrom(r.Body), once)
	if err != nil {
		return nil, err
	}
	return twofactorapi.EnrolTotp201JSONResponse(enrolTo(enrolment)), nil
}

// enrolOnce returns nil when the caller sent no Idempotency-Key.
func enrolOnce(core *Core, caller factor.Caller, r twofactorapi.EnrolTotpRequestObject) (factor.Once, error) {
	if r.Params.IdempotencyKey == nil {
		return nil, nil
	}
	body, err := json.Marshal(r.Body) // encoded again, so that another spelling of the same content is the same request
	if err != nil {
		return nil, fmt.Errorf("encode enrolment: %w", err)
	}
	return core.Once(idempotency.Key{
		Principal: caller.Subject, Operation: "enrolTotp", Value: *r.Params.IdempotencyKey, Path: "/factors/totp", Body: body,
	}), nil
}

// ConfirmTotp implements twofactorapi.StrictServerInterface.
func (h *Handlers) ConfirmTotp(ctx context.Context, r twofactorapi.ConfirmTotpRequestObject) (twofactorapi.ConfirmTotpResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.Factors.Confirm(ctx, caller, r.FactorID, r.Body.Code)
	if err != nil {
		return nil, err
	}
	return twofactorapi.ConfirmTotp200JSONResponse(confirmedTo(c)), nil
}

// RevokeFactor implements twofactorapi.StrictServerInterface.
func (h *Handlers) RevokeFactor(ctx context.Context, r twofactorapi.RevokeFactorRequestObject) (twofactorapi.RevokeFactorResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := core.Factors.Revoke(ctx, caller, r.FactorID); err != nil {
		return nil, err
	}
	return twofactorapi.RevokeFactor204Response{}, nil
}

// VerifyOtp implements twofactorapi.StrictServerInterface.
func (h *Handlers) VerifyOtp(ctx context.Context, r twofactorapi.VerifyOtpRequestObject) (twofactorapi.VerifyOtpResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := core.Factors.Verify(ctx, caller, r.Body.Code)
	if err != nil {
		return nil, err
	}
	return twofactorapi.VerifyOtp200JSONResponse(proofTo(proof)), nil
}

// VerifyOtpFor implements twofactorapi.StrictServerInterface.
func (h *Handlers) VerifyOtpFor(ctx context.Context, r twofactorapi.VerifyOtpForRequestObject) (twofactorapi.VerifyOtpForResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	session := ""
	if r.Body.Session != nil {
		session = *r.Body.Session
	}
	v, err := core.Factors.VerifyFor(ctx, caller, r.SubjectID, session, r.Body.Code)
	if err != nil {
		return nil, err
	}
	return twofactorapi.VerifyOtpFor200JSONResponse{SubjectID: r.SubjectID, FactorID: v.FactorID, Acr: v.ACR, Amr: v.AMR, AuthTime: v.AuthTime}, nil
}

// UpdateFactor implements twofactorapi.StrictServerInterface.
func (h *Handlers) UpdateFactor(ctx context.Context, r twofactorapi.UpdateFactorRequestObject) (twofactorapi.UpdateFactorResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	f, err := core.Factors.Rename(ctx, caller, r.FactorID, r.Body.Label)
	if err != nil {
		return nil, err
	}
	return twofactorapi.UpdateFactor200JSONResponse(factorTo(f)), nil
}

// ResyncTotp implements twofactorapi.StrictServerInterface.
func (h *Handlers) ResyncTotp(ctx context.Context, r twofactorapi.ResyncTotpRequestObject) (twofactorapi.ResyncTotpResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	f, err := core.Factors.Resync(ctx, caller, r.FactorID, r.Body.First, r.Body.Second)
	if err != nil {
		return nil, err
	}
	return twofactorapi.ResyncTotp200JSONResponse(factorTo(f)), nil
}

// GetTotpQrPng implements twofactorapi.StrictServerInterface.
func (h *Handlers) GetTotpQrPng(ctx context.Context, r twofactorapi.GetTotpQrPngRequestObject) (twofactorapi.GetTotpQrPngResponseObject, error) {
	code, err := h.qrCode(ctx, r.FactorID)
	if err != nil {
		return nil, err
	}
	picture, err := code.PNG(qrSize(r.Params.Size))
	if err != nil {
		return nil, err
	}
	return twofactorapi.GetTotpQrPng200ImagePngResponse{Body: bytes.NewReader(picture), ContentLength: int64(len(picture))}, nil
}

// GetTotpQrSvg implements twofactorapi.StrictServerInterface.
func (h *Handlers) GetTotpQrSvg(ctx context.Context, r twofactorapi.GetTotpQrSvgRequestObject) (twofactorapi.GetTotpQrSvgResponseObject, error) {
	code, err := h.qrCode(ctx, r.FactorID)
	if err != nil {
		return nil, err
	}
	picture := code.SVG(qrSize(r.Params.Size))
	return twofactorapi.GetTotpQrSvg200ImageSvgXMLResponse{Body: bytes.NewReader(picture), ContentLength: int64(len(picture))}, nil
}

// qrSize returns the length of the edge that was asked for, or the contract's default.
func qrSize(asked *int32) int {
	if asked == nil {
		return 366
	}
	return int(*asked)
}

func (h *Handlers) qrCode(ctx context.Context, factorID string) (*qr.Code, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	uri, err := core.Factors.URI(ctx, caller, factorID)
	if err != nil {
		return nil, err
	}
	return qr.Encode(uri)
}
