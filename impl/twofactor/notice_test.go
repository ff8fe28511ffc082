package twofactor

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// told waits until n mails have arrived, and requires that the last one went to the address and contains the sentence.
func (w *postWorld) told(t *testing.T, n int, to, sentence string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(w.smtp.Mails()) >= n }, patience, 10*time.Millisecond, "mail %d has not come", n)
	mail := w.smtp.Mails()[n-1]
	require.Contains(t, mail.To, to)
	require.Contains(t, mail.Data, sentence)
	require.NotContains(t, mail.Data, "Your code is")
}

// A person is notified of changes to their factors, which another person may have made, at all their addresses, also at those that the change revokes.
func TestNotices_tellAPersonWhatWasDone(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		admin, ada := w.someone(), w.someone()
		admin.Roles = []string{"admin"}
		w.identity.admins.Store(admin.Subject, true)
		const address = "ada@example.org"
		mailFactor := w.addressed(t, ada, address) // the first mail

		a := w.call(t, w.raised(ada), "POST", "/factors/totp", `{"label":"phone"}`)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		id, secret := a.Text(t, "factorId"), a.Text(t, "secret")
		a = w.call(t, w.raised(ada), "POST", "/factors/totp/"+id+"/confirm", `{"code":"`+w.code(t, secret, 0)+`"}`)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		w.told(t, 2, address, "A second factor was added to your account.")

		a = w.call(t, w.raised(ada), "POST", "/recovery-codes", "")
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		code := a.JSON(t)["codes"].([]any)[0].(string)
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"`+code+`"}`).Status)
		w.told(t, 3, address, "A recovery code of your account was used.")
		refused(t, w.call(t, ada, "POST", "/recovery-codes/use", `{"code":"`+code+`"}`), 422, "invalid_code")

		pending := w.call(t, w.raised(ada), "POST", "/factors/totp", `{}`).Text(t, "factorId")
		require.Equal(t, http.StatusNoContent, w.call(t, w.raised(ada), "DELETE", "/factors/"+pending, "").Status, "it never was a factor: nothing is told")
		require.Equal(t, http.StatusNoContent, w.call(t, w.raised(ada), "DELETE", "/factors/"+id, "").Status)
		w.told(t, 4, address, "A second factor of your account was revoked.")

		require.Equal(t, http.StatusOK, w.call(t, w.raised(admin), "POST", "/subjects/"+ada.Subject+"/reset", `{"reason":"phone lost, seen in person"}`).Status)
		w.told(t, 5, address, "An administrator has ended all second factors of your account.")

		admin.Scope += " deliveries:read"
		items := w.call(t, w.raised(admin), "GET", "/deliveries", "").JSON(t)["items"].([]any)
		require.Len(t, items, 5)
		newest := items[0].(map[string]any)
		require.Equal(t, "factors_reset", newest["notice"])
		require.Equal(t, ada.Subject, newest["subject"])
		require.NotContains(t, items[4], "notice", "a code")
		refused(t, w.call(t, ada, "PATCH", "/factors/"+mailFactor, `{"label":"x"}`), 404, "not_found")
	})
}

// A passkey is a second factor like any other.
func TestNotices_tellOfAPasskey(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		const address = "ada@example.org"
		w.addressed(t, ada, address) // the first mail
		w.enrolDevice(t, w.raised(ada), newDevice())
		w.told(t, 2, address, "A second factor was added to your account.")
	})
}
