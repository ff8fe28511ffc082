package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/twofactor"
	service "github.com/fountainai/fountain/impl/twofactor"
)

const (
	account       = "AC0123456789abcdef0123456789abcdef"
	accountToken  = "the-token-of-the-account"
	statusReports = "https://fountain.example.org/twofactor/v1/hooks/twilio/status"
	messageSID    = "SM0123456789abcdef0123456789abcdef"
)

// phones simulates Twilio and the phones behind it.
type phones struct {
	settings service.Delivery
	texts    chan string
}

func newPhones(t *testing.T) *phones {
	p := &phones{texts: make(chan string, 16)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.texts <- r.PostFormValue("Body")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"sid": "` + messageSID + `"}`))
	}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte(accountToken), 0o600))
	twilio := &p.settings.Twilio
	twilio.AccountSID, twilio.TokenFile, twilio.From, twilio.URL, twilio.CallbackURL = account, token, "+15005550006", server.URL, statusReports
	p.settings.SMSCountries = []string{"DE"}
	require.NoError(t, p.settings.Validate())
	return p
}

var sixDigits = regexp.MustCompile(`\d{6}`)

// code returns the code in the next text message.
func (p *phones) code(t *testing.T) string {
	t.Helper()
	select {
	case text := <-p.texts:
		require.Contains(t, text, "Do not share it")
		return sixDigits.FindString(text)
	case <-time.After(30 * time.Second):
		t.Fatal("no text has come")
		return ""
	}
}

// messages enrols a phone, and sends, repeats, verifies and cancels codes.
func (tr *tour) messages(p *phones) {
	ctx, tf := context.Background(), tr.admin.Twofactor
	made := ok[*twofactor.DeliveryEnrolment](tr, "enrol")(tf.EnrolDelivery(ctx, twofactor.DeliveryEnrol{
		Channel: twofactor.DeliveryEnrolChannelSms, Target: "0151 12345678", Label: fountain.Ptr("phone"),
	}))
	ok[any](tr, "confirm")(any2(tf.ConfirmDelivery(ctx, made.Factor.ID, twofactor.DeliveryConfirm{Code: p.code(tr.t)})))
	sent := ok[*twofactor.Challenge](tr, "challenge")(tf.CreateChallenge(ctx, twofactor.ChallengeCreate{
		Purpose: "payment", Operation: fountain.Ptr("pay 40 EUR to X"), Life: fountain.Ptr(int32(600)),
	}))
	p.code(tr.t)
	require.Eventually(tr.t, func() bool {
		return ok[*twofactor.Challenge](tr, "status")(tf.GetChallenge(ctx, sent.ChallengeID)).Delivery == "sent"
	}, 30*time.Second, 50*time.Millisecond)
	tr.f.Clock.Advance(31 * time.Second)
	ok[any](tr, "resend")(any2(tf.ResendChallenge(ctx, sent.ChallengeID)))
	verified := ok[*twofactor.ChallengeVerified](tr, "verify")(tf.VerifyChallenge(ctx, sent.ChallengeID, twofactor.ChallengeVerify{Code: p.code(tr.t)}))
	require.Equal(tr.t, sent.OperationDigest, verified.OperationDigest)

	tr.f.Clock.Advance(11 * time.Minute)
	other := ok[*twofactor.Challenge](tr, "challenge")(tf.CreateChallenge(ctx, twofactor.ChallengeCreate{Purpose: "other"}))
	require.NoError(tr.t, tf.CancelChallenge(ctx, other.ChallengeID))
	require.NotEmpty(tr.t, ok[*twofactor.DeliveryList](tr, "deliveries")(tf.ListDeliveries(ctx, nil)).Items)
	form := url.Values{"MessageSid": {messageSID}, "MessageStatus": {"delivered"}}
	mac := hmac.New(sha1.New, []byte(accountToken))
	mac.Write([]byte(statusReports + "MessageSid" + messageSID + "MessageStatusdelivered"))
	require.NoError(tr.t, tf.ReceiveTwilioStatus(ctx, base64.StdEncoding.EncodeToString(mac.Sum(nil)), form))
}
