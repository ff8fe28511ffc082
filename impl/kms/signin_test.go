package kms_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
)

const (
	always       = api.SecondFactorPolicyPutRequiredAlways
	onOperations = api.SecondFactorPolicyPutRequiredOnOperations
)

func policy(required api.SecondFactorPolicyPutRequired, factors ...api.FactorWord) api.SecondFactorPolicyPut {
	p := api.SecondFactorPolicyPut{Required: required}
	if len(factors) > 0 {
		p.Factors = &factors
	}
	return p
}

func (h *house) putPolicy(role, raised string, p api.SecondFactorPolicyPut) *api.PutSecondFactorPolicyResult {
	h.t.Helper()
	got, err := h.client.PutSecondFactorPolicyWithResponse(h.t.Context(), role, nil, p, bearer(raised))
	require.NoError(h.t, err)
	return got
}

// asks sets the second-factor policy of a role.
func (h *house) asks(role, raised string, p api.SecondFactorPolicyPut) {
	h.t.Helper()
	got := h.putPolicy(role, raised, p)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
}

// waits signs grace in with the password, so that the session waits for the second factor.
func (h *house) waits() *api.MfaRequired {
	h.t.Helper()
	got := h.attempt("grace", userPassword)
	require.Equal(h.t, http.StatusAccepted, got.StatusCode(), string(got.Body))
	return got.JSON202
}

func (h *house) complete(token, proof string) *api.CompleteSignInResult {
	h.t.Helper()
	got, err := h.client.CompleteSignInWithResponse(context.WithoutCancel(h.t.Context()), nil, api.SignInProof{Proof: proof}, bearer(token))
	require.NoError(h.t, err)
	return got
}

// proofOf returns a valid proof for the session of a token, by a type of factor.
func (p *prover) proofOf(token, factor string) string {
	c := p.claimsFor(token)
	c.Factor = factor
	if factor == auth.FactorPasskey {
		c.ACR, c.AMR = "phr", []string{"hwk", "user"}
	}
	return p.sign(c)
}

// signIn returns a valid proof for a sign-in with a passkey of the user.
func (p *prover) signIn(userID string, spoil func(*auth.ProofClaims)) string {
	p.h.t.Helper()
	now := p.h.clock.Now()
	c := &auth.ProofClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: auth.ProofIssuer, Audience: jwt.ClaimStrings{auth.ProofAudience}, Subject: userID, ID: id.New("prf"),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute)),
		},
		AuthorizedParty: "fountain", ACR: "phr", AMR: []string{"hwk", "user"}, Factor: auth.FactorPasskey, AuthTime: now.Unix(),
	}
	if spoil != nil {
		spoil(c)
	}
	text, err := auth.Sign(auth.TypeSignInProof, p.kid, "EdDSA", p.private, c)
	require.NoError(p.h.t, err)
	return text
}

func (h *house) passkey(proof string) *api.SignInWithPasskeyResult {
	h.t.Helper()
	got, err := h.client.SignInWithPasskeyWithResponse(context.WithoutCancel(h.t.Context()), nil, api.SignInProof{Proof: proof})
	require.NoError(h.t, err)
	return got
}

// signing is a house whose editors need a second factor at sign-in, and grace, who is one.
type signing struct {
	*house
	p      *prover
	raised string // the administrator's
	grace  *api.UserCreated
}

func newSigning(h *house) *signing {
	h.bootstrap()
	s := &signing{house: h, p: h.prover()}
	s.raised = s.p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
	s.grace = h.user("grace", "editor", s.raised)
	h.asks("editor", s.raised, policy(always))
	return s
}

func TestLogin_waitsForTheSecondFactorWhereARoleAsksForIt(t *testing.T) {
	each(t, func(h *house) {
		t, s := h.t, newSigning(h)
		waits := s.waits()
		require.EqualValues(t, 300, waits.ExpiresIn)
		require.WithinDuration(t, h.clock.Now().Add(5*time.Minute), waits.ExpiresAt, time.Second)
		require.Nil(t, waits.Factors, "all are accepted")
		token := claims(t, waits.MfaToken)
		require.Equal(t, "challenges:use factors:manage session:complete", token.Scope)
		require.Equal(t, jwt.ClaimStrings{"kms", "twofactor"}, token.Audience)
		require.Equal(t, "aal1", token.ACR)
		require.Equal(t, 5*time.Minute, token.ExpiresAt.Sub(token.IssuedAt.Time))

		h.clock.Advance(time.Minute)
		proved := h.clock.Now().Unix()
		got := h.complete(waits.MfaToken, s.p.proofOf(waits.MfaToken, auth.FactorTOTP))
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		access := claims(t, got.JSON200.AccessToken)
		require.Equal(t, []string{"aal2", s.grace.ID, token.SessionID, "fountain", "totp"},
			[]string{access.ACR, access.Subject, access.SessionID, access.ClientID, access.Factor})
		require.Equal(t, []string{"pwd", "otp"}, access.AMR)
		require.Equal(t, proved, access.AuthTime)
		require.ElementsMatch(t, []string{"kms", "search", "sequence", "twofactor"}, access.Audience)
		require.True(t, h.usable(got.JSON200.AccessToken, s.grace.ID))

		next := h.refresh(*got.JSON200.RefreshToken)
		require.Equal(t, http.StatusOK, next.StatusCode(), string(next.Body))
		kept := claims(t, next.JSON200.AccessToken)
		require.Equal(t, []any{"aal2", proved, "totp"}, []any{kept.ACR, kept.AuthTime, kept.Factor}, "a refresh keeps the level, and when it was reached")

		require.Equal(t, http.StatusOK, h.attempt(adminName, adminPassword).StatusCode(), "whose role asks for nothing signs in as before")
	})
}

// An administrator who signed in with a second factor needs no other one while it is recent enough for the operation.
func TestCompleteSignIn_countsAsAStepUpWhileItIsRecent(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	s := newSigning(h)
	h.asks("admin", s.raised, policy(always))
	waits := h.attempt(adminName, adminPassword).JSON202
	signed := h.complete(waits.MfaToken, s.p.proofOf(waits.MfaToken, auth.FactorTOTP)).JSON200
	list := func(token string) int {
		got, err := h.client.ListUsersWithResponse(t.Context(), nil, bearer(token))
		require.NoError(t, err)
		return got.StatusCode()
	}
	require.Equal(t, http.StatusOK, list(signed.AccessToken))
	h.clock.Advance(5*time.Minute + time.Second)
	require.Equal(t, http.StatusUnauthorized, list(signed.AccessToken), "the factor is too old for this operation")
	refreshed := h.refresh(*signed.RefreshToken).JSON200
	require.Equal(t, http.StatusUnauthorized, list(refreshed.AccessToken), "a refresh makes it no younger")
	require.Equal(t, http.StatusOK, list(s.p.raise(refreshed.AccessToken, "kms")))
}

// The token of a sign-in that waits for its second factor can only complete or cancel that sign-in. Every operation of the contract is
// tried.
func TestMfaToken_opensNothingButTheEndOfItsSignIn(t *testing.T) {
	each(t, func(h *house) {
		t, s := h.t, newSigning(h)
		waits := s.waits()
		c, err := contract.Load("kms")
		require.NoError(t, err)
		parameter := regexp.MustCompile(`\{(\w+)\}`)
		values := map[string]string{"userId": s.grace.ID, "sessionId": claims(t, waits.MfaToken).SessionID, "roleName": "editor", "serviceId": id.New("svc"), "keyId": id.New("key")}
		open := map[string]bool{"logoutUser": true, "completeSignIn": true}
		tried := 0
		for _, op := range c.Operations {
			if op.Public {
				continue // it checks no token; what it accepts instead is tested below
			}
			path := parameter.ReplaceAllStringFunc(op.Path, func(name string) string {
				if value := values[strings.Trim(name, "{}")]; value != "" {
					return value
				}
				return "x"
			})
			if open[op.ID] {
				require.NoError(t, auth.Permit(&auth.Principal{Kind: "user", Scopes: strings.Fields(claims(t, waits.MfaToken).Scope)}, op))
				continue
			}
			r, err := http.NewRequestWithContext(t.Context(), op.Method, h.url+path, nil)
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+waits.MfaToken)
			got, err := h.http.Do(r)
			require.NoError(t, err)
			require.NoError(t, got.Body.Close())
			require.Equal(t, http.StatusForbidden, got.StatusCode, op.ID)
			tried++
		}
		require.Greater(t, tried, 40)
		require.Equal(t, http.StatusUnprocessableEntity, h.refresh(waits.MfaToken).StatusCode(), "it is no refresh token")
		ended, err := h.client.RevokeTokenWithFormdataBodyWithResponse(t.Context(), api.TokenQuestion{Token: waits.MfaToken, ClientID: new("fountain")})
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, ended.StatusCode(), "nor a client's to revoke")
	})
}

// Introspection knows a waiting session. Whatever ends sessions ends it, and it expires after five minutes.
func TestMfaToken_isGoodWhileItsSignInWaits(t *testing.T) {
	each(t, func(h *house) {
		t, s := h.t, newSigning(h)
		ask := func(token string) *api.Introspection {
			got := h.introspect(s.p.key.APIKey.ID, s.p.key.Key, token)
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
			return got.JSON200
		}
		refused := func(waits *api.MfaRequired, why string) {
			t.Helper()
			require.False(t, ask(waits.MfaToken).Active, why)
			got := h.complete(waits.MfaToken, s.p.proofOf(waits.MfaToken, auth.FactorTOTP))
			require.Equal(t, http.StatusUnauthorized, got.StatusCode(), "%s: %s", why, got.Body)
			require.Equal(t, "invalid_token", code(got.Body), why)
		}
		waits := s.waits()
		told := ask(waits.MfaToken)
		require.True(t, told.Active)
		require.Equal(t, "challenges:use factors:manage session:complete", *told.Scope)
		require.Equal(t, "aal1", *told.Acr)
		listed, err := h.client.ListSessionsWithResponse(t.Context(), s.grace.ID, nil, bearer(s.raised))
		require.NoError(t, err)
		require.Empty(t, listed.JSON200.Items, "it is no session yet")

		out, err := h.client.LogoutUserWithResponse(t.Context(), nil, bearer(waits.MfaToken))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, out.StatusCode(), string(out.Body))
		refused(waits, "given up")

		waits = s.waits()
		revoked, err := h.client.RevokeSessionWithResponse(t.Context(), s.grace.ID, claims(t, waits.MfaToken).SessionID, bearer(s.raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, revoked.StatusCode(), string(revoked.Body))
		refused(waits, "revoked by an administrator")

		waits = s.waits()
		h.change(s.grace.ID, `{"status":"disabled"}`, s.raised)
		refused(waits, "disabled between the password and the second factor")
		h.change(s.grace.ID, `{"status":"active"}`, s.raised)
		refused(waits, "enabled again: what was begun before has ended")

		waits = s.waits()
		done := h.complete(waits.MfaToken, s.p.proofOf(waits.MfaToken, auth.FactorTOTP))
		require.Equal(t, http.StatusOK, done.StatusCode(), string(done.Body))
		require.Equal(t, "factors:manage", strings.ReplaceAll(*ask(waits.MfaToken).Scope, "challenges:use ", ""), "of a sign-in that is complete")
		again := h.complete(waits.MfaToken, s.p.proofOf(waits.MfaToken, auth.FactorTOTP))
		require.Equal(t, http.StatusConflict, again.StatusCode())
		require.Equal(t, "state_conflict", code(again.Body))

		waits = s.waits()
		h.clock.Advance(5 * time.Minute) // the token itself has the leeway; the row has none
		refused(waits, "five minutes are over")
	})
}

func TestCompleteSignIn_refusesWhatIsNotThisSignInsProof(t *testing.T) {
	each(t, func(h *house) {
		t, s := h.t, newSigning(h)
		waits, other := s.waits(), s.waits()
		full := h.login(adminName, adminPassword).AccessToken
		with := func(change func(*auth.ProofClaims)) string {
			c := s.p.claimsFor(waits.MfaToken)
			c.Factor = auth.FactorTOTP
			change(c)
			return s.p.sign(c)
		}
		for name, proof := range map[string]string{
			"another sign-in's":       s.p.proofOf(other.MfaToken, auth.FactorTOTP),
			"another user's session":  s.p.proofOf(full, auth.FactorTOTP),
			"another subject's":       with(func(c *auth.ProofClaims) { c.Subject = id.New("usr") }),
			"another client's":        with(func(c *auth.ProofClaims) { c.AuthorizedParty = "key_x" }),
			"of a password's level":   with(func(c *auth.ProofClaims) { c.ACR = "aal1" }),
			"of no level":             with(func(c *auth.ProofClaims) { c.ACR = "aal9" }),
			"of no session":           with(func(c *auth.ProofClaims) { c.SessionID = "" }),
			"that lives too long":     with(func(c *auth.ProofClaims) { c.ExpiresAt = jwt.NewNumericDate(h.clock.Now().Add(time.Hour)) }),
			"a passkey's sign-in":     s.p.signIn(s.grace.ID, nil),
			"a passkey's, with a sid": s.p.signIn(s.grace.ID, func(c *auth.ProofClaims) { c.SessionID = claims(t, waits.MfaToken).SessionID }),
			"the token itself":        waits.MfaToken,
		} {
			got := h.complete(waits.MfaToken, proof)
			require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), "%s: %s", name, got.Body)
			require.Equal(t, "invalid_proof", code(got.Body), name)
		}
		got := h.complete(full, s.p.proofOf(full, auth.FactorTOTP))
		require.Equal(t, http.StatusForbidden, got.StatusCode(), "a session's own token completes nothing")

		// A proof can be used once, either for the sign-in or for a step-up.
		proof := s.p.proofOf(waits.MfaToken, auth.FactorTOTP)
		trade := s.p.trade(waits.MfaToken, proof, "kms")
		require.Equal(t, http.StatusForbidden, trade.StatusCode(), "a sign-in that waits is not raised: %s", trade.Body)
		done := h.complete(waits.MfaToken, proof)
		require.Equal(t, http.StatusOK, done.StatusCode(), string(done.Body))
		require.Equal(t, http.StatusConflict, h.complete(waits.MfaToken, proof).StatusCode())
		after := s.p.trade(done.JSON200.AccessToken, proof, "kms")
		require.Equal(t, http.StatusConflict, after.StatusCode())
		require.Equal(t, "proof_used", code(after.Body))
	})
}

func TestCompleteSignIn_hasOneWinnerOfManyAtOnce(t *testing.T) {
	each(t, func(h *house) {
		t, s := h.t, newSigning(h)
		for _, same := range []bool{true, false} {
			waits := s.waits()
			proof := s.p.proofOf(waits.MfaToken, auth.FactorTOTP)
			var won, lost atomic.Int64
			var all sync.WaitGroup
			for range 16 {
				mine := proof
				if !same {
					mine = s.p.proofOf(waits.MfaToken, auth.FactorTOTP)
				}
				all.Go(func() {
					switch got := h.complete(waits.MfaToken, mine); got.StatusCode() {
					case http.StatusOK:
						won.Add(1)
					case http.StatusConflict:
						lost.Add(1)
					default:
						t.Errorf("%d %s", got.StatusCode(), got.Body)
					}
				})
			}
			all.Wait()
			require.EqualValues(t, 1, won.Load())
			require.EqualValues(t, 15, lost.Load())
		}
	})
}

// The types of factors that a role accepts apply at the sign-in, at step-ups and at refreshes, from the moment the policy is set.
func TestPolicy_saysWhichFactorsAreAccepted(t *testing.T) {
	each(t, func(h *house) {
		t, s := h.t, newSigning(h)
		before := s.waits()
		byCode := h.complete(before.MfaToken, s.p.proofOf(before.MfaToken, auth.FactorTOTP)).JSON200
		h.asks("editor", s.raised, policy(always, api.FactorWordPasskey, api.FactorWordRecoveryCode))
		waits := s.waits()
		require.Equal(t, []api.FactorWord{"passkey", "recovery_code"}, *waits.Factors)
		for _, factor := range []string{auth.FactorTOTP, auth.FactorEmail, ""} {
			got := h.complete(waits.MfaToken, s.p.proofOf(waits.MfaToken, factor))
			require.Equal(t, http.StatusForbidden, got.StatusCode(), factor)
			require.Equal(t, "factor_not_accepted", code(got.Body))
		}
		trade := s.p.trade(byCode.AccessToken, s.p.proofOf(byCode.AccessToken, auth.FactorTOTP), "sequence")
		require.Equal(t, http.StatusForbidden, trade.StatusCode())
		require.Equal(t, "factor_not_accepted", code(trade.Body))
		require.Equal(t, http.StatusUnauthorized, h.refresh(*byCode.RefreshToken).StatusCode(), "a session of a factor that is accepted no more ends with its refresh")

		done := h.complete(waits.MfaToken, s.p.proofOf(waits.MfaToken, auth.FactorPasskey))
		require.Equal(t, http.StatusOK, done.StatusCode(), string(done.Body))
		require.Equal(t, "phr", claims(t, done.JSON200.AccessToken).ACR)
		require.Equal(t, []string{"pwd", "hwk", "user"}, claims(t, done.JSON200.AccessToken).AMR)

		got := h.putRole("reporter", s.raised, nil, "elements:read")
		require.Equal(t, http.StatusCreated, got.StatusCode(), string(got.Body))
		h.asks("reporter", s.raised, policy(onOperations, api.FactorWordTotp))
		user, err := h.client.GetUserWithResponse(t.Context(), s.grace.ID, nil, bearer(s.raised))
		require.NoError(t, err)
		both := h.patch(s.grace.ID, user.JSON200.Version, `{"roles":["editor","reporter"]}`, s.raised)
		require.Equal(t, http.StatusUnprocessableEntity, both.StatusCode(), "nobody could meet both: %s", both.Body)
		h.asks("reporter", s.raised, policy(onOperations))
		h.change(s.grace.ID, `{"roles":["editor","reporter"]}`, s.raised)
		h.asks("reporter", s.raised, policy(onOperations, api.FactorWordTotp))
		h.change(s.grace.ID, `{"status":"disabled"}`, s.raised)
	})
}

// A session keeps the level of its sign-in for the role's maxAge. Then it falls to a password's, or the session ends if the level is required.
func TestPolicy_saysHowLongASessionKeepsItsLevel(t *testing.T) {
	each(t, func(h *house) {
		t, s := h.t, newSigning(h)
		p := policy(always)
		p.MaxAge = new(int64(3600))
		h.asks("editor", s.raised, p)
		waits := s.waits()
		tokens := h.complete(waits.MfaToken, s.p.proofOf(waits.MfaToken, auth.FactorTOTP)).JSON200
		h.clock.Advance(time.Hour - time.Second) // the proof knows the second alone
		got := h.refresh(*tokens.RefreshToken)
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Equal(t, "aal2", claims(t, got.JSON200.AccessToken).ACR)
		h.clock.Advance(2 * time.Second)
		late := h.refresh(*got.JSON200.RefreshToken)
		require.Equal(t, http.StatusUnauthorized, late.StatusCode())
		require.Equal(t, "session_ended", code(late.Body))
		require.False(t, h.usable(got.JSON200.AccessToken, s.grace.ID), "its access tokens end with it")

		waits = s.waits()
		tokens = h.complete(waits.MfaToken, s.p.proofOf(waits.MfaToken, auth.FactorTOTP)).JSON200
		s.raised = s.p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		p.Required = onOperations
		h.asks("editor", s.raised, p)
		h.clock.Advance(time.Hour + time.Second)
		fallen := h.refresh(*tokens.RefreshToken)
		require.Equal(t, http.StatusOK, fallen.StatusCode(), string(fallen.Body))
		require.Equal(t, []any{"aal1", ""}, []any{claims(t, fallen.JSON200.AccessToken).ACR, claims(t, fallen.JSON200.AccessToken).Factor})
	})
}

// A session that began with a password alone ends at its next refresh if the role has begun to require a second factor at sign-in.
func TestPolicy_endsSessionsThatBeganBeforeIt(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		h.user("grace", "editor", raised)
		tokens := h.login("grace", userPassword)
		h.asks("editor", raised, policy(always))
		got := h.refresh(*tokens.RefreshToken)
		require.Equal(t, http.StatusUnauthorized, got.StatusCode())
		require.Equal(t, "session_ended", code(got.Body))
	})
}

// Administrators can't lock themselves out: a holder of the role must have presented a factor that it still accepts afterwards.
func TestPutSecondFactorPolicy_isForWhoMeetsIt(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin := h.bootstrap()
		p := h.prover()
		raise := func(factor string) string {
			access := h.login(adminName, adminPassword).AccessToken
			got := p.trade(access, p.proofOf(access, factor), "kms")
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
			return got.JSON200.AccessToken
		}
		signedIn := func(token, factor string) string {
			got := h.complete(token, p.proofOf(token, factor))
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
			return got.JSON200.AccessToken
		}
		code1 := raise(auth.FactorTOTP)
		plain := h.putPolicy("admin", h.login(adminName, adminPassword).AccessToken, policy(always))
		require.Equal(t, http.StatusUnauthorized, plain.StatusCode(), "it asks for a second factor itself")
		out := h.putPolicy("admin", code1, policy(onOperations, api.FactorWordPasskey))
		require.Equal(t, http.StatusForbidden, out.StatusCode())
		require.Equal(t, "factor_not_accepted", code(out.Body))
		require.Equal(t, http.StatusOK, h.putPolicy("editor", code1, policy(always, api.FactorWordPasskey)).StatusCode(), "a role that they do not have")
		own := h.patch(admin.ID, admin.Version, `{"roles":["admin","editor"]}`, code1)
		require.Equal(t, http.StatusForbidden, own.StatusCode(), "nor do they give it to themselves: %s", own.Body)
		require.Equal(t, "factor_not_accepted", code(own.Body))
		other := h.user("root", "admin", code1)
		h.change(other.ID, `{"roles":["admin","editor"]}`, code1)
		require.Equal(t, http.StatusNotFound, h.putPolicy("nobody", code1, policy(always)).StatusCode())
		short := policy(always)
		short.MaxAge = new(int64(60))
		require.Equal(t, http.StatusUnprocessableEntity, h.putPolicy("editor", code1, short).StatusCode())

		read := func() *api.GetRoleResult {
			got, err := h.client.GetRoleWithResponse(t.Context(), "admin", nil, bearer(code1))
			require.NoError(t, err)
			return got
		}
		require.Regexp(t, `^"1-`, read().HTTPResponse.Header.Get("ETag"))
		require.Equal(t, api.SecondFactorPolicyRequiredOnOperations, read().JSON200.SecondFactor.Required)
		tagged := func(tag string) *api.PutSecondFactorPolicyResult {
			got, err := h.client.PutSecondFactorPolicyWithResponse(t.Context(), "admin", &api.PutSecondFactorPolicyParams{IfMatch: &tag}, policy(always, api.FactorWordPasskey, api.FactorWordTotp), bearer(code1))
			require.NoError(t, err)
			return got
		}
		require.Equal(t, http.StatusPreconditionFailed, tagged(`"7"`).StatusCode())
		set := tagged(`"1"`)
		require.Equal(t, http.StatusOK, set.StatusCode(), string(set.Body))
		require.Equal(t, `"2"`, set.HTTPResponse.Header.Get("ETag"))
		require.Equal(t, api.SecondFactorPolicy{Required: "always", Factors: &[]api.FactorWord{"passkey", "totp"}}, read().JSON200.SecondFactor)
		require.Equal(t, http.StatusPreconditionFailed, tagged(`"1"`).StatusCode(), "it was changed since")

		waits := h.attempt(adminName, adminPassword)
		require.Equal(t, http.StatusAccepted, waits.StatusCode())
		// A raised token with a factor that is no longer accepted can't change the policy for those who meet it.
		byKey := signedIn(waits.JSON202.MfaToken, auth.FactorPasskey)
		require.Equal(t, http.StatusOK, h.putPolicy("admin", byKey, policy(always, api.FactorWordPasskey)).StatusCode())
		late := h.putPolicy("editor", code1, policy(always, api.FactorWordTotp))
		require.Equal(t, http.StatusForbidden, late.StatusCode())
		require.Equal(t, "factor_not_accepted", code(late.Body))
		code1 = byKey
		reader := h.user("hedy", "reader", code1)
		require.NotNil(t, reader)
		asReader := h.putPolicy("reader", h.login("hedy", userPassword).AccessToken, policy(onOperations))
		require.Equal(t, http.StatusForbidden, asReader.StatusCode())
		require.Contains(t, positions(h.records()), "putSecondFactorPolicy admin")
	})
}

// Recovery from a policy that no user can meet.
func TestRecover_administratorTakesBackWhatTheirRolesAskFor(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	h.asks("admin", raised, policy(always))
	require.Equal(t, http.StatusAccepted, h.attempt(adminName, adminPassword).StatusCode())
	require.NoError(t, h.stop())
	c := h.config
	c.Clock = h.clock
	_, err := kms.Recover(t.Context(), c, kms.Recovery{Administrator: adminName})
	require.NoError(t, err)
	h.run()
	require.Equal(t, http.StatusOK, h.attempt(adminName, adminPassword).StatusCode())
	require.Contains(t, positions(h.records()), "loosenSecondFactorPolicy admin")
}

func TestSignInWithPasskey_beginsAPhishingResistantSession(t *testing.T) {
	each(t, func(h *house) {
		t, s := h.t, newSigning(h)
		proved := h.clock.Now().Unix()
		got := h.passkey(s.p.signIn(s.grace.ID, nil))
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		access := claims(t, got.JSON200.AccessToken)
		require.Equal(t, []string{"phr", s.grace.ID, "fountain", "passkey"}, []string{access.ACR, access.Subject, access.ClientID, access.Factor})
		require.Equal(t, []string{"hwk", "user"}, access.AMR)
		require.Equal(t, proved, access.AuthTime)
		require.True(t, h.usable(got.JSON200.AccessToken, s.grace.ID))
		next := h.refresh(*got.JSON200.RefreshToken)
		require.Equal(t, http.StatusOK, next.StatusCode(), "the role asks for a second factor at sign-in: a passkey is one")
		require.Equal(t, "phr", claims(t, next.JSON200.AccessToken).ACR)
	})
}

// All failures look the same, and none starts a session.
func TestSignInWithPasskey_refusesAllAlike(t *testing.T) {
	each(t, func(h *house) {
		t, s := h.t, newSigning(h)
		hedy := h.user("hedy", "reader", s.raised)
		h.change(hedy.ID, `{"status":"disabled"}`, s.raised)
		joan := h.user("joan", "reader", s.raised)
		h.asks("reader", s.raised, policy(onOperations, api.FactorWordTotp))
		used := s.p.signIn(s.grace.ID, nil)
		require.Equal(t, http.StatusOK, h.passkey(used).StatusCode())
		waits := s.waits()
		spoiled := func(spoil func(*auth.ProofClaims)) string { return s.p.signIn(s.grace.ID, spoil) }
		var body string
		for name, proof := range map[string]string{
			"used":                    used,
			"a disabled user's":       s.p.signIn(hedy.ID, nil),
			"nobody's":                s.p.signIn(id.New("usr"), nil),
			"a service's":             s.p.signIn(s.p.key.APIKey.OwnerID, nil),
			"a role takes no passkey": s.p.signIn(joan.ID, nil),
			"of a session":            s.p.proofOf(waits.MfaToken, auth.FactorPasskey),
			"with a session":          spoiled(func(c *auth.ProofClaims) { c.SessionID = claims(t, waits.MfaToken).SessionID }),
			"of a lower level":        spoiled(func(c *auth.ProofClaims) { c.ACR = "aal2" }),
			"by a code":               spoiled(func(c *auth.ProofClaims) { c.Factor = auth.FactorTOTP }),
			"another client's":        spoiled(func(c *auth.ProofClaims) { c.AuthorizedParty = "key_x" }),
			"that lives too long":     spoiled(func(c *auth.ProofClaims) { c.ExpiresAt = jwt.NewNumericDate(h.clock.Now().Add(time.Hour)) }),
			"an access token":         waits.MfaToken,
			"rubbish":                 strings.Repeat("a.", 30),
		} {
			got := h.passkey(proof)
			require.Equal(t, http.StatusUnauthorized, got.StatusCode(), "%s: %s", name, got.Body)
			same := regexp.MustCompile(`req_\w+`).ReplaceAllString(string(got.Body), "")
			if body == "" {
				body = same
			}
			require.Equal(t, body, same, name)
			require.Equal(t, "invalid_credentials", code(got.Body), name)
		}
		reverse := s.p.trade(h.login(adminName, adminPassword).AccessToken, s.p.signIn(s.grace.ID, nil), "kms")
		require.Equal(t, "invalid_proof", code(reverse.Body), "nor does the proof of a sign-in raise a session")
	})
}
