package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/twofactorapi"
)

// GetRecoveryCodes implements twofactorapi.StrictServerInterface.
func (h *Handlers) GetRecoveryCodes(ctx context.Context, _ twofactorapi.GetRecoveryCodesRequestObject) (twofactorapi.GetRecoveryCodesResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	left, err := core.Factors.RecoveryCodesLeft(ctx, caller.Subject)
	if err != nil {
		return nil, err
	}
	return twofactorapi.GetRecoveryCodes200JSONResponse{Remaining: int32(left.Remaining), Few: left.Few, CreatedAt: optionalTime(left.Made)}, nil
}

// CreateRecoveryCodes implements twofactorapi.StrictServerInterface.
func (h *Handlers) CreateRecoveryCodes(ctx context.Context, _ twofactorapi.CreateRecoveryCodesRequestObject) (twofactorapi.CreateRecoveryCodesResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	made, err := core.Factors.CreateRecoveryCodes(ctx, caller)
	if err != nil {
		return nil, err
	}
	return twofactorapi.CreateRecoveryCodes201JSONResponse{Codes: made.Codes, CreatedAt: made.Made}, nil
}

// UseRecoveryCode implements twofactorapi.StrictServerInterface.
func (h *Handlers) UseRecoveryCode(ctx context.Context, r twofactorapi.UseRecoveryCodeRequestObject) (twofactorapi.UseRecoveryCodeResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := core.Factors.UseRecoveryCode(ctx, caller, r.Body.Code)
	if err != nil {
		return nil, err
	}
	return twofactorapi.UseRecoveryCode200JSONResponse(proofTo(proof)), nil
}

// ResetFactors implements twofactorapi.StrictServerInterface.
func (h *Handlers) ResetFactors(ctx context.Context, r twofactorapi.ResetFactorsRequestObject) (twofactorapi.ResetFactorsResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	ended, err := core.Factors.Reset(ctx, caller, r.SubjectID, r.Body.Reason)
	if err != nil {
		return nil, err
	}
	return twofactorapi.ResetFactors200JSONResponse{Factors: int32(ended.Factors), RecoveryCodes: int32(ended.RecoveryCodes)}, nil
}
