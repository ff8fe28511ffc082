package delivery_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery/deliverytest"
	"github.com/fountainai/fountain/internal/clock"
)

const callback = "https://fountain.example.org/twofactor/v1/hooks/twilio/status"

func advance(h delivery.House, seconds int) {
	h.Clock.(*clock.Fake).Advance(time.Duration(seconds) * time.Second)
}

func sms(t *testing.T, s *deliverytest.Twilio) (*delivery.Router, delivery.Twilio) {
	t.Helper()
	c := twilioSettings(t, s)
	c.CallbackURL = callback
	return router(t, delivery.Settings{Twilio: c, SMSCountries: []string{"DE"}}, house()), c
}

func TestTwilio_sendsOneMessage(t *testing.T) {
	s := deliverytest.NewTwilio(t)
	r, _ := sms(t, s)
	receipt, err := r.Send(t.Context(), message(delivery.SMS, "+4915112345678"))
	require.NoError(t, err)
	require.Equal(t, "SM00000000000000000000000000000001", receipt.ID)
	require.Equal(t, []url.Values{{
		"To": {"+4915112345678"}, "From": {"+15005550006"}, "StatusCallback": {callback},
		"Body": {"FountainAI: 012345 is your code for sign-in (pay 40 EUR to X). Do not share it. It works once, for 1 minute."},
	}}, s.Messages())
}

func TestTwilio_tellsItsRefusalsApart(t *testing.T) {
	s := deliverytest.NewTwilio(t)
	for _, c := range []struct {
		name         string
		status, code int
		permanent    bool
		reason       string
	}{
		{"no such number", 400, 21211, true, delivery.Rejected},
		{"opted out", 400, 21610, true, delivery.Rejected},
		{"too many", 429, 20429, false, delivery.Limited},
		{"fault", 500, 20500, false, delivery.Unreachable},
		{"away", 503, 0, false, delivery.Unreachable},
		{"wrong token", 401, 20003, false, delivery.Refused},
		{"no permission", 403, 20005, false, delivery.Refused},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.Answer(func(w http.ResponseWriter, r *http.Request) bool {
				w.Header().Set("Retry-After", "7")
				return deliverytest.Refuse(c.status, c.code)(w, r)
			})
			r, _ := sms(t, s)
			_, err := r.Send(t.Context(), message(delivery.SMS, "+4915112345678"))
			f := requireFailure(t, err, c.permanent, c.reason)
			if c.status == 429 {
				require.Equal(t, 7*time.Second, f.After)
			}
		})
	}
	require.Empty(t, s.Messages())
}

// Following a redirect would send the code and the credentials to another host.
func TestTwilio_followsNoRedirect(t *testing.T) {
	other := deliverytest.NewTwilio(t)
	s := deliverytest.NewTwilio(t)
	s.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	})
	r, _ := sms(t, s)
	_, err := r.Send(t.Context(), message(delivery.SMS, "+4915112345678"))
	requireFailure(t, err, true, delivery.Rejected)
	require.Empty(t, other.Messages())
}

func TestTwilio_acceptsItsOwnCallbacksAlone(t *testing.T) {
	_, c := sms(t, deliverytest.NewTwilio(t))
	form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"delivered"}, "AccountSid": {deliverytest.TwilioSID}}
	mac := hmac.New(sha1.New, []byte(deliverytest.TwilioToken))
	mac.Write([]byte(callback + "AccountSid" + deliverytest.TwilioSID + "MessageSidSM1MessageStatusdelivered"))
	signature := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	accepts := func(form url.Values, signature string) bool {
		ok, err := c.Accepts(form, signature)
		require.NoError(t, err)
		return ok
	}
	require.True(t, accepts(form, signature))
	require.False(t, accepts(form, ""))
	require.False(t, accepts(form, signature[:len(signature)-2]+"A="))
	require.False(t, accepts(url.Values{"MessageSid": {"SM2"}, "MessageStatus": {"delivered"}, "AccountSid": {deliverytest.TwilioSID}}, signature))
	c.CallbackURL = ""
	require.False(t, accepts(form, signature), "no callback is expected")
}

// The vector of Twilio's documentation, "Validating Signatures from Twilio".
func TestCheckTwilioSignature_agreesWithTwilio(t *testing.T) {
	form := url.Values{"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675310"}, "Digits": {"1234"}, "From": {"+14158675310"}, "To": {"+18005551212"}}
	require.True(t, delivery.CheckTwilioSignature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", form, "GvWf1cFY/Q7PnoempGyD5oXAezc="))
}

func TestSettings_refuseATwilioElsewhere(t *testing.T) {
	c := twilioSettings(t, deliverytest.NewTwilio(t))
	for _, address := range []string{"http://example.org", "https://evil.example", "http://169.254.169.254", "http://localhost.example.org", "http://127.0.0.1@evil.example"} {
		c.URL = address
		require.ErrorContains(t, delivery.Settings{Twilio: c, SMSCountries: []string{"DE"}}.Validate(), "TWILIO_URL", address)
	}
	require.ErrorContains(t, delivery.Settings{Twilio: twilioSettings(t, deliverytest.NewTwilio(t))}.Validate(), "SMS_COUNTRIES")
	require.ErrorContains(t, delivery.Settings{SMSCountries: []string{"Germany"}}.Validate(), "SMS_COUNTRIES")
}
