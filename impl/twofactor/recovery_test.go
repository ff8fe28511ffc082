package twofactor

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
)

// codesOf returns the recovery codes of a response.
func codesOf(t *testing.T, a servicetest.Answer, member string) (codes []string) {
	t.Helper()
	var body map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(a.Body, &body), "%s", a.Body)
	if body[member] != nil {
		require.NoError(t, json.Unmarshal(body[member], &codes))
	}
	return codes
}

func (w *world) left(t *testing.T, c *auth.Claims) (n float64) {
	t.Helper()
	a := w.call(t, c, "GET", "/recovery-codes", "")
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
	var left struct {
		Remaining float64 `json:"remaining"`
		Few       bool    `json:"few"`
	}
	require.NoError(t, json.Unmarshal(a.Body, &left))
	require.Equal(t, left.Remaining < 3, left.Few)
	return left.Remaining
}

// A user who loses the only authenticator can get back in: a recovery code raises the session, a new authenticator is enrolled and the lost one is revoked.
func TestRecoveryCodes_takeThePlaceOfALostAuthenticator(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		require.Zero(t, w.left(t, ada))
		a := w.call(t, ada, "POST", "/factors/totp", `{}`)
		lost := a.Text(t, "factorId")
		a = w.call(t, ada, "POST", "/factors/totp/"+lost+"/confirm", `{"code":"`+w.code(t, a.Text(t, "secret"), 0)+`"}`)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		codes := codesOf(t, a, "recoveryCodes")
		require.Len(t, codes, 10)
		for _, code := range codes {
			require.Regexp(t, regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$`), code)
		}
		require.InDelta(t, 10, w.left(t, ada), 0)

		proof := w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"`+strings.ToLower(strings.ReplaceAll(codes[3], "-", ""))+`"}`)
		require.Equal(t, http.StatusOK, proof.Status, "%s", proof.Body)
		claims, err := auth.VerifyProof(t.Context(), proof.Text(t, "proof"), w.kms.proofKeys, w.now)
		require.NoError(t, err)
		require.Equal(t, ada.Subject+" "+ada.SessionID, claims.Subject+" "+claims.SessionID)
		refused(t, w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"`+codes[3]+`"}`), 422, "invalid_code")
		refused(t, w.call(t, w.someone(), "POST", "/recovery-codes/use", `{"code":"`+codes[4]+`"}`), 422, "invalid_code")
		require.InDelta(t, 9, w.left(t, ada), 0)

		second := w.call(t, w.raised(ada), "POST", "/factors/totp", `{"label":"new phone"}`)
		require.Equal(t, http.StatusCreated, second.Status, "%s", second.Body)
		a = w.call(t, w.raised(ada), "POST", "/factors/totp/"+second.Text(t, "factorId")+"/confirm", `{"code":"`+w.code(t, second.Text(t, "secret"), 0)+`"}`)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Empty(t, codesOf(t, a, "recoveryCodes"), "there are some")
		require.Equal(t, http.StatusNoContent, w.call(t, w.raised(ada), "DELETE", "/factors/"+lost, "").Status)

		refused(t, w.call(t, ada, "POST", "/recovery-codes", ""), 401, "insufficient_user_authentication")
		a = w.call(t, w.raised(ada), "POST", "/recovery-codes", "")
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		require.Len(t, codesOf(t, a, "codes"), 10)
		refused(t, w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"`+codes[4]+`"}`), 422, "invalid_code")
		require.InDelta(t, 10, w.left(t, ada), 0)
		require.NotContains(t, w.logs.String(), codes[3])
	})
}

// A recovery code is accepted despite a lock caused by the guesses of others, and ends the lock.
func TestUseRecoveryCode_worksWhileTheSubjectIsLocked(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		a := w.call(t, ada, "POST", "/factors/totp", `{}`)
		secret := a.Text(t, "secret")
		a = w.call(t, ada, "POST", "/factors/totp/"+a.Text(t, "factorId")+"/confirm", `{"code":"`+w.code(t, secret, -1)+`"}`)
		codes := codesOf(t, a, "recoveryCodes")
		for range 5 {
			refused(t, w.call(t, ada, "POST", "/verify", `{"code":"000000"}`), 422, "invalid_code")
		}
		refused(t, w.call(t, ada, "POST", "/verify", `{"code":"`+w.code(t, secret, 0)+`"}`), 429, "too_many_attempts")
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"`+codes[0]+`"}`).Status)
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/verify", `{"code":"`+w.code(t, secret, 0)+`"}`).Status)
	})
}

func TestRecoveryCodes_refuseWhoMayNot(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		refused(t, w.call(t, nil, "GET", "/recovery-codes", ""), 401, "authentication_required")
		refused(t, w.call(t, w.raised(ada), "POST", "/recovery-codes", ""), 409, "state_conflict")
		key := *ada // an API key's token
		key.SessionID, key.AuthTime, key.ClientID = "", 0, "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
		refused(t, w.call(t, &key, "POST", "/recovery-codes/use", `{"code":"0123-4567-89AB-CDEF-GHJK-MNPQ"}`), 403, "forbidden")
		refused(t, w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"0123-4567"}`), 422, "invalid_body")
		refused(t, w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"0123-4567-89AB-CDEF-GHJK-MNPQ"}`), 422, "invalid_code")
		w.identity.away.Store(true)
		refused(t, w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"0123-4567-89AB-CDEF-GHJK-MNPQ"}`), 503, "unavailable")
		w.identity.away.Store(false)
		w.identity.ended.Store(ada.Subject, true)
		refused(t, w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"0123-4567-89AB-CDEF-GHJK-MNPQ"}`), 401, "session_ended")
		refused(t, w.call(t, w.raised(ada), "POST", "/recovery-codes", ""), 401, "session_ended")
	})
}

func TestResetFactors_endsWhatAUserHasOnAnAdministratorsWord(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin, ada := w.someone(), w.someone()
		admin.Roles = []string{"admin"}
		_, secret := w.enrolled(t, ada)
		path, body := "/subjects/"+ada.Subject+"/reset", `{"reason":"phone lost, seen in person"}`
		refused(t, w.call(t, admin, "POST", path, body), 401, "insufficient_user_authentication")
		refused(t, w.call(t, w.raised(ada), "POST", path, body), 403, "insufficient_role")
		refused(t, w.call(t, w.raised(admin), "POST", path, body), 403, "insufficient_role") // the token says so, the kms does not
		w.identity.admins.Store(admin.Subject, true)
		refused(t, w.call(t, w.raised(admin), "POST", path, `{"reason":"short"}`), 422, "invalid_body")
		w.identity.away.Store(true)
		refused(t, w.call(t, w.raised(admin), "POST", path, body), 503, "unavailable")
		w.identity.away.Store(false)

		for range 5 {
			w.call(t, ada, "POST", "/verify", `{"code":"000000"}`)
		}
		a := w.call(t, w.raised(admin), "POST", path, body)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.JSONEq(t, `{"factors":1,"recoveryCodes":10}`, string(a.Body))
		w.now.Advance(30 * time.Second)
		refused(t, w.call(t, ada, "POST", "/verify", `{"code":"`+w.code(t, secret, 0)+`"}`), 422, "invalid_code")
		require.Zero(t, w.left(t, ada))
		fresh := *ada
		fresh.AuthTime = w.now.Now().Unix()
		w.enrolled(t, &fresh) // with the password alone, as for the first time
		require.JSONEq(t, `{"factors":0,"recoveryCodes":0}`, string(w.call(t, w.raised(admin), "POST", "/subjects/"+w.someone().Subject+"/reset", body).Body))
	})
}

// A service verifies a user's code. For a user without a factor, or one that does not exist, it gets the response for a wrong code.
func TestVerifyOtpFor_acceptsAUsersCodeOnceForAService(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		id, secret := w.enrolled(t, ada)
		shop := servicetest.User("twofactor", w.now.Now())
		shop.Subject, shop.ClientID, shop.Principal, shop.Scope = "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", auth.KindService, "factors:verify"
		shop.SessionID, shop.ACR, shop.AMR, shop.AuthTime = "", "", nil, 0
		verify := func(c *auth.Claims, subject, code string) servicetest.Answer {
			return w.call(t, c, "POST", "/subjects/"+subject+"/verify", `{"code":"`+code+`","session":"login-1"}`)
		}
		refused(t, verify(nil, ada.Subject, "123456"), 401, "authentication_required")
		refused(t, verify(w.raised(ada), ada.Subject, w.code(t, secret, 0)), 403, "insufficient_scope")
		code := w.code(t, secret, 0)
		a := verify(shop, ada.Subject, code)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, id, a.Text(t, "factorId"))
		refused(t, verify(shop, ada.Subject, code), 422, "invalid_code")
		refused(t, w.call(t, ada, "POST", "/verify", `{"code":"`+code+`"}`), 422, "invalid_code")

		nobody, none := "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", w.someone().Subject
		for range 5 {
			for _, subject := range []string{nobody, none} {
				refused(t, verify(shop, subject, "123456"), 422, "invalid_code")
			}
		}
		for _, subject := range []string{nobody, none} {
			refused(t, verify(shop, subject, "123456"), 429, "too_many_attempts")
		}
		refused(t, w.call(t, shop, "POST", "/subjects/svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P/verify", `{"code":"123456"}`), 400, "invalid_parameter")
	})
}

// When the count and the mark can't be stored, the response does not tell whether a code was right.
func TestVerify_tellsNothingWhenItCannotBeKept(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	w.start(t, store.Config{Dir: dir})
	w.WaitReady(t)
	ada := w.someone()
	_, secret := w.enrolled(t, ada)
	shop := servicetest.User("twofactor", w.now.Now())
	shop.Subject, shop.ClientID, shop.Principal, shop.Scope = "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", auth.KindService, "factors:verify"
	shop.SessionID, shop.ACR, shop.AMR, shop.AuthTime = "", "", nil, 0
	require.NoError(t, os.Remove(filepath.Join(dir, "twofactor.db")))
	right := w.code(t, secret, 0)
	for _, code := range []string{right, wrongOf(right)} {
		for path, c := range map[string]*auth.Claims{"/verify": ada, "/subjects/" + ada.Subject + "/verify": shop} {
			a := w.call(t, c, "POST", path, `{"code":"`+code+`"}`)
			refused(t, a, 503, "unavailable")
			require.Equal(t, "The service's database does not answer.", a.Text(t, "detail"))
		}
	}
}

func TestUpdateFactor_renamesAFactorOfOnesOwn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		id, _ := w.enrolled(t, ada)
		a := w.call(t, ada, "PATCH", "/factors/"+id, `{"label":"old phone"}`)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, "old phone", a.Text(t, "label"))
		refused(t, w.call(t, w.someone(), "PATCH", "/factors/"+id, `{"label":"mine"}`), 404, "not_found")
		refused(t, w.call(t, ada, "PATCH", "/factors/"+id, `{"label":"a\u0007b"}`), 422, "invalid_body")
		w.identity.ended.Store(ada.Subject, true)
		refused(t, w.call(t, ada, "PATCH", "/factors/"+id, `{"label":"x"}`), 401, "session_ended")
	})
}

// Two consecutive codes resynchronise a device whose clock is far off. Both are used up.
func TestResyncTotp_learnsAClockThatIsFarOff(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		id, secret := w.enrolled(t, ada)
		w.now.Advance(30 * time.Minute)
		path := "/factors/totp/" + id + "/resync"
		both := func(first, second int64) string {
			return `{"first":"` + w.code(t, secret, first) + `","second":"` + w.code(t, secret, second) + `"}`
		}
		refused(t, w.call(t, ada, "POST", "/verify", `{"code":"`+w.code(t, secret, 7)+`"}`), 422, "invalid_code")
		refused(t, w.call(t, ada, "POST", path, both(7, 6)), 422, "invalid_code")
		refused(t, w.call(t, ada, "POST", path, both(10, 11)), 422, "invalid_code")
		refused(t, w.call(t, w.someone(), "POST", path, both(6, 7)), 404, "not_found")
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", path, both(6, 7)).Status)
		for offset := int64(-1); offset <= 7; offset++ {
			refused(t, w.call(t, w.someone(), "POST", "/verify", `{"code":"`+w.code(t, secret, offset)+`"}`), 422, "invalid_code")
		}
		w.now.Advance(30 * time.Second)
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/verify", `{"code":"`+w.code(t, secret, 7)+`"}`).Status)
		refused(t, w.call(t, ada, "POST", path, both(5, 6)), 422, "invalid_code") // used
	})
}
