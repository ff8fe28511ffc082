package fountain

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/clients/twofactor"
)

// EnrolPasskey begins the enrolment of a passkey. The options are for a browser's navigator.credentials.create, or an authenticator's library; the passkey counts
// after ConfirmPasskey. Errors: ErrStepUpRequired, CodeInvitationRequired, CodeLimitReached, CodePasskeysOff.
func (t *Twofactor) EnrolPasskey(ctx context.Context, body twofactor.PasskeyEnrol, opts ...CallOption) (*twofactor.PasskeyEnrolment, error) {
	return send[twofactor.PasskeyEnrolment](ctx, t.client, opEnrolPasskey, opts, func(server string) (*http.Request, error) {
		return twofactor.NewEnrolPasskeyRequest(server, body)
	})
}

// ConfirmPasskey makes a pending passkey active with what the browser made. With the first factor come recovery codes, once. Errors: CodeInvalidPasskey,
// CodeAlreadyExists, ErrNotFound once the enrolment has expired or another has taken its place.
func (t *Twofactor) ConfirmPasskey(ctx context.Context, factorID string, body twofactor.PasskeyConfirm, opts ...CallOption) (*twofactor.ConfirmedFactor, error) {
	return send[twofactor.ConfirmedFactor](ctx, t.client, opConfirmPasskey, opts, func(server string) (*http.Request, error) {
		return twofactor.NewConfirmPasskeyRequest(server, factorID, body)
	})
}

// CreatePasskeyChallenge asks for a signature of one of the caller's passkeys. The options are for a browser's navigator.credentials.get. Errors:
// CodeStateConflict when there is no passkey, CodePasskeysOff.
func (t *Twofactor) CreatePasskeyChallenge(ctx context.Context, opts ...CallOption) (*twofactor.PasskeyChallenge, error) {
	return send[twofactor.PasskeyChallenge](ctx, t.client, opCreatePasskeyChallenge, opts, twofactor.NewCreatePasskeyChallengeRequest)
}

// VerifyPasskey verifies the answer to a challenge and returns the proof that KMS.CompleteStepUp takes; its level is phr. Errors: CodeInvalidPasskey, ErrGone,
// ErrNotFound.
func (t *Twofactor) VerifyPasskey(ctx context.Context, challengeID string, body twofactor.PasskeyVerify, opts ...CallOption) (*twofactor.OtpProof, error) {
	return send[twofactor.OtpProof](ctx, t.client, opVerifyPasskey, opts, func(server string) (*http.Request, error) {
		return twofactor.NewVerifyPasskeyRequest(server, challengeID, body)
	})
}

// CreatePasskeySignIn begins a sign-in with a passkey alone. Nobody need be signed in. Errors: CodePasskeysOff.
func (t *Twofactor) CreatePasskeySignIn(ctx context.Context, opts ...CallOption) (*twofactor.PasskeySignIn, error) {
	return send[twofactor.PasskeySignIn](ctx, t.client, opCreatePasskeySignIn, opts, twofactor.NewCreatePasskeySignInRequest)
}

// VerifyPasskeySignIn verifies the answer to a sign-in and returns the proof with which the kms begins a session. Errors: CodeInvalidPasskey, whatever is wrong.
func (t *Twofactor) VerifyPasskeySignIn(ctx context.Context, signInID string, body twofactor.PasskeyVerify, opts ...CallOption) (*twofactor.PasskeySignInProof, error) {
	return send[twofactor.PasskeySignInProof](ctx, t.client, opVerifyPasskeySignIn, opts, func(server string) (*http.Request, error) {
		return twofactor.NewVerifyPasskeySignInRequest(server, signInID, body)
	})
}
