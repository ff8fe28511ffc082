package kms_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/auth"
)

// sentHouse is a house with grace, an editor, and a prover of her second factors.
func sentHouse(h *house) (p *prover, raised string, grace *api.UserCreated) {
	h.t.Helper()
	h.bootstrap()
	p = h.prover()
	raised = p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
	return p, raised, h.user("grace", "editor", raised)
}

// A sent code completes a sign-in only if the role names its type. A proof that is refused for its type is not used up.
func TestCompleteSignIn_takesSentCodesWhereTheRoleNamesThem(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		p, raised, grace := sentHouse(h)
		sent := []string{auth.FactorEmail, auth.FactorSMS, auth.FactorWebhook}
		h.asks("editor", raised, policy(always))
		for _, factor := range sent {
			waits := h.waits()
			require.Nil(t, waits.Factors, "all but codes that are sent")
			got := h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, factor))
			require.Equal(t, []any{http.StatusForbidden, "factor_not_accepted"}, []any{got.StatusCode(), code(got.Body)}, factor)
			require.NotNil(t, h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, auth.FactorTOTP)).JSON200, "the session still waits")
		}
		h.asks("editor", raised, policy(always, "email", "sms", "totp"))
		for factor, want := range map[string]int{auth.FactorEmail: 200, auth.FactorSMS: 200, auth.FactorTOTP: 200, auth.FactorWebhook: 403, auth.FactorPasskey: 403} {
			waits := h.waits()
			require.Equal(t, []api.FactorWord{"email", "sms", "totp"}, *waits.Factors)
			got := h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, factor))
			require.Equal(t, want, got.StatusCode(), "%s: %s", factor, got.Body)
			if want == 200 {
				c := claims(t, got.JSON200.AccessToken)
				require.Equal(t, []string{"aal2", factor}, []string{c.ACR, c.Factor})
			}
		}
		// Another role that does not name them excludes them. The change applies at the next refresh of a session that began with one.
		waits := h.waits()
		mailed := h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, auth.FactorEmail)).JSON200
		h.change(grace.ID, `{"roles":["editor","reader"]}`, raised)
		waits = h.waits()
		require.Equal(t, []api.FactorWord{"totp"}, *waits.Factors)
		require.Equal(t, http.StatusForbidden, h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, auth.FactorSMS)).StatusCode())
		require.Equal(t, http.StatusUnauthorized, h.refresh(*mailed.RefreshToken).StatusCode(), "what is not accepted any more is not kept")
	})
}

// A reader of a person's mail must not have both factors: while a password can be set by mail, or was, a code by mail is no second factor. A step-up, removing the
// address afterwards, or changing the password does not circumvent this.
func TestCodesByMail_areNoSecondFactorForWhoReadsTheMail(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		p, raised, grace := sentHouse(h)
		h.asks("editor", raised, policy(always, "email", "sms"))
		accepted := func(factor string) int {
			waits := h.waits()
			return h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, factor)).StatusCode()
		}
		require.Equal(t, http.StatusOK, accepted(auth.FactorEmail))
		h.change(grace.ID, `{"email":"grace@example.org"}`, raised)
		require.Equal(t, []api.FactorWord{"sms"}, *h.waits().Factors)
		require.Equal(t, http.StatusForbidden, accepted(auth.FactorEmail))
		require.Equal(t, http.StatusOK, accepted(auth.FactorSMS), "a number is another channel")
		waits := h.waits()
		session := h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, auth.FactorSMS)).JSON200
		step, err := h.client.CompleteStepUpWithResponse(t.Context(), api.StepUp{Proof: p.proofOf(session.AccessToken, auth.FactorEmail), Resource: "kms"}, bearer(session.AccessToken))
		require.NoError(t, err)
		require.Equal(t, []any{http.StatusForbidden, "factor_not_accepted"}, []any{step.StatusCode(), code(step.Body)})

		h.change(grace.ID, `{"email":""}`, raised)
		require.Equal(t, http.StatusOK, accepted(auth.FactorEmail), "nobody can choose the password by mail any more")
	})
}

// The kms refuses a level that the proof's factor can't have, even if twofactor signed it.
func TestProof_ofASentCodeNeverRaisesToPhishingResistant(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	p, raised, _ := sentHouse(h)
	h.asks("editor", raised, policy(always, "email", "sms", "webhook", "totp", "recovery_code", "passkey"))
	for _, factor := range []string{auth.FactorEmail, auth.FactorSMS, auth.FactorWebhook, auth.FactorTOTP, auth.FactorRecoveryCode} {
		waits := h.waits()
		c := p.claimsFor(waits.MfaToken)
		c.Factor, c.ACR = factor, "phr"
		got := h.complete(waits.MfaToken, p.sign(c))
		require.Equal(t, []any{http.StatusUnprocessableEntity, "invalid_proof"}, []any{got.StatusCode(), code(got.Body)}, factor)
	}
}

// An administrator who presented a code by mail can't set a policy under which such a code would not complete their sign-in.
func TestPutSecondFactorPolicy_keepsWhoGaveASentCodeIn(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	p, _, _ := sentHouse(h)
	token := h.login(adminName, adminPassword).AccessToken
	step, err := h.client.CompleteStepUpWithResponse(t.Context(), api.StepUp{Proof: p.proofOf(token, auth.FactorSMS), Resource: "kms"}, bearer(token))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, step.StatusCode(), string(step.Body))
	bySMS := step.JSON200.AccessToken
	refused := h.putPolicy("admin", bySMS, policy(always))
	require.Equal(t, []any{http.StatusForbidden, "factor_not_accepted"}, []any{refused.StatusCode(), code(refused.Body)})
	require.Equal(t, http.StatusOK, h.putPolicy("admin", bySMS, policy(always, "sms", "totp")).StatusCode())
}

// A password set by a mailed link is known to readers of the mail, even after the address was removed. One set with a token that an administrator handed over
// is not.
func TestCodesByMail_stayOffAfterAPasswordWasChosenByMail(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		p := h.prover()
		h.bootstrap()
		raised, c := p.raise(h.login(adminName, adminPassword).AccessToken, "kms"), &carrier{h, h.token(p.key, "kms")}
		grace := h.user("grace", "editor", raised)
		status, why := h.withEmail(grace.ID, "grace@example.org", raised)
		require.Equal(t, http.StatusOK, status, why)
		c.opens()
		require.Contains(t, h.forgets("grace"), "204")
		m := c.eventually()
		require.Equal(t, http.StatusNoContent, h.resetBy(*m.Link, userPassword+" again"))
		status, why = h.withEmail(grace.ID, "", raised)
		require.Equal(t, http.StatusOK, status, why)
		h.asks("editor", raised, policy(always, "email", "sms"))
		waiting := func(password string) *api.MfaRequired {
			got := h.attempt("grace", password)
			require.Equal(t, http.StatusAccepted, got.StatusCode(), string(got.Body))
			return got.JSON202
		}
		waits := waiting(userPassword + " again")
		require.Equal(t, []api.FactorWord{"sms"}, *waits.Factors)
		require.Equal(t, http.StatusForbidden, h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, auth.FactorEmail)).StatusCode())

		session := h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, auth.FactorSMS)).JSON200
		changed, err := h.client.ChangePasswordWithResponse(t.Context(), grace.ID,
			api.PasswordChange{CurrentPassword: userPassword + " again", NewPassword: userPassword + " once more"}, bearer(session.AccessToken))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, changed.StatusCode(), string(changed.Body))
		require.Equal(t, []api.FactorWord{"sms"}, *waiting(userPassword + " once more").Factors, "who has the password changes it, and is the same")

		made, err := h.client.CreatePasswordResetWithResponse(t.Context(), grace.ID, nil, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		reset, err := h.client.ResetPasswordWithResponse(t.Context(), api.PasswordResetUse{Token: made.JSON201.Token, NewPassword: userPassword})
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, reset.StatusCode(), string(reset.Body))
		waits = waiting(userPassword)
		require.Equal(t, []api.FactorWord{"email", "sms"}, *waits.Factors)
		require.Equal(t, http.StatusOK, h.complete(waits.MfaToken, p.proofOf(waits.MfaToken, auth.FactorEmail)).StatusCode())
	})
}
