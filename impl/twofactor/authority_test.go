package twofactor

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const invitation = "in_invitation-of-the-test"

// Operations that change or show factors ask the kms each time: a token whose session has ended is refused.
func TestFactors_anEndedSessionChangesAndSeesNone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		pending := "/factors/totp/" + w.call(t, ada, "POST", "/factors/totp", `{}`).Text(t, "factorId")
		other, _ := w.enrolled(t, w.someone())
		calls := map[string]func() (status int, code string){}
		add := func(name, method, path, body string) {
			calls[name] = func() (int, string) {
				a := w.call(t, w.raised(ada), method, path, body)
				return a.Status, a.Text(t, "code")
			}
		}
		add("enrol", "POST", "/factors/totp", `{}`)
		add("confirm", "POST", pending+"/confirm", `{"code":"123456"}`)
		add("revoke", "DELETE", "/factors/"+other, "")
		add("picture", "GET", pending+"/qr.png", "")
		add("drawing", "GET", pending+"/qr.svg", "")
		add("rename", "PATCH", "/factors/"+other, `{"label":"x"}`)
		add("resync", "POST", "/factors/totp/"+other+"/resync", `{"first":"123456","second":"654321"}`)
		add("new recovery codes", "POST", "/recovery-codes", "")
		w.identity.away.Store(true)
		for name, call := range calls {
			status, code := call()
			require.Equal(t, http.StatusServiceUnavailable, status, name)
			require.Equal(t, "unavailable", code, name)
		}
		w.identity.away.Store(false)
		w.identity.ended.Store(ada.Subject, true)
		for name, call := range calls {
			status, code := call()
			require.Equal(t, http.StatusUnauthorized, status, name)
			require.Equal(t, "session_ended", code, name)
		}
		w.identity.ended.Delete(ada.Subject)
		require.Equal(t, http.StatusOK, w.call(t, ada, "GET", pending+"/qr.png", "").Status, "the calls were refused for the session alone")
	})
}

// A password alone is not enough to enrol an administrator's second factor.
func TestEnrolTotp_anAdministratorsFirstFactorNeedsAnInvitation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.kms.invitations[invitation] = ""
		ada := w.someone()
		w.identity.admins.Store(ada.Subject, true)
		refused(t, w.call(t, ada, "POST", "/factors/totp", `{}`), http.StatusForbidden, "invitation_required")
		refused(t, w.call(t, ada, "POST", "/factors/totp", `{"invitation":"in_some-other-invitation"}`), http.StatusUnprocessableEntity, "invalid_invitation")

		a := w.call(t, ada, "POST", "/factors/totp", `{"invitation":"`+invitation+`"}`)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		id, secret := a.Text(t, "factorId"), a.Text(t, "secret")
		require.Equal(t, http.StatusOK, w.call(t, ada, "GET", "/factors/totp/"+id+"/qr.svg", "").Status)
		refused(t, w.call(t, ada, "POST", "/factors/totp/"+id+"/confirm", `{"code":"000000"}`), http.StatusUnprocessableEntity, "invalid_code")
		require.Empty(t, w.kms.invitations[invitation], "a wrong code does not use the invitation up")
		a = w.call(t, ada, "POST", "/factors/totp/"+id+"/confirm", `{"code":"`+w.code(t, secret, 0)+`"}`)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, id, w.kms.invitations[invitation], "it is used up")

		require.Equal(t, http.StatusCreated, w.call(t, w.raised(ada), "POST", "/factors/totp", `{}`).Status, "a further factor asks for a code instead")
		grace := w.someone()
		w.identity.admins.Store(grace.Subject, true)
		refused(t, w.call(t, grace, "POST", "/factors/totp", `{"invitation":"`+invitation+`"}`), http.StatusUnprocessableEntity, "invalid_invitation")
	})
}

// A user who becomes an administrator between enrolment and confirmation needs the invitation too. An invitation that was used meanwhile for
// another factor does not count.
func TestConfirmTotp_looksAtTheInvitationAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		a := w.call(t, ada, "POST", "/factors/totp", `{}`)
		w.identity.admins.Store(ada.Subject, true)
		confirm := func() (int, string) {
			c := w.call(t, ada, "POST", "/factors/totp/"+a.Text(t, "factorId")+"/confirm", `{"code":"`+w.code(t, a.Text(t, "secret"), 0)+`"}`)
			return c.Status, c.Text(t, "code")
		}
		status, code := confirm()
		require.Equal(t, http.StatusForbidden, status)
		require.Equal(t, "invitation_required", code)

		w.kms.invitations[invitation] = ""
		a = w.call(t, ada, "POST", "/factors/totp", `{"invitation":"`+invitation+`"}`)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		w.kms.invitations[invitation] = "fac_of-somebody-else"
		status, code = confirm()
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Equal(t, "invalid_invitation", code)
	})
}
