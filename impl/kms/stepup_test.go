package kms_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/id"
)

// prover plays the twofactor service.
type prover struct {
	h       *house
	key     *api.APIKeyWithSecret
	private ed25519.PrivateKey
	kid     string
}

// prover enrols as twofactor and registers a proof key.
func (h *house) prover() *prover {
	h.t.Helper()
	p := &prover{h: h, key: h.enrol("twofactor")}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(h.t, err)
	p.private, p.kid = private, thumbprint(public)
	got, err := h.client.PutProofKeyWithResponse(h.t.Context(), p.kid, proofKey(public), bearer(h.token(p.key, "kms")))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusNoContent, got.StatusCode(), string(got.Body))
	return p
}

func proofKey(public ed25519.PublicKey) api.ProofKey {
	return api.ProofKey{Kty: "OKP", Crv: "Ed25519", X: base64.RawURLEncoding.EncodeToString(public)}
}

// thumbprint is RFC 7638 to the letter, independent of the implementation.
func thumbprint(public ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + base64.RawURLEncoding.EncodeToString(public) + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// claims decodes a token without verifying its signature.
func claims(t *testing.T, token string) (c auth.Claims) {
	t.Helper()
	_, _, err := jwt.NewParser().ParseUnverified(token, &c)
	require.NoError(t, err)
	return c
}

// claimsFor returns the claims of a valid proof for the session of an access token.
func (p *prover) claimsFor(access string) *auth.ProofClaims {
	session, now := claims(p.h.t, access), p.h.clock.Now()
	return &auth.ProofClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: auth.ProofIssuer, Audience: jwt.ClaimStrings{auth.ProofAudience}, Subject: session.Subject, ID: id.New("prf"),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute)),
		},
		AuthorizedParty: session.ClientID, SessionID: session.SessionID, ACR: "aal2", AMR: []string{"otp"}, AuthTime: now.Unix(),
	}
}

func (p *prover) sign(c *auth.ProofClaims) string {
	p.h.t.Helper()
	text, err := auth.Sign(auth.TypeProof, p.kid, "EdDSA", p.private, c)
	require.NoError(p.h.t, err)
	return text
}

func (p *prover) trade(access, proof, resource string) *api.CompleteStepUpResult {
	p.h.t.Helper()
	got, err := p.h.client.CompleteStepUpWithResponse(p.h.t.Context(), api.StepUp{Proof: proof, Resource: resource}, bearer(access))
	require.NoError(p.h.t, err)
	return got
}

// raise returns an access token for one service at aal2.
func (p *prover) raise(access, resource string) string {
	p.h.t.Helper()
	got := p.trade(access, p.sign(p.claimsFor(access)), resource)
	require.Equal(p.h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200.AccessToken
}

func TestCompleteStepUp_raisesOneAudienceForFiveMinutes(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		access := h.login(adminName, adminPassword).AccessToken
		for _, resource := range []string{"sequence", issuer + "/sequence/v1"} {
			got := p.trade(access, p.sign(p.claimsFor(access)), resource)
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
			require.Nil(t, got.JSON200.RefreshToken)
			require.EqualValues(t, 300, got.JSON200.ExpiresIn)
			raised, before := claims(t, got.JSON200.AccessToken), claims(t, access)
			require.Equal(t, jwt.ClaimStrings{"sequence"}, raised.Audience)
			require.Equal(t, "elements:read elements:write", raised.Scope)
			require.Equal(t, []string{"aal2", before.Subject, before.SessionID, before.ClientID},
				[]string{raised.ACR, raised.Subject, raised.SessionID, raised.ClientID})
			require.Equal(t, []string{"pwd", "otp"}, raised.AMR)
			require.Equal(t, 300*time.Second, raised.ExpiresAt.Sub(raised.IssuedAt.Time))
		}
	})
}

func TestCompleteStepUp_takesEachProofOnce(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		access := h.login(adminName, adminPassword).AccessToken
		proof := p.sign(p.claimsFor(access))
		var good, used atomic.Int64
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				switch got := p.trade(access, proof, "kms"); got.StatusCode() {
				case http.StatusOK:
					good.Add(1)
				case http.StatusConflict:
					used.Add(1)
				default:
					t.Errorf("%d %s", got.StatusCode(), got.Body)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, good.Load())
		require.EqualValues(t, 31, used.Load())
	})
}

func TestCompleteStepUp_refusesWhatIsNotThisSessionsProof(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	p := h.prover()
	access := h.login(adminName, adminPassword).AccessToken
	other := h.login(adminName, adminPassword).AccessToken
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	with := func(change func(*auth.ProofClaims)) func() string {
		return func() string {
			c := p.claimsFor(access)
			change(c)
			return p.sign(c)
		}
	}
	for name, proof := range map[string]func() string{
		"another session's": func() string { return p.sign(p.claimsFor(other)) },
		"another subject's": with(func(c *auth.ProofClaims) { c.Subject = id.New("usr") }),
		"another client's":  with(func(c *auth.ProofClaims) { c.AuthorizedParty = "key_x" }),
		"no client":         with(func(c *auth.ProofClaims) { c.AuthorizedParty = "" }),
		"two audiences":     with(func(c *auth.ProofClaims) { c.Audience = append(c.Audience, "sequence") }),
		"other audience":    with(func(c *auth.ProofClaims) { c.Audience = jwt.ClaimStrings{"sequence"} }),
		"other issuer":      with(func(c *auth.ProofClaims) { c.Issuer = issuer }),
		"unknown level":     with(func(c *auth.ProofClaims) { c.ACR = "aal9" }),
		"long life":         with(func(c *auth.ProofClaims) { c.ExpiresAt = jwt.NewNumericDate(h.clock.Now().Add(time.Hour)) }),
		"expired": with(func(c *auth.ProofClaims) {
			c.IssuedAt = jwt.NewNumericDate(h.clock.Now().Add(-3 * time.Minute))
			c.ExpiresAt = jwt.NewNumericDate(h.clock.Now().Add(-2 * time.Minute))
		}),
		"no jti":       with(func(c *auth.ProofClaims) { c.ID = "" }),
		"access token": func() string { return access },
		"unknown key": func() string {
			text, err := auth.Sign(auth.TypeProof, thumbprint(stranger.Public().(ed25519.PublicKey)), "EdDSA", stranger, p.claimsFor(access))
			require.NoError(t, err)
			return text
		},
		"wrong signature": func() string {
			text, err := auth.Sign(auth.TypeProof, p.kid, "EdDSA", stranger, p.claimsFor(access))
			require.NoError(t, err)
			return text
		},
		"wrong typ": func() string {
			text, err := auth.Sign(auth.TypeAccess, p.kid, "EdDSA", p.private, p.claimsFor(access))
			require.NoError(t, err)
			return text
		},
		"rubbish": func() string { return strings.Repeat("a.", 30) },
	} {
		got := p.trade(access, proof(), "kms")
		require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), "%s: %s", name, got.Body)
		require.Equal(t, "invalid_proof", code(got.Body), name)
	}
	got := p.trade(access, p.sign(p.claimsFor(access)), "nowhere")
	require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), string(got.Body))

	out, err := h.client.LogoutUserWithResponse(t.Context(), nil, bearer(access))
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, out.StatusCode())
	got = p.trade(access, p.sign(p.claimsFor(access)), "kms")
	require.Equal(t, "invalid_token", code(got.Body), "a session that has ended cannot be raised")
}

// A proof must not be accepted as an access token, nor an access token as a proof (above).
func TestProof_isNoAccessToken(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	p := h.prover()
	access := h.login(adminName, adminPassword).AccessToken
	got, err := h.client.ListUsersWithResponse(t.Context(), nil, bearer(p.sign(p.claimsFor(access))))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, got.StatusCode())
}

func TestPutProofKey_onlyTwofactorAndOnlyUnderTheKeysOwnName(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	p := h.prover()
	token := h.token(p.key, "kms")
	public, _, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	put := func(kid, token string) *api.PutProofKeyResult {
		got, err := h.client.PutProofKeyWithResponse(t.Context(), kid, proofKey(public), bearer(token))
		require.NoError(t, err)
		return got
	}
	require.Equal(t, http.StatusUnprocessableEntity, put(p.kid, token).StatusCode(), "the kid of another key")
	for range 2 {
		require.Equal(t, http.StatusNoContent, put(thumbprint(public), token).StatusCode(), "repeating is safe")
	}
	require.Equal(t, http.StatusForbidden, put(thumbprint(public), h.login(adminName, adminPassword).AccessToken).StatusCode())

	// Another service with the scope is still not accepted as twofactor.
	admin := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
	made, err := h.client.RegisterServiceWithResponse(t.Context(), nil, api.ServiceCreate{Name: "twofactor2", Scopes: []string{"proofs:register"}}, bearer(admin))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
	key, err := h.client.EnrolServiceWithResponse(t.Context(), api.Enrol{Token: made.JSON201.Enrolment.Token})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, put(thumbprint(public), h.token(key.JSON201, "kms")).StatusCode())
}

func TestStepUp_isAskedForWhereTheContractSaysSo(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	p := h.prover()
	access := h.login(adminName, adminPassword).AccessToken
	body := api.UserCreate{Username: "grace", Password: "a quiet harbour at dawn", Roles: []string{"editor"}}
	refused, err := h.client.CreateUserWithResponse(t.Context(), nil, body, bearer(access))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode())
	require.Equal(t, "insufficient_user_authentication", code(refused.Body))
	challenge := refused.HTTPResponse.Header.Get("WWW-Authenticate")
	require.Contains(t, challenge, `error="insufficient_user_authentication"`)
	require.Contains(t, challenge, `acr_values="aal2"`)
	raised := p.raise(access, "kms")
	h.clock.Advance(4 * time.Minute)
	made, err := h.client.CreateUserWithResponse(t.Context(), nil, body, bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
	h.clock.Advance(2 * time.Minute)
	late, err := h.client.GetUserWithResponse(t.Context(), made.JSON201.ID, nil, bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, late.StatusCode(), "a raised token lives five minutes and the leeway")
}

func TestRefresh_neverRaises(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	p := h.prover()
	tokens := h.login(adminName, adminPassword)
	p.raise(tokens.AccessToken, "kms")
	got, err := h.client.RefreshTokenWithResponse(t.Context(), api.Refresh{RefreshToken: *tokens.RefreshToken})
	require.NoError(t, err)
	refreshed := claims(t, got.JSON200.AccessToken)
	require.Equal(t, "aal1", refreshed.ACR)
	require.Equal(t, claims(t, tokens.AccessToken).AuthTime, refreshed.AuthTime)
}

// A token has exactly the expected claims.
func TestAccessToken_saysWhatRFC9068Asks(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	access := h.login(adminName, adminPassword).AccessToken
	var header map[string]any
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(access, ".")[0])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &header))
	require.Equal(t, "at+jwt", header["typ"])
	require.Equal(t, "EdDSA", header["alg"])
	require.Len(t, header, 3)
	c := claims(t, access)
	require.Equal(t, issuer, c.Issuer)
	require.ElementsMatch(t, []string{"kms", "search", "sequence", "twofactor"}, c.Audience)
	require.Equal(t, 10*time.Minute, c.ExpiresAt.Sub(c.IssuedAt.Time))
	require.Equal(t, []string{"user", "fountain", "aal1"}, []string{c.Principal, c.ClientID, c.ACR})
	require.NotEmpty(t, c.ID)
	require.NotEmpty(t, c.SessionID)
	require.Equal(t, h.clock.Now().Unix(), c.AuthTime)
}
