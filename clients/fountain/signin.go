package fountain

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
)

// ErrMfaRequired says that the password was correct and the sign-in still needs its second factor. The
// *MfaRequiredError in the chain has what KMS.CompleteSignIn needs.
var ErrMfaRequired error = class("mfa required")

// MfaRequiredError is a sign-in that still needs its second factor. A client with WithStepUp gets it only if none of
// the accepted factors has a code.
type MfaRequiredError struct {
	kms.MfaRequired
}

// Error says what to do.
func (e *MfaRequiredError) Error() string {
	if e.takesCodes() {
		return "the password is right, and a second factor is required (WithStepUp, or CompleteSignIn)"
	}
	return "the password is right, and a second factor is required that has no code to type: sign in in a browser, at /twofactor/v1/enroll of the gateway"
}

// Is makes errors.Is work with ErrMfaRequired.
func (e *MfaRequiredError) Is(target error) bool { return target == ErrMfaRequired }

// takesCodes reports whether the sign-in accepts a code of an authenticator or a recovery code.
func (e *MfaRequiredError) takesCodes() bool {
	return e.Factors == nil || slices.ContainsFunc(*e.Factors, func(f kms.FactorWord) bool { return f == kms.FactorWordTotp || f == kms.FactorWordRecoveryCode })
}

// sends returns the channel by which a code is sent: the wanted channel if it is accepted; otherwise any accepted
// channel, but only if no other code can be typed; else "".
func (e *MfaRequiredError) sends(wanted string) string {
	if e.Factors == nil {
		return ""
	}
	for _, channel := range []string{wanted, "sms", "email"} {
		if slices.Contains(*e.Factors, kms.FactorWord(channel)) && (channel == wanted || !e.takesCodes()) {
			return channel
		}
	}
	return ""
}

// LoginUser signs in with a password. Every failure is CodeInvalidCredentials. If a role requires a second factor at
// sign-in, a correct password returns ErrMfaRequired. Client.SignIn asks for the code and completes the sign-in.
func (k *KMS) LoginUser(ctx context.Context, body kms.Login, opts ...CallOption) (*kms.TokenResponse, error) {
	resp, err := k.client.do(ctx, opLoginUser, opts, func(server string) (*http.Request, error) {
		return kms.NewLoginUserRequest(server, nil, body)
	})
	if err != nil {
		return nil, err
	}
	var tokens kms.TokenResponse
	var waits MfaRequiredError
	var into any = &tokens
	if resp.Status == http.StatusAccepted {
		into = &waits.MfaRequired
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case media != "application/json" || json.Unmarshal(resp.Body, into) != nil:
		return nil, decodeError(opLoginUser, resp, k.client.now())
	case resp.Status == http.StatusAccepted:
		return nil, &waits
	}
	return &tokens, nil
}

// CompleteSignIn completes a sign-in that got ErrMfaRequired. The call carries its MfaToken (WithBearer), and the proof
// is one that the twofactor service issued for that token. Error: CodeFactorNotAccepted for a type of factor that a
// role does not accept.
func (k *KMS) CompleteSignIn(ctx context.Context, body kms.SignInProof, opts ...CallOption) (*kms.TokenResponse, error) {
	return send[kms.TokenResponse](ctx, k.client, opCompleteSignIn, opts, func(server string) (*http.Request, error) {
		return kms.NewCompleteSignInRequest(server, nil, body)
	})
}

// SignInWithPasskey signs in with the proof that the twofactor service issues for a passkey alone. Every failure is
// CodeInvalidCredentials.
func (k *KMS) SignInWithPasskey(ctx context.Context, body kms.SignInProof, opts ...CallOption) (*kms.TokenResponse, error) {
	return send[kms.TokenResponse](ctx, k.client, opSignInWithPasskey, opts, func(server string) (*http.Request, error) {
		return kms.NewSignInWithPasskeyRequest(server, nil, body)
	})
}

// SignIn signs in with a password. If a second factor is required, it asks the function of WithStepUp for a code of an
// authenticator or a recovery code, up to three times. WithSentCode says when a code is sent to the
// user instead. Without that function, or if no code is accepted, SignIn returns ErrMfaRequired.
func (c *Client) SignIn(ctx context.Context, username, password string) (*kms.TokenResponse, error) {
	tokens, err := c.KMS.LoginUser(ctx, kms.Login{Username: username, Password: password}, WithoutAuth())
	var waits *MfaRequiredError
	if !errors.As(err, &waits) || c.raiser == nil {
		return tokens, err
	}
	channel := waits.sends(c.sentBy)
	if channel == "" && !waits.takesCodes() {
		return nil, err
	}
	asked := Challenge{Operation: opLoginUser.id, Audience: opLoginUser.word, Error: string(waits.Status), ACRValues: []string{"aal2"}, Channel: channel}
	var proof *twofactor.OtpProof
	if channel != "" {
		proof, err = c.raiser.proveSent(ctx, asked, WithBearer(waits.MfaToken))
	} else {
		proof, err = c.raiser.prove(ctx, asked, WithBearer(waits.MfaToken))
	}
	if err != nil {
		return nil, err
	}
	return c.KMS.CompleteSignIn(ctx, kms.SignInProof{Proof: proof.Proof}, WithBearer(waits.MfaToken))
}

// maxSent is how many codes are sent for one sign-in.
const maxSent = 5

// proveSent has a code sent, asks for it at most three times, and returns the proof.
func (r *raiser) proveSent(ctx context.Context, challenge Challenge, opts ...CallOption) (*twofactor.OtpProof, error) {
	opts = append(opts, WithoutStepUp())
	sent, err := r.client.Twofactor.CreateChallenge(ctx, twofactor.ChallengeCreate{Channel: Ptr(twofactor.ChallengeCreateChannel(challenge.Channel)), Purpose: "signing in"}, opts...)
	if err != nil {
		return nil, err
	}
	if sent.MaskedTarget != nil {
		challenge.SentTo = *sent.MaskedTarget
	}
	challenge.Attempt = 1
	for messages := 1; ; {
		code, err := r.ask(ctx, challenge)
		if errors.Is(err, ErrResend) && messages < maxSent {
			messages++
			if _, err := r.client.Twofactor.ResendChallenge(ctx, sent.ChallengeID, opts...); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		verified, err := r.client.Twofactor.VerifyChallenge(ctx, sent.ChallengeID, twofactor.ChallengeVerify{Code: code, Proof: Ptr(true)}, opts...)
		if e := asError(err); e != nil && e.Code == CodeInvalidCode && challenge.Attempt < maxCodes {
			challenge.Attempt++
			continue
		}
		if err != nil {
			return nil, err
		}
		if verified.Proof == nil {
			return nil, errors.New("sign in: the code was accepted, and no proof came with it")
		}
		return verified.Proof, nil
	}
}

// prove asks for a code at most three times and returns the proof for a correct one. If the callback returns the same
// wrong code again, prove returns the refusal.
func (r *raiser) prove(ctx context.Context, challenge Challenge, opts ...CallOption) (*twofactor.OtpProof, error) {
	var last string
	var refusal error
	for challenge.Attempt = 1; challenge.Attempt <= maxCodes; challenge.Attempt++ {
		code, err := r.ask(ctx, challenge)
		if err != nil {
			return nil, err
		}
		if refusal != nil && code == last {
			break
		}
		last = code
		proof, err := r.verify(ctx, code, opts)
		if e := asError(err); e != nil && e.Code == CodeInvalidCode {
			refusal = err
			continue
		}
		return proof, err
	}
	return nil, refusal
}
