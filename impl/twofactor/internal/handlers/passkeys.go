package handlers

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/fountainai/fountain/generated/twofactorapi"
	"github.com/fountainai/fountain/impl/twofactor/internal/passkey"
	"github.com/fountainai/fountain/internal/httpserver"
)

// EnrolPasskey implements twofactorapi.StrictServerInterface.
func (h *Handlers) EnrolPasskey(ctx context.Context, r twofactorapi.EnrolPasskeyRequestObject) (twofactorapi.EnrolPasskeyResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	creation, err := core.Passkeys.Enrol(ctx, caller, orEmpty(r.Body.Label), orEmpty(r.Body.Invitation))
	if err != nil {
		return nil, err
	}
	return twofactorapi.EnrolPasskey201JSONResponse{FactorID: creation.FactorID, Options: creationTo(creation), ExpiresAt: creation.Expires}, nil
}

// ConfirmPasskey implements twofactorapi.StrictServerInterface.
func (h *Handlers) ConfirmPasskey(ctx context.Context, r twofactorapi.ConfirmPasskeyRequestObject) (twofactorapi.ConfirmPasskeyResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	made, err := registrationFrom(r.Body.Credential)
	if err != nil {
		return nil, err
	}
	c, err := core.Passkeys.Confirm(ctx, caller, r.FactorID, made)
	if err != nil {
		return nil, err
	}
	return twofactorapi.ConfirmPasskey200JSONResponse(confirmedTo(c)), nil
}

// CreatePasskeyChallenge implements twofactorapi.StrictServerInterface.
func (h *Handlers) CreatePasskeyChallenge(ctx context.Context, _ twofactorapi.CreatePasskeyChallengeRequestObject) (twofactorapi.CreatePasskeyChallengeResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	asked, err := core.Passkeys.Begin(ctx, caller)
	if err != nil {
		return nil, err
	}
	return twofactorapi.CreatePasskeyChallenge201JSONResponse{ChallengeID: asked.ID, Options: requestTo(asked), ExpiresAt: asked.Expires}, nil
}

// VerifyPasskey implements twofactorapi.StrictServerInterface.
func (h *Handlers) VerifyPasskey(ctx context.Context, r twofactorapi.VerifyPasskeyRequestObject) (twofactorapi.VerifyPasskeyResponseObject, error) {
	core, caller, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := assertionFrom(r.Body.Credential)
	if err != nil {
		return nil, err
	}
	proof, err := core.Passkeys.Verify(ctx, caller, r.ChallengeID, answer)
	if err != nil {
		return nil, err
	}
	return twofactorapi.VerifyPasskey200JSONResponse(proofTo(proof)), nil
}

// CreatePasskeySignIn implements twofactorapi.StrictServerInterface.
func (h *Handlers) CreatePasskeySignIn(context.Context, twofactorapi.CreatePasskeySignInRequestObject) (twofactorapi.CreatePasskeySignInResponseObject, error) {
	core := h.core.Load()
	if core == nil {
		return nil, notReady("it is starting")
	}
	asked, err := core.Passkeys.BeginSignIn()
	if err != nil {
		return nil, err
	}
	return twofactorapi.CreatePasskeySignIn201JSONResponse{SignInID: asked.ID, Options: requestTo(asked), ExpiresAt: asked.Expires}, nil
}

// VerifyPasskeySignIn implements twofactorapi.StrictServerInterface.
func (h *Handlers) VerifyPasskeySignIn(ctx context.Context, r twofactorapi.VerifyPasskeySignInRequestObject) (twofactorapi.VerifyPasskeySignInResponseObject, error) {
	core := h.core.Load()
	if core == nil {
		return nil, notReady("it is starting")
	}
	answer, err := assertionFrom(r.Body.Credential)
	if err != nil {
		return nil, err
	}
	signIn, err := core.Passkeys.VerifySignIn(ctx, r.SignInID, answer, httpserver.RequestID(ctx))
	if err != nil {
		return nil, err
	}
	return twofactorapi.VerifyPasskeySignIn200JSONResponse{Proof: signIn.Proof, ExpiresAt: signIn.Expires}, nil
}

const (
	publicKeyType = "public-key"
	required      = "required"
)

// creationTo returns a PublicKeyCredentialCreationOptionsJSON (WebAuthn level 3, section 5.1.8).
func creationTo(c passkey.Creation) twofactorapi.PasskeyCreationOptions {
	out := twofactorapi.PasskeyCreationOptions{
		Challenge: base64url(c.Challenge), Timeout: milliseconds(c.Life), ExcludeCredentials: descriptorsTo(c.Known), Attestation: "none",
	}
	out.Rp.ID, out.Rp.Name = c.Site.ID, c.Site.Name
	out.User.ID, out.User.Name, out.User.DisplayName = base64url([]byte(c.Subject)), c.Account, c.Account
	for _, alg := range passkey.Algorithms {
		out.PubKeyCredParams = append(out.PubKeyCredParams, twofactorapi.PasskeyAlgorithm{Type: publicKeyType, Alg: int32(alg)})
	}
	out.AuthenticatorSelection.ResidentKey, out.AuthenticatorSelection.RequireResidentKey = required, true // so that a sign-in needs the passkey alone
	out.AuthenticatorSelection.UserVerification = required
	return out
}

// requestTo returns a PublicKeyCredentialRequestOptionsJSON (WebAuthn level 3, section 5.1.9).
func requestTo(r passkey.Request) twofactorapi.PasskeyRequestOptions {
	out := twofactorapi.PasskeyRequestOptions{
		Challenge: base64url(r.Challenge), Timeout: milliseconds(passkey.Life), RpID: r.Site.ID, UserVerification: required,
	}
	if len(r.Allowed) > 0 {
		allowed := descriptorsTo(r.Allowed)
		out.AllowCredentials = &allowed
	}
	return out
}

func descriptorsTo(credentials []passkey.Credential) []twofactorapi.PasskeyDescriptor {
	out := make([]twofactorapi.PasskeyDescriptor, 0, len(credentials))
	for _, c := range credentials {
		d := twofactorapi.PasskeyDescriptor{Type: publicKeyType, ID: base64url(c.ID)}
		if len(c.Transports) > 0 {
			d.Transports = &c.Transports
		}
		out = append(out, d)
	}
	return out
}

func milliseconds(d time.Duration) int32 { return int32(d.Milliseconds()) }

func base64url(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// decoder decodes the members of one credential. err is set by a member that is not base64url.
type decoder struct{ err error }

func (d *decoder) bytes(text string) []byte {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil && d.err == nil {
		d.err = fmt.Errorf("decode credential: %w: %w", passkey.ErrInvalid, err)
	}
	return raw
}

func registrationFrom(c twofactorapi.PasskeyRegistration) (passkey.Registration, error) {
	var d decoder
	r := passkey.Registration{
		ID: c.ID, RawID: d.bytes(c.RawID), ClientDataJSON: d.bytes(c.Response.ClientDataJSON), AttestationObject: d.bytes(c.Response.AttestationObject),
	}
	if c.Response.Transports != nil {
		r.Transports = *c.Response.Transports
	}
	return r, d.err
}

func assertionFrom(c twofactorapi.PasskeyAssertion) (passkey.Assertion, error) {
	var d decoder
	return passkey.Assertion{
		ID: c.ID, RawID: d.bytes(c.RawID), ClientDataJSON: d.bytes(c.Response.ClientDataJSON), AuthenticatorData: d.bytes(c.Response.AuthenticatorData),
		Signature: d.bytes(c.Response.Signature), UserHandle: d.bytes(orEmpty(c.Response.UserHandle)),
	}, d.err
}
