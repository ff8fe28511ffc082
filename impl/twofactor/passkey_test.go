package twofactor

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/descope/virtualwebauthn"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/servicetest"
)

// origin is that of the pages that may use passkeys in the tests.
const origin = "https://app.example.org"

// device is an authenticator with one passkey and the browser in front of it.
type device struct {
	site virtualwebauthn.RelyingParty
	auth virtualwebauthn.Authenticator
	cred virtualwebauthn.Credential
}

// newDevice is a device of the subject on a page of the site.
func newDevice(subject string) *device {
	return &device{
		site: virtualwebauthn.RelyingParty{ID: "app.example.org", Name: "FountainAI", Origin: origin},
		auth: virtualwebauthn.NewAuthenticatorWithOptions(virtualwebauthn.AuthenticatorOptions{UserHandle: []byte(subject)}),
		cred: virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2),
	}
}

// options returns the member options of an answer.
func options(t *testing.T, a servicetest.Answer) string {
	t.Helper()
	var body struct{ Options json.RawMessage }
	require.NoError(t, json.Unmarshal(a.Body, &body), "%s", a.Body)
	return string(body.Options)
}

// makes returns the body of confirmPasskey for what enrolPasskey has answered.
func (d *device) makes(t *testing.T, enrolment servicetest.Answer) string {
	t.Helper()
	asked, err := virtualwebauthn.ParseAttestationOptions(options(t, enrolment))
	require.NoError(t, err)
	return `{"credential":` + virtualwebauthn.CreateAttestationResponse(d.site, d.auth, d.cred, *asked) + `}`
}

// signs returns the body that answers a challenge or a sign-in. The counter counts on unless it stands at 0.
func (d *device) signs(t *testing.T, request servicetest.Answer) string {
	t.Helper()
	asked, err := virtualwebauthn.ParseAssertionOptions(options(t, request))
	require.NoError(t, err)
	return `{"credential":` + virtualwebauthn.CreateAssertionResponse(d.site, d.auth, d.cred, *asked) + `}`
}

// enrolledPasskey gives the user an active passkey.
func (w *world) enrolledPasskey(t *testing.T, c *auth.Claims) (factorID string, d *device) {
	t.Helper()
	d = newDevice(c.Subject)
	return w.enrolDevice(t, c, d), d
}

func (w *world) enrolDevice(t *testing.T, c *auth.Claims, d *device) (factorID string) {
	t.Helper()
	a := w.call(t, c, "POST", "/factors/passkey", `{"label":"laptop"}`)
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	factorID = a.Text(t, "factorId")
	a = w.call(t, c, "POST", "/factors/passkey/"+factorID+"/confirm", d.makes(t, a))
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
	return factorID
}

// challenged asks for a signature of the user's passkeys.
func (w *world) challenged(t *testing.T, c *auth.Claims) (path string, a servicetest.Answer) {
	t.Helper()
	a = w.call(t, c, "POST", "/passkey-challenges", "")
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	return "/passkey-challenges/" + a.Text(t, "challengeId") + "/verify", a
}

// signingIn begins a sign-in.
func (w *world) signingIn(t *testing.T) (path string, a servicetest.Answer) {
	t.Helper()
	a = w.call(t, nil, "POST", "/passkey-sign-ins", "")
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	return "/passkey-sign-ins/" + a.Text(t, "signInId") + "/verify", a
}

// A passkey is enrolled, raises the session of its owner, and signs the owner in without a password.
func TestPasskeys_raiseASessionAndSignIn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		refused(t, w.call(t, ada, "POST", "/passkey-challenges", ""), 409, "state_conflict")
		enrolment := w.call(t, ada, "POST", "/factors/passkey", `{"label":"laptop"}`)
		require.Equal(t, http.StatusCreated, enrolment.Status, "%s", enrolment.Body)
		id, d := enrolment.Text(t, "factorId"), newDevice(ada.Subject)
		a := w.call(t, ada, "POST", "/factors/passkey/"+id+"/confirm", d.makes(t, enrolment))
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, "passkey", a.Text(t, "type"))
		require.Len(t, codesOf(t, a, "recoveryCodes"), 10, "with the first factor")
		require.Contains(t, string(w.call(t, ada, "GET", "/factors", "").Body), `"type":"passkey"`)

		path, asked := w.challenged(t, ada)
		require.Contains(t, string(asked.Body), `"userVerification":"required"`)
		a = w.call(t, ada, "POST", path, d.signs(t, asked))
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, "phr", a.Text(t, "acr"))
		claims, err := auth.VerifyProof(t.Context(), a.Text(t, "proof"), w.kms.proofKeys, w.now)
		require.NoError(t, err)
		require.Equal(t, ada.Subject+" "+ada.SessionID+" passkey phr", claims.Subject+" "+claims.SessionID+" "+claims.Factor+" "+claims.ACR)
		require.Equal(t, []string{"hwk", "user"}, claims.AMR)

		path, asked = w.signingIn(t)
		require.NotContains(t, string(asked.Body), "allowCredentials")
		a = w.call(t, nil, "POST", path, d.signs(t, asked))
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		claims, err = auth.VerifySignInProof(t.Context(), a.Text(t, "proof"), w.kms.proofKeys, w.now)
		require.NoError(t, err)
		require.Equal(t, ada.Subject+" fountain passkey", claims.Subject+" "+claims.AuthorizedParty+" "+claims.Factor)
		_, err = auth.VerifyProof(t.Context(), a.Text(t, "proof"), w.kms.proofKeys, w.now)
		require.ErrorIs(t, err, auth.ErrInvalidProof, "it raises no session")
	})
}
