package twofactor

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/servicetest"
)

// The picture contains the seed: a token that could not have enrolled the factor must not read it while the factor is pending.
func TestGetTotpQr_asksForWhatEnrolmentAsksFor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ada := w.someone()
		enrol := func(a servicetest.Answer) string {
			require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
			return "/factors/totp/" + a.Text(t, "factorId")
		}
		pending := enrol(w.call(t, ada, "POST", "/factors/totp", `{}`))
		key := *ada // an API key's token: nobody has signed in
		key.SessionID, key.AuthTime, key.ClientID = "", 0, "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
		stale := *ada
		stale.AuthTime = w.now.Now().Add(-time.Hour).Unix()
		for _, picture := range []string{"/qr.png", "/qr.svg"} {
			require.Equal(t, http.StatusOK, w.call(t, ada, "GET", pending+picture, "").Status)
			refused(t, w.call(t, &key, "GET", pending+picture, ""), http.StatusUnauthorized, "insufficient_user_authentication")
			refused(t, w.call(t, &stale, "GET", pending+picture, ""), http.StatusUnauthorized, "insufficient_user_authentication")
		}

		w.enrolled(t, ada)
		second := enrol(w.call(t, w.raised(ada), "POST", "/factors/totp", `{}`))
		for _, picture := range []string{"/qr.png", "/qr.svg"} {
			require.Equal(t, http.StatusOK, w.call(t, w.raised(ada), "GET", second+picture, "").Status)
			a := w.call(t, ada, "GET", second+picture, "")
			refused(t, a, http.StatusUnauthorized, "insufficient_user_authentication")
			require.Contains(t, a.Header.Get("WWW-Authenticate"), `acr_values="aal2"`)
		}
	})
}
