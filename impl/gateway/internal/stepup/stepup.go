// Package stepup exchanges a code sent with a request (X-OTP) for a raised token. It verifies the code at twofactor and exchanges the resulting proof at
// the kms, both with the caller's own token. The gateway has no rights of its own for either.
package stepup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/requestid"
)

// maxAnswer is the largest answer of twofactor or the kms that is read, in bytes.
const maxAnswer = 64 << 10

// Redeemer redeems codes. It is safe for concurrent use.
type Redeemer struct {
	twofactor *twofactor.Client
	kms       *kms.Client
	verifier  *auth.Verifier
	clock     clock.Clock
}

// New returns a Redeemer that calls the services at their base URLs, without /<word>/v1, with doer.
func New(twofactorURL, kmsURL string, doer *http.Client, v *auth.Verifier, c clock.Clock) (*Redeemer, error) {
	tc, err := twofactor.NewClient(strings.TrimSuffix(twofactorURL, "/")+"/twofactor/v1", twofactor.WithHTTPClient(doer))
	if err != nil {
		return nil, fmt.Errorf("address of twofactor: %w", err)
	}
	kc, err := kms.NewClient(strings.TrimSuffix(kmsURL, "/")+"/kms/v1", kms.WithHTTPClient(doer))
	if err != nil {
		return nil, fmt.Errorf("address of the kms: %w", err)
	}
	return &Redeemer{twofactor: tc, kms: kc, verifier: v, clock: c}, nil
}

// Ask decides by the token alone whether a second factor is required. If the request has a code and the contract accepts one, it proceeds and the code is
// redeemed last, after all other checks, so that a refused request never uses up a code.
func (s *Redeemer) Ask(x *httpserver.Exchange) error {
	op := x.Operation
	if op.Public || op.Policy.StepUp == nil {
		return nil
	}
	// A token for an adopted service is not accepted by twofactor, so no code can be redeemed with it.
	may := x.Code != "" && op.AcceptsOTP() && op.Mount == "" && x.Principal.Kind == auth.KindUser
	if op.Policy.StepUp.Dynamic {
		x.Redeem = may
		return nil
	}
	err := auth.StepUp(x.Principal, op, s.clock.Now())
	if err != nil && may && errors.Is(err, problem.InsufficientUserAuthentication) {
		x.Redeem = true
		return nil
	}
	return err
}

// Redeem redeems the code if Ask has said so, and replaces the caller's token with the raised one.
func (s *Redeemer) Redeem(x *httpserver.Exchange) error {
	if !x.Redeem {
		return nil
	}
	ctx := x.Request.Context()
	if x.Principal.SessionID == "" {
		return refused(x.Operation, noSession, errors.New("the token does not belong to a session"))
	}
	if !wellFormed(x.Code) {
		return refused(x.Operation, wrongCode, errors.New("the code is not 6 or 8 digits"))
	}
	proof, err := s.proof(ctx, x)
	if err != nil {
		return err
	}
	token, err := s.raise(ctx, x, proof)
	if err != nil {
		return err
	}
	p, err := s.verifier.Verify(ctx, token, x.Operation.Word)
	if err != nil {
		return fmt.Errorf("verify raised token: %w", err)
	}
	if p.Kind != x.Principal.Kind || p.Subject != x.Principal.Subject || p.SessionID != x.Principal.SessionID {
		return problem.New(problem.BadUpstream, "The second factor could not be checked.").Wrap(errors.New("the raised token is another caller's"))
	}
	if err := auth.Permit(p, x.Operation); err != nil { // the raised token may have fewer scopes than the caller's own
		return err
	}
	if err := auth.RequireStepUp(p, x.Operation, s.clock.Now()); err != nil {
		return err
	}
	x.Principal = p
	x.Request.Header.Set("Authorization", "Bearer "+token)
	return nil
}

func (s *Redeemer) proof(ctx context.Context, x *httpserver.Exchange) (string, error) {
	res, err := s.twofactor.VerifyOtp(ctx, twofactor.VerifyOtpJSONRequestBody{Code: x.Code}, twofactor.RequestEditorFn(bearer(x)))
	var answer twofactor.OtpProof
	if err := decode(res, err, x.Operation, &answer); err != nil {
		return "", fmt.Errorf("verify code: %w", err)
	}
	return answer.Proof, nil
}

func (s *Redeemer) raise(ctx context.Context, x *httpserver.Exchange, proof string) (string, error) {
	res, err := s.kms.CompleteStepUp(ctx, kms.CompleteStepUpJSONRequestBody{Proof: proof, Resource: x.Operation.Word}, kms.RequestEditorFn(bearer(x)))
	var answer kms.TokenResponse
	if err := decode(res, err, x.Operation, &answer); err != nil {
		return "", fmt.Errorf("trade proof: %w", err)
	}
	return answer.AccessToken, nil
}

// bearer adds the caller's own token and request ID to a request.
func bearer(x *httpserver.Exchange) func(context.Context, *http.Request) error {
	return func(ctx context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+x.Principal.Token)
		r.Header.Set("X-Request-Id", requestid.From(ctx))
		return nil
	}
}

// decode decodes a 200 into value and turns any other result into a problem for the caller: a refused code asks for another one, a lock
// says how long it lasts, and all other failures are not the caller's.
func decode(res *http.Response, err error, op *contract.Operation, value any) error {
	if err != nil {
		return problem.New(problem.UpstreamUnavailable, "The second factor cannot be checked right now.").WithRetryAfter(time.Second).Wrap(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return problem.New(problem.BadUpstream, "The second factor could not be checked.").Wrap(err)
	}
	if res.StatusCode == http.StatusOK {
		if err := json.NewDecoder(bytes.NewReader(raw)).Decode(value); err != nil {
			return problem.New(problem.BadUpstream, "The second factor could not be checked.").Wrap(err)
		}
		return nil
	}
	var said struct {
		Code problem.Code `json:"code"`
	}
	_ = json.Unmarshal(raw, &said) // for an answer that is no problem document only the status counts
	cause := fmt.Errorf("status %d, code %q", res.StatusCode, said.Code)
	switch {
	case res.StatusCode == http.StatusTooManyRequests:
		e := problem.New(problem.TooManyAttempts, "Too many codes were tried; wait before the next.").Wrap(cause)
		if after := res.Header.Get("Retry-After"); after != "" {
			e = e.WithHeader("Retry-After", after)
		}
		return e
	case res.StatusCode == http.StatusServiceUnavailable:
		return problem.New(problem.UpstreamUnavailable, "The second factor cannot be checked right now.").WithRetryAfter(time.Second).Wrap(cause)
	case res.StatusCode >= http.StatusInternalServerError:
		return problem.New(problem.BadUpstream, "The second factor could not be checked.").Wrap(cause)
	case said.Code == problem.FactorNotAccepted:
		return refused(op, otherFactor, cause)
	default:
		return refused(op, wrongCode, cause)
	}
}

// Details for a caller whose code was not redeemed.
const (
	wrongCode   = "The code in X-OTP was not accepted."
	otherFactor = "The code in X-OTP was right, but a role of the user does not accept codes of authenticators."
	noSession   = "The token was got with an API key, which no code can raise: sign in with user name and password. The code in X-OTP was not used."
)

// refused returns the challenge with a detail that says that the code was received.
func refused(op *contract.Operation, detail string, cause error) error {
	e := problem.From(auth.Challenge(op.Policy.StepUp)).Wrap(cause)
	e.Detail = detail
	return e
}

func wellFormed(code string) bool {
	if len(code) != 6 && len(code) != 8 {
		return false
	}
	return strings.Trim(code, "0123456789") == ""
}
