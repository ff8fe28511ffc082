package fountain

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/clients/twofactor"
)

// EnrolPasskey starts the enrolment of a passkey. The options are for navigator.credentials.create in a browser, or for
// an authenticator's library. The passkey becomes active with ConfirmPasskey. The requirements are those of EnrolTotp.
// Errors: ErrStepUpRequired, CodeInvitationRequired, CodeLimitReached, CodePasskeysOff.
func (t *Twofactor) EnrolPasskey(ctx context.Context, body twofactor.PasskeyEnrol, opts ...CallOption) (*twofactor.PasskeyEnrolment, error) {
	return send[twofactor.PasskeyEnrolment](ctx, t.client, opEnrolPasskey, opts, func(server string) (*http.Request, error) {
		return twofactor.NewEnrolPasskeyRequest(server, body)
	})
}

// ConfirmPasskey activates a pending passkey with the credential that the browser created. With the first factor of a
// user the response holds the recovery codes, once. It requires a second factor if another factor became active after
// this one was enrolled without a second factor. Errors: CodeInvalidPasskey, CodeAlreadyExists, ErrNotFound if the
// enrolment has expired or was replaced by another.
func (t *Twofactor) ConfirmPasskey(ctx context.Context, factorID string, body twofactor.PasskeyConfirm, opts ...CallOption) (*twofactor.ConfirmedFactor, error) {
	return send[twofactor.ConfirmedFactor](ctx, t.client, opConfirmPasskey, opts, func(server string) (*http.Request, error) {
		return twofactor.NewConfirmPasskeyRequest(server, factorID, body)
	})
}

// CreatePasskeyChallenge requests a signature of one of the caller's passkeys. The options are for
// navigator.credentials.get in a browser. Errors: CodeStateConflict if there is no passkey, CodePasskeysOff.
func (t *Twofactor) CreatePasskeyChallenge(ctx context.Context, opts ...CallOption) (*twofactor.PasskeyChallenge, error) {
	return send[twofactor.PasskeyChallenge](ctx, t.client, opCreatePasskeyChallenge, opts, twofactor.NewCreatePasskeyChallengeRequest)
}

// VerifyPasskey verifies the response to a challenge and returns the proof that KMS.CompleteStepUp takes, with level
// phr. Errors: CodeInvalidPasskey, ErrGone, ErrNotFound.
func (t *Twofactor) VerifyPasskey(ctx context.Context, challengeID string, body twofactor.PasskeyVerify, opts ...CallOption) (*twofactor.OtpProof, error) {
	return send[twofactor.OtpProof](ctx, t.client, opVerifyPasskey, opts, func(server string) (*http.Request, error) {
		return twofactor.NewVerifyPasskeyRequest(server, challengeID, body)
	})
}

// CreatePasskeySignIn starts a sign-in with a passkey alone. The caller need not be signed in. Errors: CodePasskeysOff.
func (t *Twofactor) CreatePasskeySignIn(ctx context.Context, opts ...CallOption) (*twofactor.PasskeySignIn, error) {
	return send[twofactor.PasskeySignIn](ctx, t.client, opCreatePasskeySignIn, opts, twofactor.NewCreatePasskeySignInRequest)
}

// VerifyPasskeySignIn verifies the response to a sign-in and returns the proof with which the kms starts a session.
// Every failure is CodeInvalidPasskey.
func (t *Twofactor) VerifyPasskeySignIn(ctx context.Context, signInID string, body twofactor.PasskeyVerify, opts ...CallOption) (*twofactor.PasskeySignInProof, error) {
	return send[twofactor.PasskeySignInProof](ctx, t.client, opVerifyPasskeySignIn, opts, func(server string) (*http.Request, error) {
		return twofactor.NewVerifyPasskeySignInRequest(server, signInID, body)
	})
}
