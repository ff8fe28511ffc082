package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/twofactor"
)

// Twofactor calls the twofactor service: the caller's second factors, and the verification of codes and passkeys.
type Twofactor struct{ client *Client }

// GetEnrolmentPage returns the page where users manage their factors in a browser.
func (t *Twofactor) GetEnrolmentPage(ctx context.Context, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, t.client, opGetEnrolmentPage, opts, func(server string) (*http.Request, error) {
		return twofactor.NewGetEnrolmentPageRequest(server, nil)
	}, "text/html")
}

// GetEnrolmentAsset returns a file that the enrolment page loads.
func (t *Twofactor) GetEnrolmentAsset(ctx context.Context, asset string, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, t.client, opGetEnrolmentAsset, opts, func(server string) (*http.Request, error) {
		return twofactor.NewGetEnrolmentAssetRequest(server, asset, nil)
	}, "text/css", "text/javascript", "image/svg+xml")
}

// ListFactors reads one page of the caller's factors, oldest first; Factors reads all.
func (t *Twofactor) ListFactors(ctx context.Context, params *twofactor.ListFactorsParams, opts ...CallOption) (*twofactor.FactorList, error) {
	return send[twofactor.FactorList](ctx, t.client, opListFactors, opts, func(server string) (*http.Request, error) {
		return twofactor.NewListFactorsRequest(server, params)
	})
}

// Factors yields the caller's factors, oldest first.
func (t *Twofactor) Factors(ctx context.Context, opts ...CallOption) iter.Seq2[twofactor.Factor, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]twofactor.Factor, *string, error) {
		page, err := t.ListFactors(ctx, &twofactor.ListFactorsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// EnrolTotp starts the enrolment of an authenticator. The response holds its seed, once. The factor becomes active with
// ConfirmTotp. It requires a second factor if the user has one; otherwise the sign-in must be at most 15 minutes old,
// and an administrator needs an invitation (CodeInvitationRequired).
func (t *Twofactor) EnrolTotp(ctx context.Context, body twofactor.TotpEnrol, opts ...CallOption) (*twofactor.TotpEnrolment, error) {
	return send[twofactor.TotpEnrolment](ctx, t.client, opEnrolTotp, opts, func(server string) (*http.Request, error) {
		return twofactor.NewEnrolTotpRequest(server, nil, body)
	})
}

// ConfirmTotp activates a pending factor with its first code. With the first factor of a user the response holds the
// recovery codes, once. The response also holds a proof for UseProof, because the code itself is used up. It requires a
// second factor if another factor became active after this one was enrolled without a second factor. Errors:
// CodeInvalidCode, ErrGone after 10 minutes.
func (t *Twofactor) ConfirmTotp(ctx context.Context, factorID string, body twofactor.TotpConfirm, opts ...CallOption) (*twofactor.ConfirmedFactor, error) {
	return send[twofactor.ConfirmedFactor](ctx, t.client, opConfirmTotp, opts, func(server string) (*http.Request, error) {
		return twofactor.NewConfirmTotpRequest(server, factorID, body)
	})
}

// GetTotpQrPng returns the QR code of a pending factor as PNG; params may be nil. The image contains the seed, so the
// requirements are those of EnrolTotp.
func (t *Twofactor) GetTotpQrPng(ctx context.Context, factorID string, params *twofactor.GetTotpQrPngParams, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, t.client, opGetTotpQrPng, opts, func(server string) (*http.Request, error) {
		return twofactor.NewGetTotpQrPngRequest(server, factorID, params)
	}, "image/png")
}

// GetTotpQrSvg returns the QR code of a pending factor as SVG; params may be nil. The image contains the seed, so the
// requirements are those of EnrolTotp.
func (t *Twofactor) GetTotpQrSvg(ctx context.Context, factorID string, params *twofactor.GetTotpQrSvgParams, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, t.client, opGetTotpQrSvg, opts, func(server string) (*http.Request, error) {
		return twofactor.NewGetTotpQrSvgRequest(server, factorID, params)
	}, "image/svg+xml")
}

// RevokeFactor revokes a factor. It requires a second factor.
func (t *Twofactor) RevokeFactor(ctx context.Context, factorID string, opts ...CallOption) error {
	return exec(ctx, t.client, opRevokeFactor, opts, func(server string) (*http.Request, error) {
		return twofactor.NewRevokeFactorRequest(server, factorID)
	})
}

// VerifyOtp verifies a code and returns the proof that KMS.CompleteStepUp takes. WithStepUp does both by itself.
func (t *Twofactor) VerifyOtp(ctx context.Context, body twofactor.OtpVerify, opts ...CallOption) (*twofactor.OtpProof, error) {
	return send[twofactor.OtpProof](ctx, t.client, opVerifyOtp, opts, func(server string) (*http.Request, error) {
		return twofactor.NewVerifyOtpRequest(server, body)
	})
}

// UpdateFactor renames a factor.
func (t *Twofactor) UpdateFactor(ctx context.Context, factorID string, body twofactor.FactorUpdate, opts ...CallOption) (*twofactor.Factor, error) {
	return send[twofactor.Factor](ctx, t.client, opUpdateFactor, opts, func(server string) (*http.Request, error) {
		return twofactor.NewUpdateFactorRequest(server, factorID, body)
	})
}

// ResyncTotp corrects the clock offset of an authenticator with two consecutive codes. Both are used up. Errors:
// CodeInvalidCode.
func (t *Twofactor) ResyncTotp(ctx context.Context, factorID string, body twofactor.TotpResync, opts ...CallOption) (*twofactor.Factor, error) {
	return send[twofactor.Factor](ctx, t.client, opResyncTotp, opts, func(server string) (*http.Request, error) {
		return twofactor.NewResyncTotpRequest(server, factorID, body)
	})
}

// GetRecoveryCodes reports how many recovery codes the caller has left.
func (t *Twofactor) GetRecoveryCodes(ctx context.Context, opts ...CallOption) (*twofactor.RecoveryCodesLeft, error) {
	return send[twofactor.RecoveryCodesLeft](ctx, t.client, opGetRecoveryCodes, opts, twofactor.NewGetRecoveryCodesRequest)
}

// CreateRecoveryCodes replaces the caller's recovery codes with ten new ones, which are shown once. It requires a
// second factor. Errors: CodeStateConflict without an authenticator.
func (t *Twofactor) CreateRecoveryCodes(ctx context.Context, opts ...CallOption) (*twofactor.RecoveryCodes, error) {
	return send[twofactor.RecoveryCodes](ctx, t.client, opCreateRecoveryCodes, opts, twofactor.NewCreateRecoveryCodesRequest)
}

// UseRecoveryCode uses up a recovery code and returns the proof that KMS.CompleteStepUp takes. WithStepUp does both by
// itself when it is given a recovery code.
func (t *Twofactor) UseRecoveryCode(ctx context.Context, body twofactor.RecoveryCodeUse, opts ...CallOption) (*twofactor.OtpProof, error) {
	return send[twofactor.OtpProof](ctx, t.client, opUseRecoveryCode, opts, func(server string) (*http.Request, error) {
		return twofactor.NewUseRecoveryCodeRequest(server, body)
	})
}

// VerifyOtpFor verifies a user's code for a service that asked the user for it. It is for services with the scope
// factors:verify. Errors: CodeInvalidCode, CodeTooManyAttempts.
func (t *Twofactor) VerifyOtpFor(ctx context.Context, subjectID string, body twofactor.OtpVerifyFor, opts ...CallOption) (*twofactor.OtpVerified, error) {
	return send[twofactor.OtpVerified](ctx, t.client, opVerifyOtpFor, opts, func(server string) (*http.Request, error) {
		return twofactor.NewVerifyOtpForRequest(server, subjectID, body)
	})
}

// ResetFactors ends all factors and recovery codes of a user. It is for administrators. The reason is recorded in the
// audit trail. It requires a second factor.
func (t *Twofactor) ResetFactors(ctx context.Context, subjectID string, body twofactor.FactorReset, opts ...CallOption) (*twofactor.FactorsEnded, error) {
	return send[twofactor.FactorsEnded](ctx, t.client, opResetFactors, opts, func(server string) (*http.Request, error) {
		return twofactor.NewResetFactorsRequest(server, subjectID, body)
	})
}

// GetTwofactorHealth reports that the service's process is alive.
func (t *Twofactor) GetTwofactorHealth(ctx context.Context, opts ...CallOption) (*common.Health, error) {
	return send[common.Health](ctx, t.client, opGetTwofactorHealth, opts, twofactor.NewGetTwofactorHealthRequest)
}

// GetTwofactorReadiness reports whether the service can serve requests. Error: ErrUnavailable if it cannot.
func (t *Twofactor) GetTwofactorReadiness(ctx context.Context, opts ...CallOption) (*common.Readiness, error) {
	return send[common.Readiness](ctx, t.client, opGetTwofactorReadiness, opts, twofactor.NewGetTwofactorReadinessRequest)
}
