package twofactor

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
	"github.com/fountainai/fountain/tests/authenticator"
)

// origin is the origin of the pages that may use passkeys in the tests.
const origin = "https://app.example.org"

// nameless is an issuer to which no passkey can be bound.
const nameless = "http://127.0.0.1:8002"

// newDevice returns an authenticator with one passkey, whose browser shows a page of the site.
func newDevice() *authenticator.Device { return authenticator.New("app.example.org", origin) }

// options returns the member options of a response.
func options(t *testing.T, a servicetest.Answer) []byte {
	t.Helper()
	var body struct{ Options json.RawMessage }
	require.NoError(t, json.Unmarshal(a.Body, &body), "%s", a.Body)
	return body.Options
}

// makes returns the body of confirmPasskey for a response of enrolPasskey.
func makes(t *testing.T, d *authenticator.Device, enrolment servicetest.Answer) string {
	t.Helper()
	made, err := d.Create(options(t, enrolment))
	require.NoError(t, err)
	return `{"credential":` + string(made) + `}`
}

// signs returns the body that answers a challenge or a sign-in.
func signs(t *testing.T, d *authenticator.Device, request servicetest.Answer) string {
	t.Helper()
	signed, err := d.Get(options(t, request))
	require.NoError(t, err)
	return `{"credential":` + string(signed) + `}`
}

// enrolledPasskey gives the user an active passkey.
func (w *world) enrolledPasskey(t *testing.T, c *auth.Claims) (factorID string, d *authenticator.Device) {
	t.Helper()
	d = newDevice()
	return w.enrolDevice(t, c, d), d
}

func (w *world) enrolDevice(t *testing.T, c *auth.Claims, d *authenticator.Device) (factorID string) {
	t.Helper()
	a := w.call(t, c, "POST", "/factors/passkey", `{"label":"laptop"}`)
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	factorID = a.Text(t, "factorId")
	a = w.call(t, c, "POST", "/factors/passkey/"+factorID+"/confirm", makes(t, d, a))
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
		id, d := enrolment.Text(t, "factorId"), newDevice()
		a := w.call(t, ada, "POST", "/factors/passkey/"+id+"/confirm", makes(t, d, enrolment))
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, "passkey", a.Text(t, "type"))
		require.Len(t, codesOf(t, a, "recoveryCodes"), 10, "with the first factor")
		first, err := auth.VerifyProof(t.Context(), a.JSON(t)["proof"].(map[string]any)["proof"].(string), w.kms.proofKeys, w.now)
		require.NoError(t, err, "who was verified while it was made is not asked again at once")
		require.Equal(t, ada.Subject+" "+ada.SessionID+" "+ada.ClientID+" passkey phr", first.Subject+" "+first.SessionID+" "+first.AuthorizedParty+" "+first.Factor+" "+first.ACR)
		require.Equal(t, []string{"hwk", "user"}, first.AMR)
		require.Equal(t, w.now.Now().Add(time.Minute), first.ExpiresAt.UTC())
		require.Contains(t, string(w.call(t, ada, "GET", "/factors", "").Body), `"type":"passkey"`)

		path, asked := w.challenged(t, ada)
		require.Contains(t, string(asked.Body), `"userVerification":"required"`)
		a = w.call(t, ada, "POST", path, signs(t, d, asked))
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, "phr", a.Text(t, "acr"))
		claims, err := auth.VerifyProof(t.Context(), a.Text(t, "proof"), w.kms.proofKeys, w.now)
		require.NoError(t, err)
		require.Equal(t, ada.Subject+" "+ada.SessionID+" passkey phr", claims.Subject+" "+claims.SessionID+" "+claims.Factor+" "+claims.ACR)
		require.Equal(t, []string{"hwk", "user"}, claims.AMR)

		path, asked = w.signingIn(t)
		require.NotContains(t, string(asked.Body), "allowCredentials")
		a = w.call(t, nil, "POST", path, signs(t, d, asked))
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		claims, err = auth.VerifySignInProof(t.Context(), a.Text(t, "proof"), w.kms.proofKeys, w.now)
		require.NoError(t, err)
		require.Equal(t, ada.Subject+" fountain passkey", claims.Subject+" "+claims.AuthorizedParty+" "+claims.Factor)
		_, err = auth.VerifyProof(t.Context(), a.Text(t, "proof"), w.kms.proofKeys, w.now)
		require.ErrorIs(t, err, auth.ErrInvalidProof, "it raises no session")
	})
}

// Enrolling a passkey needs what enrolling other authenticators needs, and the new passkey must be of this site and person.
func TestEnrolPasskey_refusesWhoMayNot(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		refused(t, w.call(t, nil, "POST", "/factors/passkey", `{}`), 401, "authentication_required")
		refused(t, w.call(t, ada, "POST", "/factors/passkey", `{"label":"a\u0007b"}`), 422, "invalid_body")
		narrow := *ada
		narrow.Scope = "session:manage"
		refused(t, w.call(t, &narrow, "POST", "/factors/passkey", `{}`), 403, "insufficient_scope")
		late := *ada
		late.AuthTime -= 16 * 60
		refused(t, w.call(t, &late, "POST", "/factors/passkey", `{}`), 401, "insufficient_user_authentication")
		w.identity.away.Store(true)
		refused(t, w.call(t, ada, "POST", "/factors/passkey", `{}`), 503, "unavailable")
		w.identity.away.Store(false)
		w.identity.ended.Store(ada.Subject, true)
		refused(t, w.call(t, ada, "POST", "/factors/passkey", `{}`), 401, "session_ended")
		w.identity.ended.Delete(ada.Subject)

		w.enrolledPasskey(t, ada)
		refused(t, w.call(t, ada, "POST", "/factors/passkey", `{}`), 401, "insufficient_user_authentication")
		refused(t, w.call(t, ada, "POST", "/factors/totp", `{}`), 401, "insufficient_user_authentication")
		for range 4 { // five are the most
			w.enrolDevice(t, w.raised(ada), newDevice())
		}
		refused(t, w.call(t, w.raised(ada), "POST", "/factors/passkey", `{}`), 409, "limit_reached")
	})
}

// An administrator's password alone is not enough to enrol a passkey either.
func TestEnrolPasskey_anAdministratorsFirstFactorNeedsAnInvitation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.kms.invitations[invitation] = ""
		ada := w.someone()
		w.identity.admins.Store(ada.Subject, true)
		refused(t, w.call(t, ada, "POST", "/factors/passkey", `{}`), 403, "invitation_required")
		refused(t, w.call(t, ada, "POST", "/factors/passkey", `{"invitation":"in_some-other-invitation"}`), 422, "invalid_invitation")
		a := w.call(t, ada, "POST", "/factors/passkey", `{"invitation":"`+invitation+`"}`)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		id, wrong := a.Text(t, "factorId"), newDevice()
		wrong.Origin = "https://app.example.com"
		refused(t, w.call(t, ada, "POST", "/factors/passkey/"+id+"/confirm", makes(t, wrong, a)), 422, "invalid_passkey")
		require.Empty(t, w.kms.invitations[invitation], "a wrong passkey uses no invitation up")
		done := w.call(t, ada, "POST", "/factors/passkey/"+id+"/confirm", makes(t, newDevice(), a))
		require.Equal(t, http.StatusOK, done.Status, "%s", done.Body)
		require.Equal(t, id, w.kms.invitations[invitation])
	})
}

func TestConfirmPasskey_takesWhatWasMadeHereAndNow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		first := w.call(t, ada, "POST", "/factors/passkey", `{}`)
		a := w.call(t, ada, "POST", "/factors/passkey", `{}`) // takes the first one's place
		id := a.Text(t, "factorId")
		confirm := func(c *auth.Claims, id, body string) servicetest.Answer {
			return w.call(t, c, "POST", "/factors/passkey/"+id+"/confirm", body)
		}
		d := newDevice()
		refused(t, confirm(ada, first.Text(t, "factorId"), makes(t, d, first)), 404, "not_found")
		refused(t, confirm(nil, id, makes(t, d, a)), 401, "authentication_required")
		refused(t, confirm(w.someone(), id, makes(t, d, a)), 404, "not_found")
		refused(t, confirm(ada, id, makes(t, d, first)), 422, "invalid_passkey")
		for name, change := range wrongPages {
			t.Log(name)
			wrong := newDevice()
			change(wrong)
			refused(t, confirm(ada, id, makes(t, wrong, a)), 422, "invalid_passkey")
		}
		refused(t, confirm(ada, id, strings.Replace(makes(t, d, a), `"rawId":"`, `"rawId":"AAAA`, 1)), 422, "invalid_passkey")
		refused(t, confirm(ada, id, `{"credential":{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"AAAAA","attestationObject":"AA"}}}`), 422, "invalid_passkey")
		refused(t, confirm(ada, id, `{"credential":{"id":"AA","rawId":"AA","type":"password","response":{"clientDataJSON":"AA","attestationObject":"AA"}}}`), 422, "invalid_body")
		w.identity.away.Store(true)
		refused(t, confirm(ada, id, makes(t, d, a)), 503, "unavailable")
		w.identity.away.Store(false)
		made := makes(t, d, a)
		require.Equal(t, http.StatusOK, confirm(ada, id, made).Status)
		refused(t, confirm(w.raised(ada), id, made), 404, "not_found")

		totp := w.call(t, w.raised(ada), "POST", "/factors/totp", `{}`).Text(t, "factorId")
		refused(t, confirm(w.raised(ada), totp, made), 404, "not_found")

		// The same credential can't be enrolled again, by any subject.
		bob := w.someone()
		a = w.call(t, bob, "POST", "/factors/passkey", `{}`)
		refused(t, confirm(bob, a.Text(t, "factorId"), makes(t, d, a)), 409, "already_exists")
		w.now.Advance(10 * time.Minute)
		refused(t, confirm(bob, a.Text(t, "factorId"), makes(t, newDevice(), a)), 410, "gone")
	})
}

// A passkey that was planted before another factor became active can't be confirmed without that factor.
func TestConfirmPasskey_asksForACodeOfAFactorThatBecameActiveMeanwhile(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		planted := w.call(t, ada, "POST", "/factors/passkey", `{}`)
		path := "/factors/passkey/" + planted.Text(t, "factorId") + "/confirm"
		w.enrolled(t, ada)
		none := w.call(t, ada, "POST", path, makes(t, newDevice(), planted))
		refused(t, none, 401, "insufficient_user_authentication")
		require.NotContains(t, string(none.Body), "proof")
		require.Equal(t, http.StatusOK, w.call(t, w.raised(ada), "POST", path, makes(t, newDevice(), planted)).Status)
	})
}

// wrongPages are devices and pages whose answers are refused.
var wrongPages = map[string]func(*authenticator.Device){
	"another origin":       func(d *authenticator.Device) { d.Origin = "https://app.example.com" },
	"another port":         func(d *authenticator.Device) { d.Origin = origin + ":8443" },
	"no https":             func(d *authenticator.Device) { d.Origin = "http://app.example.org" },
	"another site":         func(d *authenticator.Device) { d.RPID = "example.org" },
	"no user verification": func(d *authenticator.Device) { d.NotVerified = true },
	"nobody is there":      func(d *authenticator.Device) { d.NotPresent = true },
	"copied, not copyable": func(d *authenticator.Device) { d.BackupState = true },
}

// wrongSignatures are wrongPages, and faults that only a signature can have.
func wrongSignatures() map[string]func(*authenticator.Device) {
	all := map[string]func(*authenticator.Device){
		"another's handle":    func(d *authenticator.Device) { d.UserHandle = []byte("usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P") },
		"another key":         func(d *authenticator.Device) { d.Rekey() },
		"became copyable":     func(d *authenticator.Device) { d.BackupEligible = true },
		"an unknown passkey":  func(d *authenticator.Device) { d.ID = []byte("0123456789abcdef") },
		"a counter that runs": func(d *authenticator.Device) { d.Counter = 0 }, // after 7
	}
	for name, change := range wrongPages {
		all[name] = change
	}
	return all
}

// A challenge accepts one answer, in the session that asked for it.
func TestVerifyPasskey_takesOneAnswerOfItsSession(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		d := newDevice()
		d.Counter = 7
		id := w.enrolDevice(t, ada, d)
		path, asked := w.challenged(t, ada)
		d.Counter++
		right := signs(t, d, asked)

		refused(t, w.call(t, nil, "POST", path, right), 401, "authentication_required")
		refused(t, w.call(t, w.someone(), "POST", path, right), 404, "not_found")
		other := *ada
		other.SessionID = w.someone().SessionID
		refused(t, w.call(t, &other, "POST", path, right), 404, "not_found")
		key := *ada
		key.SessionID, key.AuthTime, key.ClientID = "", 0, "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
		refused(t, w.call(t, &key, "POST", path, right), 403, "forbidden")
		refused(t, w.call(t, &key, "POST", "/passkey-challenges", ""), 403, "forbidden")
		refused(t, w.call(t, nil, "POST", "/passkey-challenges", ""), 401, "authentication_required")
		refused(t, w.call(t, ada, "POST", path, `{"credential":{}}`), 422, "invalid_body")
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", path, right).Status)
		refused(t, w.call(t, ada, "POST", path, right), 410, "gone")

		for name, change := range wrongSignatures() {
			t.Log(name)
			path, asked := w.challenged(t, ada)
			wrong := *d
			wrong.Counter++
			change(&wrong)
			refused(t, w.call(t, ada, "POST", path, signs(t, &wrong, asked)), 422, "invalid_passkey")
			refused(t, w.call(t, ada, "POST", path, signs(t, d, asked)), 410, "gone") // one answer, right or wrong
		}
		require.Contains(t, w.logs.String(), "may have been copied")

		// The passkey of another subject does not raise her session, although it signs her challenge.
		bob := w.someone()
		_, bobs := w.enrolledPasskey(t, bob)
		path, asked = w.challenged(t, ada)
		refused(t, w.call(t, ada, "POST", path, signs(t, bobs, asked)), 422, "invalid_passkey")
		path, asked = w.challenged(t, ada)
		bobs.UserHandle = []byte(ada.Subject)
		refused(t, w.call(t, ada, "POST", path, signs(t, bobs, asked)), 422, "invalid_passkey")

		old, oldAsked := w.challenged(t, ada)
		path, asked = w.challenged(t, ada)
		refused(t, w.call(t, ada, "POST", old, signs(t, d, oldAsked)), 404, "not_found") // a newer one took its place
		w.now.Advance(5 * time.Minute)
		refused(t, w.call(t, ada, "POST", path, signs(t, d, asked)), 410, "gone")

		path, asked = w.challenged(t, ada)
		w.now.Advance(time.Second)
		fresh := *w.raised(ada)
		require.Equal(t, http.StatusNoContent, w.call(t, &fresh, "DELETE", "/factors/"+id, "").Status)
		d.Counter++
		refused(t, w.call(t, ada, "POST", path, signs(t, d, asked)), 422, "invalid_passkey") // revoked meanwhile
		refused(t, w.call(t, ada, "POST", "/passkey-challenges", ""), 409, "state_conflict")
	})
}

// Every failure of a sign-in looks the same, and only the passkey's owner can answer the sign-in after it.
func TestVerifyPasskeySignIn_refusesEverythingAlike(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		d := newDevice()
		d.Counter = 7
		id := w.enrolDevice(t, ada, d)
		var first string
		same := func(a servicetest.Answer, why string) {
			t.Helper()
			t.Log(why)
			refused(t, a, 422, "invalid_passkey")
			body := a.JSON(t)
			delete(body, "requestId")
			text, err := json.Marshal(body)
			require.NoError(t, err)
			if first == "" {
				first = string(text)
			}
			require.Equal(t, withoutInstance(first), withoutInstance(string(text)), why)
		}
		for name, change := range wrongSignatures() {
			path, asked := w.signingIn(t)
			wrong := *d
			wrong.Counter++
			change(&wrong)
			same(w.call(t, nil, "POST", path, signs(t, &wrong, asked)), name)
		}
		path, asked := w.signingIn(t)
		d.Counter++
		nameless := *d
		nameless.UserHandle = nil
		same(w.call(t, nil, "POST", path, signs(t, &nameless, asked)), "no user handle")
		right := signs(t, d, asked)
		same(w.call(t, nil, "POST", "/passkey-sign-ins/psi_01KBB6Q3Y5W1V9T2ZD0G7M4N8P/verify", right), "another sign-in")
		require.Equal(t, http.StatusOK, w.call(t, nil, "POST", path, right).Status, "no failure has used it up")
		same(w.call(t, nil, "POST", path, right), "used")
		d.Counter++
		same(w.call(t, nil, "POST", path, signs(t, d, asked)), "used, signed again")

		path, asked = w.signingIn(t)
		d.Counter++
		w.now.Advance(5 * time.Minute)
		same(w.call(t, nil, "POST", path, signs(t, d, asked)), "expired")
		challengePath, challenge := w.challenged(t, ada)
		path, asked = w.signingIn(t)
		same(w.call(t, nil, "POST", path, signs(t, d, challenge)), "signed for a step-up")
		refused(t, w.call(t, ada, "POST", challengePath, signs(t, d, asked)), 422, "invalid_passkey")

		path, asked = w.signingIn(t)
		require.Equal(t, http.StatusNoContent, w.call(t, w.raised(ada), "DELETE", "/factors/"+id, "").Status)
		same(w.call(t, nil, "POST", path, signs(t, d, asked)), "revoked")
		refused(t, w.call(t, nil, "POST", path, `{"credential":{}}`), 422, "invalid_body")
		require.NotContains(t, w.logs.String(), `"level":"ERROR"`)
	})
}

// withoutInstance removes from a problem what identifies the request.
func withoutInstance(problem string) string {
	var body map[string]any
	if json.Unmarshal([]byte(problem), &body) != nil {
		return problem
	}
	delete(body, "instance")
	text, _ := json.Marshal(body)
	return string(text)
}

// Of any number of parallel answers to one challenge, or to one sign-in, exactly one succeeds.
func TestVerifyPasskey_hasOneWinner(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		_, d := w.enrolledPasskey(t, ada) // its counter stays 0: nothing but the challenge keeps the others out
		for range 5 {
			path, asked := w.challenged(t, ada)
			require.Equal(t, map[int]int{200: 1, 410: 15}, w.parallel(t, ada, path, signs(t, d, asked)))
			path, asked = w.signingIn(t)
			require.Equal(t, map[int]int{200: 1, 422: 15}, w.parallel(t, nil, path, signs(t, d, asked)))
		}
	})
}

// parallel sends the same request 16 times at once and counts the responses by status.
func (w *world) parallel(t *testing.T, c *auth.Claims, path, body string) map[int]int {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	statuses := map[int]int{}
	for range 16 {
		wg.Go(func() {
			a := w.call(t, c, "POST", path, body)
			mu.Lock()
			defer mu.Unlock()
			statuses[a.Status]++
		})
	}
	wg.Wait()
	return statuses
}

// When the answer of a passkey can't be recorded, the response does not tell whether it was right.
func TestVerifyPasskey_tellsNothingWhenItCannotBeKept(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	w.start(t, store.Config{Dir: dir})
	w.WaitReady(t)
	ada := w.someone()
	_, d := w.enrolledPasskey(t, ada)
	path, asked := w.challenged(t, ada)
	signIn, begun := w.signingIn(t)
	require.NoError(t, os.Remove(filepath.Join(dir, "twofactor.db")))
	for range 2 { // right, then wrong
		refused(t, w.call(t, ada, "POST", path, signs(t, d, asked)), 503, "unavailable")
		refused(t, w.call(t, nil, "POST", signIn, signs(t, d, begun)), 503, "unavailable")
		d.Rekey()
	}
	refused(t, w.call(t, ada, "POST", "/passkey-challenges", ""), 503, "unavailable")
}

// Copies of a passkey on several devices have counters of their own, or none. That must not lock out their owner (reference D7).
func TestVerifyPasskey_judgesNoCounterOfWhatIsCopied(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		d := newDevice()
		d.BackupEligible, d.BackupState, d.Counter = true, true, 9
		w.enrolDevice(t, ada, d)
		for _, counter := range []uint32{10, 4, 0, 4, 10} {
			d.Counter = counter
			path, asked := w.challenged(t, ada)
			a := w.call(t, ada, "POST", path, signs(t, d, asked))
			require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
			claims, err := auth.VerifyProof(t.Context(), a.Text(t, "proof"), w.kms.proofKeys, w.now)
			require.NoError(t, err)
			require.Equal(t, []string{"swk", "user"}, claims.AMR)
		}
	})
}

// A reset revokes passkeys, and ends their open challenges.
func TestResetFactors_endsPasskeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin, ada := w.someone(), w.someone()
		admin.Roles = []string{"admin"}
		w.identity.admins.Store(admin.Subject, true)
		_, d := w.enrolledPasskey(t, ada)
		path, asked := w.challenged(t, ada)
		signIn, begun := w.signingIn(t)
		a := w.call(t, w.raised(admin), "POST", "/subjects/"+ada.Subject+"/reset", `{"reason":"phone lost, seen in person"}`)
		require.JSONEq(t, `{"factors":1,"recoveryCodes":10}`, string(a.Body))
		refused(t, w.call(t, ada, "POST", path, signs(t, d, asked)), 422, "invalid_passkey")
		refused(t, w.call(t, nil, "POST", signIn, signs(t, d, begun)), 422, "invalid_passkey")
		w.enrolDevice(t, ada, d) // the same credential is nobody's now
	})
}

func TestPasskeys_areRenamedAndTakeNoCode(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		id, _ := w.enrolledPasskey(t, ada)
		require.Equal(t, "work", w.call(t, ada, "PATCH", "/factors/"+id, `{"label":"work"}`).Text(t, "label"))
		waiting := w.call(t, w.raised(ada), "POST", "/factors/passkey", `{}`).Text(t, "factorId")
		refused(t, w.call(t, w.raised(ada), "POST", "/factors/delivery/"+waiting+"/confirm", `{"code":"123456"}`), 404, "not_found")
		refused(t, w.call(t, w.raised(ada), "POST", "/factors/totp/"+waiting+"/confirm", `{"code":"123456"}`), 404, "not_found")
		refused(t, w.call(t, w.raised(ada), "GET", "/factors/totp/"+waiting+"/qr.svg", ""), 404, "not_found")
		refused(t, w.call(t, ada, "POST", "/verify", `{"code":"123456"}`), 422, "invalid_code")
	})
}

// When the use of a signature can't be recorded, the response does not tell whether it was right.
func TestPasskeys_tellNothingWhenItCannotBeKept(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	w.start(t, store.Config{Dir: dir})
	w.WaitReady(t)
	ada := w.someone()
	_, d := w.enrolledPasskey(t, ada)
	verify, asked := w.challenged(t, ada)
	signIn, begun := w.signingIn(t)
	right, in := signs(t, d, asked), signs(t, d, begun)
	d.Rekey()
	bodies := map[string][]string{"/passkey-challenges": {""}, verify: {right, signs(t, d, asked)}, signIn: {in, signs(t, d, begun)}}
	require.NoError(t, os.Remove(filepath.Join(dir, "twofactor.db")))
	for path, tried := range bodies {
		for _, body := range tried {
			a := w.call(t, ada, "POST", path, body)
			refused(t, a, 503, "unavailable")
			require.Equal(t, "The service's database does not answer.", a.Text(t, "detail"), path)
		}
	}
}

// Without a host name there are no passkeys, and every operation of passkeys says so.
func TestPasskeys_areOffWithoutAName(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		w := newWorld(t)
		w.nameless = true
		w.start(t, c)
		w.WaitReady(t)
		ada := w.someone()
		ada.Issuer = nameless
		answer := `{"credential":{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"AA","authenticatorData":"AA","signature":"AA"}}}`
		made := `{"credential":{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"AA","attestationObject":"AA"}}}`
		for path, body := range map[string]string{
			"/factors/passkey": `{}`, "/factors/passkey/fac_01KBB6Q3Y5W1V9T2ZD0G7M4N8P/confirm": made, "/passkey-challenges": "", "/passkey-sign-ins": "",
			"/passkey-challenges/pkc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P/verify": answer, "/passkey-sign-ins/psi_01KBB6Q3Y5W1V9T2ZD0G7M4N8P/verify": answer,
		} {
			t.Log(path)
			refused(t, w.call(t, ada, "POST", path, body), 409, "passkeys_off")
		}
		require.Contains(t, w.logs.String(), "passkeys are switched off")
	})
}

func TestConfig_refusesASiteWithoutPasskeys(t *testing.T) {
	for name, c := range map[string]struct {
		p    Passkeys
		want string
	}{
		"an address":        {Passkeys{RPID: "127.0.0.1"}, "WEBAUTHN_RP_ID: is an IP address, for which browsers make no passkeys"},
		"an address's page": {Passkeys{Origins: []string{"http://[::1]:8002"}}, "is an IP address"},
		"address, name":     {Passkeys{RPID: "10.0.0.1", Origins: []string{"https://a.org"}}, "WEBAUTHN_RP_ID: is an IP address"},
		"no https":          {Passkeys{Origins: []string{"http://app.example.org"}}, "must be https, or http at localhost"},
		"a path":            {Passkeys{Origins: []string{"https://app.example.org/"}}, "must be origins"},
		"another host":      {Passkeys{RPID: "example.com", Origins: []string{origin}}, "every origin's host must be WEBAUTHN_RP_ID or end in it"},
		"a host's ending":   {Passkeys{RPID: "ample.org", Origins: []string{"https://example.org"}}, "every origin's host"},
		"a URL for a name":  {Passkeys{RPID: "https://example.org", Origins: []string{"https://example.org"}}, "WEBAUTHN_RP_ID: must be a host name"},
		"capitals":          {Passkeys{Origins: []string{"https://Example.org"}}, "must be origins"},
	} {
		settings := Config{Passkeys: c.p}
		require.ErrorContains(t, settings.Validate(), c.want, name)
	}
	for want, c := range map[string]Config{
		"app.example.org": {Passkeys: Passkeys{Origins: []string{origin, "https://admin.app.example.org:8443"}}},
		"example.org":     {Passkeys: Passkeys{RPID: "example.org", Origins: []string{origin}}},
		"sole.example":    {Passkeys: Passkeys{RPID: "sole.example"}},
		"localhost":       {Passkeys: Passkeys{Origins: []string{"http://localhost:8002"}}},
	} {
		site, err := c.Passkeys.site(c.Issuer)
		require.NoError(t, err)
		require.Equal(t, want, site.ID)
	}
	byIssuer := Config{}
	byIssuer.Issuer = "https://fountain.example.org"
	site, err := byIssuer.Passkeys.site(byIssuer.Issuer)
	require.NoError(t, err)
	require.Equal(t, []string{"https://fountain.example.org"}, site.Origins)
	byIssuer.Issuer = nameless
	site, err = byIssuer.Passkeys.site(byIssuer.Issuer)
	require.NoError(t, err)
	require.Nil(t, site, "an issuer may be an address: passkeys are off")
}
