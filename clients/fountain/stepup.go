package fountain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fountainai/fountain/clients/internal/transport"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/twofactor"
)

// maxCodes is how often the callback is asked for a code of one session before the call fails.
const maxCodes = 3

// raiser gets raised access tokens, one per service, and caches them until they expire. It uses them only for
// operations that have asked for a second factor before.
type raiser struct {
	client *Client
	ask    StepUpFunc
	kept   RaisedTokens // nil: tokens are not stored
	cache  *transport.Cache

	mu         sync.Mutex
	challenged map[*operation]bool
	ended      string // the raised token that was refused last: it is not loaded from kept again
}

func newRaiser(c *Client, ask StepUpFunc, kept RaisedTokens) *raiser {
	r := &raiser{client: c, ask: ask, kept: kept, challenged: make(map[*operation]bool)}
	r.cache = transport.NewCache(c.now, r.fetch)
	return r
}

// peek returns the raised token of the operation's service, if the operation has asked for a second factor before and
// the token is still valid.
func (r *raiser) peek(op *operation) (string, bool) {
	r.mu.Lock()
	challenged := r.challenged[op.challengeOperation()]
	r.mu.Unlock()
	if !challenged {
		return "", false
	}
	token, ok := r.cache.Peek(op.word)
	return token.Value, ok
}

// challengeOperation returns the operation under which challenges are recorded.
func (op *operation) challengeOperation() *operation {
	if op.asked != nil {
		return op.asked
	}
	return op
}

// drop removes a raised token from the cache. It returns false if the token is not one.
func (r *raiser) drop(token string) bool {
	if !r.cache.Drop(token) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = token
	return true
}

type (
	challengeKey struct{}
	proofKey     struct{}
)

// UseProof exchanges the proof of a second factor, for example from ConfirmTotp, for a raised token of the named
// service. Operations of the service that require a second factor use that token until it expires, after about five
// minutes, without asking for a code. The client must have WithStepUp, and the proof must be from the same session. If
// the client already has a raised token, it keeps that token and does not use the proof. Errors: CodeInvalidProof,
// CodeProofUsed, CodeFactorNotAccepted.
func (c *Client) UseProof(ctx context.Context, service, proof string) error {
	if c.raiser == nil {
		return errors.New("use proof: the client was created without WithStepUp and supports no second factor")
	}
	_, err := c.raiser.cache.Get(context.WithValue(ctx, proofKey{}, proof), service)
	return err
}

// RaisedToken returns an access token of the named service that carries a second factor. It is for use outside this
// SDK. Operations that require a second factor accept it for about five minutes. If the client has a raised token that
// is still valid, it returns that one. Otherwise it asks the function of WithStepUp for a code, with a Challenge that
// has no Operation. Errors: as with WithStepUp, CodeInvalidCode after wrong codes, CodeInvalidTarget if there is no
// such service.
func (c *Client) RaisedToken(ctx context.Context, service string) (string, error) {
	if c.raiser == nil {
		return "", errors.New("raise a token: the client was created without WithStepUp and supports no second factor")
	}
	token, err := c.raiser.cache.Get(context.WithValue(ctx, challengeKey{}, Challenge{Audience: service}), service)
	if err != nil {
		return "", fmt.Errorf("raise a token: %w", err)
	}
	return token.Value, nil
}

// raise answers the challenge to a token that was refused. Callers that are challenged at the same time share one code.
func (r *raiser) raise(ctx context.Context, op *operation, challenge *Challenge, refused string) error {
	r.mu.Lock()
	r.challenged[op.challengeOperation()] = true
	r.mu.Unlock()
	r.drop(refused)
	_, err := r.cache.Get(context.WithValue(ctx, challengeKey{}, *challenge), op.word)
	return err
}

// early is how long before its expiry a raised token is no longer used. It is short, because the next token costs the
// user a code.
const early = 5 * time.Second

// fetch returns the stored token, unless it was refused. Otherwise it asks for a code, verifies it, and exchanges the
// proof for a raised token of the service. If the kms does not accept the proof, it asks for one more code.
func (r *raiser) fetch(ctx context.Context, audience string) (transport.Token, error) {
	if token, ok := r.load(audience); ok {
		return token, nil
	}
	if given, ok := ctx.Value(proofKey{}).(string); ok {
		return r.complete(ctx, audience, given)
	}
	challenge, _ := ctx.Value(challengeKey{}).(Challenge)
	for again := true; ; again = false {
		proof, err := r.prove(ctx, challenge)
		if err != nil {
			return transport.Token{}, err
		}
		token, err := r.complete(ctx, audience, proof.Proof)
		// A proof is of one session. If that has ended meanwhile, the client has signed in again, and the new session needs a proof of its own.
		if again && errors.Is(err, CodeInvalidProof) {
			continue
		}
		return token, err
	}
}

// recoverySize is the length of a recovery code without dashes. Codes of authenticators have 6 or 8 digits.
const recoverySize = 24

// verify returns the proof for a code of an authenticator or for a recovery code.
func (r *raiser) verify(ctx context.Context, code string, opts []CallOption) (*twofactor.OtpProof, error) {
	opts = append(opts, WithoutStepUp())
	if len(code) >= recoverySize {
		return r.client.Twofactor.UseRecoveryCode(ctx, twofactor.RecoveryCodeUse{Code: code}, opts...)
	}
	return r.client.Twofactor.VerifyOtp(ctx, twofactor.OtpVerify{Code: code}, opts...)
}

// load returns the stored token for a service, unless it has expired or was refused.
func (r *raiser) load(audience string) (transport.Token, bool) {
	if r.kept == nil {
		return transport.Token{}, false
	}
	token, expires := r.kept.Load(audience)
	r.mu.Lock()
	ended := r.ended
	r.mu.Unlock()
	fresh := expires.Add(-early)
	return transport.Token{Value: token, Expiry: expires, Fresh: fresh}, token != "" && token != ended && r.client.now().Before(fresh)
}

func (r *raiser) complete(ctx context.Context, audience, proof string) (transport.Token, error) {
	asked := r.client.now()
	t, err := r.client.KMS.CompleteStepUp(ctx, kms.StepUp{Proof: proof, Resource: audience}, WithoutStepUp())
	if err != nil {
		return transport.Token{}, err
	}
	token := newToken(t, asked)
	token.Fresh = token.Expiry.Add(-early)
	if r.kept != nil {
		r.kept.Keep(audience, token.Value, token.Expiry)
	}
	return token, nil
}

// SignOut ends the session of a client with WithUser or WithRefreshToken at the kms, and drops its tokens.
func (c *Client) SignOut(ctx context.Context) error {
	err := c.KMS.LogoutUser(ctx)
	if s, ok := c.source.(*sessionSource); ok {
		s.forget()
	}
	if c.raiser != nil {
		c.raiser.cache.Clear()
	}
	return err
}
