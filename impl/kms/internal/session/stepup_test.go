package session_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
)

// prover is the house with a key that signs second-factor proofs, as twofactor does.
type prover struct {
	*house
	private ed25519.PrivateKey
}

func newProver(t *testing.T) *prover {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	p := &prover{newHouse(t), private}
	p.sessions.ProofKeys = auth.StaticKeys{"twofactor": {Algorithm: "EdDSA", Key: public}}
	return p
}

// claims returns the claims of a valid proof for the caller, at most a minute old.
func (p *prover) claims(caller *auth.Principal) *auth.ProofClaims {
	now := p.Clock.Now()
	return &auth.ProofClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: auth.ProofIssuer, Audience: jwt.ClaimStrings{auth.ProofAudience}, Subject: caller.Subject, ID: id.New("prf"),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(auth.ProofLife)),
		},
		AuthorizedParty: caller.ClientID, SessionID: caller.SessionID, ACR: contract.ACRSecondFactor, AMR: []string{"otp"}, AuthTime: now.Unix(),
	}
}

func (p *prover) sign(c *auth.ProofClaims) string {
	p.Helper()
	text, err := auth.Sign(auth.TypeProof, "twofactor", "EdDSA", p.private, c)
	require.NoError(p, err)
	return text
}

func (p *prover) stepUp(caller *auth.Principal, proof string) error {
	_, err := p.sessions.StepUp(p.Context(), caller, proof, "sequence")
	return err
}

// proofs returns the number of proofs recorded as used.
func (p *prover) proofs() (n int) {
	p.Helper()
	require.NoError(p, p.DB.Read(p.Context()).Get(p.Context(), &n, "SELECT COUNT(*) FROM proofs"))
	return n
}

func TestStepUp_raisesTheLevelForOneServiceSinceTheProof(t *testing.T) {
	p := newProver(t)
	caller := p.Caller(p.ada.ID)
	proof := p.sign(p.claims(caller))
	proved := p.Clock.Now()
	p.Clock.Advance(20 * time.Second) // auth_time is when the factor was shown, not when it is traded
	issued, err := p.sessions.StepUp(t.Context(), caller, proof, "sequence")
	require.NoError(t, err)
	require.Empty(t, issued.Refresh, "a raised level is not refreshed")
	require.Equal(t, 5*time.Minute, issued.ExpiresIn)
	var got auth.Claims
	_, _, err = jwt.NewParser().ParseUnverified(issued.Access, &got)
	require.NoError(t, err)
	require.Equal(t, contract.ACRSecondFactor, got.ACR)
	require.Equal(t, []string{"pwd", "otp"}, got.AMR)
	require.Equal(t, proved.Unix(), got.AuthTime)
	require.Equal(t, jwt.ClaimStrings{"sequence"}, got.Audience)
	require.Equal(t, "elements:read", got.Scope, "of a reader")
	require.Equal(t, []string{p.ada.ID, caller.SessionID, caller.ClientID}, []string{got.Subject, got.SessionID, got.ClientID})
}

func TestStepUp_takesAProofOnce(t *testing.T) {
	p := newProver(t)
	caller := p.Caller(p.ada.ID)
	proof := p.sign(p.claims(caller))
	const contenders = 8
	errs := make([]error, contenders)
	var group sync.WaitGroup
	for i := range contenders {
		group.Go(func() { errs[i] = p.stepUp(caller, proof) })
	}
	group.Wait()
	raised := 0
	for _, err := range errs {
		if err == nil {
			raised++
			continue
		}
		require.ErrorIs(t, err, domain.ProofUsed)
	}
	require.Equal(t, 1, raised)
	p.Clock.Advance(auth.ProofLife + auth.Leeway - time.Second)
	_, err := p.sessions.Sweep(t.Context())
	require.NoError(t, err)
	require.ErrorIs(t, p.stepUp(caller, proof), domain.ProofUsed, "until no clock takes it for alive")
	require.NoError(t, p.stepUp(caller, p.sign(p.claims(caller))), "the next one is another proof")
}

// An invalid proof raises nothing and is not used up.
func TestStepUp_refusesProofsThatAreNotTheCallersOwnAndFresh(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(p *prover, c *auth.ProofClaims)
		want  error
	}{
		"another user's":       {func(p *prover, c *auth.ProofClaims) { c.Subject = p.root.ID }, domain.InvalidProof},
		"another session's":    {func(p *prover, c *auth.ProofClaims) { c.SessionID = p.Caller(p.ada.ID).SessionID }, domain.InvalidProof},
		"another client's":     {func(_ *prover, c *auth.ProofClaims) { c.AuthorizedParty = "another" }, domain.InvalidProof},
		"of an unknown level":  {func(_ *prover, c *auth.ProofClaims) { c.ACR = "aal9" }, domain.InvalidProof},
		"expired":              {func(p *prover, _ *auth.ProofClaims) { p.Clock.Advance(auth.ProofLife + auth.Leeway) }, auth.ErrInvalidProof},
		"alive for too long":   {func(_ *prover, c *auth.ProofClaims) { c.ExpiresAt.Time = c.ExpiresAt.Add(time.Second) }, auth.ErrInvalidProof},
		"for another audience": {func(_ *prover, c *auth.ProofClaims) { c.Audience = jwt.ClaimStrings{"sequence"} }, auth.ErrInvalidProof},
		"of somebody else's key": {func(p *prover, _ *auth.ProofClaims) {
			p.private = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		}, auth.ErrInvalidProof},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProver(t)
			caller := p.Caller(p.ada.ID)
			claims := p.claims(caller)
			c.spoil(p, claims)
			require.ErrorIs(t, p.stepUp(caller, p.sign(claims)), c.want)
			require.Zero(t, p.proofs())
		})
	}
}

// The proof is valid, but the session it was issued for has ended: the session is read from its locked row, not from the token.
func TestStepUp_refusesWhoHasEnded(t *testing.T) {
	for name, end := range map[string]func(p *prover, caller *auth.Principal) error{
		"signed out": func(p *prover, caller *auth.Principal) error { return p.sessions.Logout(p.Context(), caller) },
		"revoked by another session": func(p *prover, caller *auth.Principal) error {
			return p.sessions.RevokeOne(p.Context(), self(p.Caller(p.ada.ID)), p.ada.ID, caller.SessionID)
		},
		"deleted": func(p *prover, _ *auth.Principal) error { return p.Users.Delete(p.Context(), p.admin, p.ada.ID) },
		"of a session that is over": func(p *prover, caller *auth.Principal) error {
			_, err := p.sessions.RevokeAll(p.Context(), self(p.admin), caller.Subject)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProver(t)
			caller := p.Caller(p.ada.ID)
			proof := p.sign(p.claims(caller))
			require.NoError(t, end(p, caller))
			require.ErrorIs(t, p.stepUp(caller, proof), domain.Ended)
			require.Zero(t, p.proofs(), "it is rolled back with all the rest")
		})
	}
}

func TestStepUp_isForSessionsAndForWhatTheyReach(t *testing.T) {
	p := newProver(t)
	caller := p.Caller(p.ada.ID)
	byKey := *caller
	byKey.SessionID, byKey.ClientID = "", "key_1"
	require.ErrorIs(t, p.stepUp(&byKey, p.sign(p.claims(caller))), domain.InvalidProof)
	for resource, want := range map[string]error{"twofactor": nil, "unknown": domain.ValidationFailed} {
		_, err := p.sessions.StepUp(t.Context(), caller, p.sign(p.claims(caller)), resource)
		require.True(t, errors.Is(err, want), "%s: %v", resource, err)
	}
	narrow := *caller
	narrow.Scopes = []string{"factors:read"}
	require.ErrorIs(t, p.stepUp(&narrow, p.sign(p.claims(&narrow))), domain.InsufficientScope, "a narrowed token is not widened")
}
