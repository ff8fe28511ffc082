package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/twofactor"
)

// Twofactor calls the twofactor service: the caller's one-time-password factors and the verification of codes.
type Twofactor struct{ client *Client }

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

// EnrolTotp enrols an authenticator. The answer holds its seed, once; the factor counts after ConfirmTotp.
func (t *Twofactor) EnrolTotp(ctx context.Context, body twofactor.TotpEnrol, opts ...CallOption) (*twofactor.TotpEnrolment, error) {
	return send[twofactor.TotpEnrolment](ctx, t.client, opEnrolTotp, opts, func(server string) (*http.Request, error) {
		return twofactor.NewEnrolTotpRequest(server, nil, body)
	})
}

// ConfirmTotp makes a pending factor active with its first code. Errors: CodeInvalidCode, ErrGone after 10 minutes.
func (t *Twofactor) ConfirmTotp(ctx context.Context, factorID string, body twofactor.TotpConfirm, opts ...CallOption) (*twofactor.Factor, error) {
	return send[twofactor.Factor](ctx, t.client, opConfirmTotp, opts, func(server string) (*http.Request, error) {
		return twofactor.NewConfirmTotpRequest(server, factorID, body)
	})
}

// GetTotpQrPng returns the QR code of a pending factor as PNG.
func (t *Twofactor) GetTotpQrPng(ctx context.Context, factorID string, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, t.client, opGetTotpQrPng, opts, func(server string) (*http.Request, error) {
		return twofactor.NewGetTotpQrPngRequest(server, factorID)
	}, "image/png")
}

// GetTotpQrSvg returns the QR code of a pending factor as SVG.
func (t *Twofactor) GetTotpQrSvg(ctx context.Context, factorID string, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, t.client, opGetTotpQrSvg, opts, func(server string) (*http.Request, error) {
		return twofactor.NewGetTotpQrSvgRequest(server, factorID)
	}, "image/svg+xml")
}

// RevokeFactor revokes a factor. It asks for a second factor.
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

// GetTwofactorHealth tells that the service's process lives.
func (t *Twofactor) GetTwofactorHealth(ctx context.Context, opts ...CallOption) (*common.Health, error) {
	return send[common.Health](ctx, t.client, opGetTwofactorHealth, opts, twofactor.NewGetTwofactorHealthRequest)
}

// GetTwofactorReadiness tells whether the service can work; ErrUnavailable when not.
func (t *Twofactor) GetTwofactorReadiness(ctx context.Context, opts ...CallOption) (*common.Readiness, error) {
	return send[common.Readiness](ctx, t.client, opGetTwofactorReadiness, opts, twofactor.NewGetTwofactorReadinessRequest)
}
