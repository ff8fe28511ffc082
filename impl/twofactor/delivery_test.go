package twofactor

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery/deliverytest"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// patience is how long tests wait for another goroutine: far longer than it needs, also on a busy machine.
const patience = time.Minute

const twilioCallback = "https://fountain.example.org/twofactor/v1/hooks/twilio/status"

// postWorld is a service that sends codes to servers of the test.
type postWorld struct {
	*world
	smtp   *deliverytest.SMTP
	twilio *deliverytest.Twilio
}

// eachPost runs f against a ready service with providers, on every database; change can change its settings.
func eachPost(t *testing.T, change func(c *Config), f func(t *testing.T, w *postWorld)) {
	t.Helper()
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		w := &postWorld{world: newWorld(t), smtp: deliverytest.NewSMTP(t), twilio: deliverytest.NewTwilio(t)}
		settings := w.settings(t, c)
		settings.Clock = w.now
		settings.Delivery = Delivery{
			SMTP:         delivery.SMTP{Addr: w.smtp.Addr, CAFile: w.smtp.CAFile, From: "codes@example.org"},
			Twilio:       delivery.Twilio{AccountSID: deliverytest.TwilioSID, TokenFile: secretFile(t, deliverytest.TwilioToken), From: "+15005550006", URL: w.twilio.URL, CallbackURL: twilioCallback},
			SMSCountries: []string{"DE"},
		}
		if change != nil {
			change(&settings)
		}
		require.NoError(t, settings.Validate())
		w.Running = servicetest.Start(t, &settings.Service, func(ctx context.Context) error { return run(ctx, settings, http.DefaultClient, w.identity) })
		w.WaitReady(t)
		f(t, w)
	})
}

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// caller is a service that may ask for codes.
func (w *postWorld) caller() *auth.Claims {
	c := servicetest.User("twofactor", w.now.Now())
	c.Principal, c.Subject, c.SessionID, c.ACR, c.AMR, c.AuthTime, c.Roles, c.Username = auth.KindService, "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "", "", nil, 0, nil, ""
	c.ClientID, c.Scope = "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "challenges:use"
	return c
}

func (w *postWorld) someone() *auth.Claims {
	c := w.world.someone()
	c.Scope += " challenges:use"
	return c
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

// codes are the codes that were mailed; notices have none.
func (w *postWorld) codes() (codes []string) {
	for _, m := range w.smtp.Mails() {
		if code := sixDigits.FindString(afterHeader(m.Data)); code != "" {
			codes = append(codes, code)
		}
	}
	return codes
}

// mailed waits until n codes have arrived by mail and returns the last one.
func (w *postWorld) mailed(t *testing.T, n int) string {
	t.Helper()
	require.Eventually(t, func() bool { return len(w.codes()) >= n }, patience, 10*time.Millisecond, "code %d has not come", n)
	return w.codes()[n-1]
}

func afterHeader(mail string) string {
	_, body, _ := strings.Cut(mail, "Your code is ")
	return body
}

// texted waits until n SMS have arrived and returns the code of the last one.
func (w *postWorld) texted(t *testing.T, n int) string {
	t.Helper()
	require.Eventually(t, func() bool { return len(w.twilio.Messages()) >= n }, patience, 10*time.Millisecond, "SMS %d has not come", n)
	return sixDigits.FindString(w.twilio.Messages()[n-1].Get("Body"))
}

// settled waits until the delivery of a challenge has a given status.
func (w *postWorld) settled(t *testing.T, c *auth.Claims, challengeID, status string) servicetest.Answer {
	t.Helper()
	var a servicetest.Answer
	require.Eventually(t, func() bool {
		a = w.call(t, c, "GET", "/challenges/"+challengeID, "")
		return a.Status == http.StatusOK && a.Text(t, "delivery") == status
	}, patience, 10*time.Millisecond, "%s", a.Body)
	return a
}

// addressed gives the user a confirmed mail address.
func (w *postWorld) addressed(t *testing.T, c *auth.Claims, address string) (factorID string) {
	t.Helper()
	n := len(w.codes())
	a := w.call(t, c, "POST", "/factors/delivery", `{"channel":"email","target":"`+address+`"}`)
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
	factorID = a.JSON(t)["factor"].(map[string]any)["id"].(string)
	code := w.mailed(t, n+1)
	a = w.call(t, c, "POST", "/factors/delivery/"+factorID+"/confirm", `{"code":"`+code+`"}`)
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
	require.Equal(t, "active", a.Text(t, "status"))
	return factorID
}

func wrongOf(code string) string {
	if code == "000000" {
		return "111111"
	}
	return "000000"
}

func TestDelivery_takesAnAddressThroughItsLife(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		a := w.call(t, ada, "POST", "/factors/delivery", `{"channel":"email","target":"Ada@Example.org","label":"work"}`)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		require.NotContains(t, string(a.Body), "Ada@")
		enrolled := a.JSON(t)["factor"].(map[string]any)
		id := enrolled["id"].(string)
		require.Equal(t, "A***@example.org", enrolled["maskedTarget"])
		code := w.mailed(t, 1)
		confirm := "/factors/delivery/" + id + "/confirm"
		refused(t, w.call(t, ada, "POST", confirm, `{"code":"`+wrongOf(code)+`"}`), 422, "invalid_code")
		refused(t, w.call(t, w.someone(), "POST", confirm, `{"code":"`+code+`"}`), 404, "not_found")
		refused(t, w.call(t, ada, "POST", "/factors/totp/"+id+"/confirm", `{"code":"`+code+`"}`), 404, "not_found")
		refused(t, w.call(t, ada, "GET", "/factors/totp/"+id+"/qr.png", ""), 404, "not_found")
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", confirm, `{"code":"`+code+`"}`).Status)
		refused(t, w.call(t, ada, "POST", confirm, `{"code":"`+code+`"}`), 404, "not_found")
		refused(t, w.call(t, ada, "POST", "/factors/delivery", `{"channel":"email","target":"ada@EXAMPLE.org"}`), 409, "already_exists")

		created := w.call(t, ada, "POST", "/challenges", `{"purpose":"payment","operation":"pay 40 EUR to X"}`)
		require.Equal(t, http.StatusCreated, created.Status, "%s", created.Body)
		require.Equal(t, "A***@example.org", created.Text(t, "maskedTarget"))
		challenge := "/challenges/" + created.Text(t, "challengeId")
		code = w.mailed(t, 2)
		require.NotContains(t, string(created.Body), code)
		require.Contains(t, w.smtp.Mails()[1].Data, "pay 40 EUR to X", "what is bound is what is shown")
		w.settled(t, ada, created.Text(t, "challengeId"), "sent")
		verified := w.call(t, ada, "POST", challenge+"/verify", `{"code":"`+code+`"}`)
		require.Equal(t, http.StatusOK, verified.Status, "%s", verified.Body)
		require.Equal(t, created.Text(t, "operationDigest"), verified.Text(t, "operationDigest"))
		require.Equal(t, "pay 40 EUR to X", verified.Text(t, "operation"))
		refused(t, w.call(t, ada, "POST", challenge+"/verify", `{"code":"`+code+`"}`), 409, "state_conflict")
		refused(t, w.call(t, ada, "POST", challenge+"/resend", ""), 409, "state_conflict")
		require.Equal(t, "verified", w.call(t, ada, "GET", challenge, "").Text(t, "status"))
		refused(t, w.call(t, ada, "DELETE", challenge, ""), 404, "not_found")

		list := w.call(t, ada, "GET", "/factors", "")
		require.Contains(t, string(list.Body), `"maskedTarget":"A***@example.org"`)
		refused(t, w.call(t, ada, "POST", "/verify", `{"code":"`+code+`"}`), 422, "invalid_code")
		require.NotContains(t, w.logs.String(), code, "a code is not logged")
		require.NotContains(t, strings.ToLower(w.logs.String()), "ada@example.org")
	})
}

// A code sent by mail raises no session unless the operator says so: it is no second factor for dangerous operations.
func TestVerifyChallenge_raisesASessionOnlyWhereTheSettingsSaySo(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		w.addressed(t, ada, "ada@example.org")
		c := w.call(t, ada, "POST", "/challenges", `{"purpose":"sign-in"}`).Text(t, "challengeId")
		code := w.mailed(t, 2)
		refused(t, w.call(t, ada, "POST", "/challenges/"+c+"/verify", `{"code":"`+code+`","proof":true}`), 403, "forbidden")
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/challenges/"+c+"/verify", `{"code":"`+code+`"}`).Status, "the refusal came before the code was looked at")
		require.Equal(t, http.StatusCreated, w.call(t, ada, "POST", "/factors/totp", `{}`).Status, "the address is no second factor that could be asked for")
	})
	eachPost(t, func(c *Config) { c.StepUpChannels = []string{"sms"} }, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		a := w.call(t, ada, "POST", "/factors/delivery", `{"channel":"sms","target":"0151 123 456 78"}`)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		id := a.JSON(t)["factor"].(map[string]any)["id"].(string)
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/factors/delivery/"+id+"/confirm", `{"code":"`+w.texted(t, 1)+`"}`).Status)
		refused(t, w.call(t, ada, "POST", "/factors/totp", `{}`), 401, "insufficient_user_authentication")
		c := w.call(t, ada, "POST", "/challenges", `{"purpose":"sign-in","channel":"sms"}`).Text(t, "challengeId")
		a = w.call(t, ada, "POST", "/challenges/"+c+"/verify", `{"code":"`+w.texted(t, 2)+`","proof":true}`)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		given := a.JSON(t)["proof"].(map[string]any)
		claims, err := auth.VerifyProof(t.Context(), given["proof"].(string), w.kms.proofKeys, w.now)
		require.NoError(t, err)
		require.Equal(t, ada.Subject+" "+ada.SessionID+" "+ada.ClientID+" aal2", claims.Subject+" "+claims.SessionID+" "+claims.AuthorizedParty+" "+claims.ACR)
		require.Equal(t, []string{"otp", "sms"}, claims.AMR)
	})
}

// T13: a service can't learn who has which factors: the challenge of an unknown subject looks like any other, and no code is right for it.
func TestCreateChallenge_looksTheSameForUnknownSubjects(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada, shop := w.someone(), w.caller()
		w.addressed(t, ada, "ada@example.org")
		ask := func(subject string) servicetest.Answer {
			a := w.call(t, shop, "POST", "/challenges", `{"subject":"`+subject+`","purpose":"payment"}`)
			require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
			return a
		}
		known, unknown := ask(ada.Subject), ask("usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8Z")
		members := func(a servicetest.Answer) (names []string) {
			for name := range a.JSON(t) {
				names = append(names, name)
			}
			slices.Sort(names)
			return names
		}
		require.Equal(t, members(known), members(unknown))
		code := w.mailed(t, 2)
		id := unknown.Text(t, "challengeId")
		require.Equal(t, members(w.settled(t, shop, known.Text(t, "challengeId"), "sent")), members(w.settled(t, shop, id, "sent")))
		for range 5 {
			refused(t, w.call(t, shop, "POST", "/challenges/"+id+"/verify", `{"code":"`+code+`"}`), 422, "invalid_code")
		}
		refused(t, w.call(t, shop, "POST", "/challenges/"+id+"/verify", `{"code":"`+code+`"}`), 429, "too_many_attempts")
		a := w.call(t, shop, "POST", "/challenges/"+known.Text(t, "challengeId")+"/verify", `{"code":"`+code+`"}`)
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.Equal(t, ada.Subject, a.Text(t, "subject"))
		require.Len(t, w.smtp.Mails(), 2, "nothing was sent for the unknown subject")
		w.now.Advance(time.Hour) // where the budgets begin anew
		shop.IssuedAt.Time, shop.ExpiresAt.Time = w.now.Now(), w.now.Now().Add(10*time.Minute)
		for _, subject := range []string{ada.Subject, "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8Z"} {
			for range 3 {
				ask(subject)
			}
			refused(t, w.call(t, shop, "POST", "/challenges", `{"subject":"`+subject+`","purpose":"payment"}`), 429, "rate_limited")
		}
	})
}

// Only the client that asked for a challenge can read, use or end it: no other service can, and neither can its subject.
func TestChallenges_areTheirClientsAlone(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada, shop := w.someone(), w.caller()
		w.addressed(t, ada, "ada@example.org")
		other := w.caller()
		other.ClientID, other.Subject = "key_01KBB6Q3Y5W1V9T2ZD0G7M4N8Q", "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8Q"
		id := w.call(t, shop, "POST", "/challenges", `{"subject":"`+ada.Subject+`","purpose":"payment"}`).Text(t, "challengeId")
		code := w.mailed(t, 2)
		for _, stranger := range []*auth.Claims{other, ada, w.someone()} {
			refused(t, w.call(t, stranger, "GET", "/challenges/"+id, ""), 404, "not_found")
			refused(t, w.call(t, stranger, "DELETE", "/challenges/"+id, ""), 404, "not_found")
			refused(t, w.call(t, stranger, "POST", "/challenges/"+id+"/resend", ""), 404, "not_found")
			refused(t, w.call(t, stranger, "POST", "/challenges/"+id+"/verify", `{"code":"`+code+`"}`), 404, "not_found")
		}
		require.Equal(t, http.StatusOK, w.call(t, shop, "POST", "/challenges/"+id+"/verify", `{"code":"`+code+`"}`).Status)
		refused(t, w.call(t, shop, "POST", "/challenges", `{"purpose":"payment"}`), 422, "validation_failed")
		refused(t, w.call(t, ada, "POST", "/challenges", `{"subject":"usr_other","purpose":"payment"}`), 403, "forbidden")
		refused(t, w.call(t, w.someone(), "POST", "/challenges", `{"purpose":"payment"}`), 409, "state_conflict")
		refused(t, w.call(t, shop, "POST", "/challenges/"+id+"/verify", `{"code":"`+code+`","proof":true}`), 403, "forbidden")
	})
}

// T8: attempts are counted for a challenge, however many codes are sent for it.
func TestResendChallenge_doesNotResetAttempts(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		w.addressed(t, ada, "ada@example.org")
		id := w.call(t, ada, "POST", "/challenges", `{"purpose":"payment","life":600}`).Text(t, "challengeId")
		first := w.mailed(t, 2)
		for range 3 {
			refused(t, w.call(t, ada, "POST", "/challenges/"+id+"/verify", `{"code":"`+wrongOf(first)+`"}`), 422, "invalid_code")
		}
		a := w.call(t, ada, "POST", "/challenges/"+id+"/resend", "")
		refused(t, a, 429, "rate_limited")
		require.NotEmpty(t, a.Header.Get("Retry-After"))
		w.settled(t, ada, id, "sent")
		w.now.Advance(31 * time.Second)
		a = w.call(t, ada, "POST", "/challenges/"+id+"/resend", "")
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.InEpsilon(t, 2, a.JSON(t)["attemptsLeft"], 0)
		second := w.mailed(t, 3)
		if first != second {
			refused(t, w.call(t, ada, "POST", "/challenges/"+id+"/verify", `{"code":"`+first+`"}`), 422, "invalid_code")
		} else {
			refused(t, w.call(t, ada, "POST", "/challenges/"+id+"/verify", `{"code":"`+wrongOf(first)+`"}`), 422, "invalid_code")
		}
		refused(t, w.call(t, ada, "POST", "/challenges/"+id+"/verify", `{"code":"`+wrongOf(second)+`"}`), 422, "invalid_code")
		refused(t, w.call(t, ada, "POST", "/challenges/"+id+"/verify", `{"code":"`+second+`"}`), 429, "too_many_attempts")
		w.now.Advance(31 * time.Second)
		refused(t, w.call(t, ada, "POST", "/challenges/"+id+"/resend", ""), 410, "gone")
	})
}

// The life of a code begins when the provider accepts it, and responses show when it ends.
func TestChallenges_endInTime(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		id := w.addressed(t, ada, "ada@example.org")
		c := w.call(t, ada, "POST", "/challenges", `{"purpose":"payment"}`).Text(t, "challengeId")
		code := w.mailed(t, 2)
		a := w.settled(t, ada, c, "sent")
		require.Equal(t, w.now.Now().Add(time.Minute).Format(time.RFC3339Nano), a.Text(t, "expiresAt"))
		w.now.Advance(time.Minute)
		refused(t, w.call(t, ada, "POST", "/challenges/"+c+"/verify", `{"code":"`+code+`"}`), 410, "gone")
		refused(t, w.call(t, ada, "POST", "/challenges/"+c+"/resend", ""), 410, "gone")

		c = w.call(t, ada, "POST", "/challenges", `{"purpose":"payment"}`).Text(t, "challengeId")
		code = w.mailed(t, 3)
		newer := w.call(t, ada, "POST", "/challenges", `{"purpose":"payment"}`)
		refused(t, newer, 429, "rate_limited") // three to one address in ten minutes
		require.Equal(t, http.StatusNoContent, w.call(t, ada, "DELETE", "/challenges/"+c, "").Status)
		refused(t, w.call(t, ada, "POST", "/challenges/"+c+"/verify", `{"code":"`+code+`"}`), 410, "gone")

		w.now.Advance(11 * time.Minute)
		ada.IssuedAt.Time, ada.ExpiresAt.Time, ada.AuthTime = w.now.Now(), w.now.Now().Add(10*time.Minute), w.now.Now().Unix()
		c = w.call(t, ada, "POST", "/challenges", `{"purpose":"payment"}`).Text(t, "challengeId")
		code = w.mailed(t, 4)
		w.enrolled(t, ada)
		require.Equal(t, http.StatusNoContent, w.call(t, w.raised(ada), "DELETE", "/factors/"+id, "").Status)
		a = w.call(t, ada, "POST", "/challenges/"+c+"/verify", `{"code":"`+code+`"}`)
		refused(t, a, 410, "gone") // the address was revoked meanwhile
		refused(t, w.call(t, ada, "POST", "/challenges", `{"purpose":"payment"}`), 409, "state_conflict")

		pending := w.call(t, w.raised(ada), "POST", "/factors/delivery", `{"channel":"email","target":"ada2@example.org"}`)
		require.Equal(t, http.StatusCreated, pending.Status, "%s", pending.Body)
		factor := pending.JSON(t)["factor"].(map[string]any)["id"].(string)
		code = w.mailed(t, 5)
		w.settled(t, ada, pending.JSON(t)["challenge"].(map[string]any)["challengeId"].(string), "sent")
		refused(t, w.call(t, ada, "POST", "/challenges/"+pending.JSON(t)["challenge"].(map[string]any)["challengeId"].(string)+"/verify", `{"code":"`+code+`"}`), 404, "not_found")
		w.now.Advance(61 * time.Second)
		refused(t, w.call(t, w.raised(ada), "POST", "/factors/delivery/"+factor+"/confirm", `{"code":"`+code+`"}`), 410, "gone")
	})
}

// T16: an attacker can't plant an address, as they can't plant an authenticator.
func TestEnrolDelivery_asksForWhatEnrolmentAsksFor(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		const body = `{"channel":"email","target":"ada@example.org"}`
		ada := w.someone()
		stale := *ada
		stale.AuthTime -= 15*60 + 1
		refused(t, w.call(t, &stale, "POST", "/factors/delivery", body), 401, "insufficient_user_authentication")
		service := w.caller()
		service.Scope = "factors:manage"
		refused(t, w.call(t, service, "POST", "/factors/delivery", body), 403, "principal_not_allowed")
		w.identity.away.Store(true)
		refused(t, w.call(t, ada, "POST", "/factors/delivery", body), 503, "unavailable")
		w.identity.away.Store(false)
		planted := w.call(t, ada, "POST", "/factors/delivery", body)
		require.Equal(t, http.StatusCreated, planted.Status)
		factor := planted.JSON(t)["factor"].(map[string]any)["id"].(string)
		code := w.mailed(t, 1)
		w.enrolled(t, ada)
		refused(t, w.call(t, ada, "POST", "/factors/delivery", body), 401, "insufficient_user_authentication")
		refused(t, w.call(t, ada, "POST", "/factors/delivery/"+factor+"/confirm", `{"code":"`+code+`"}`), 401, "insufficient_user_authentication")
		w.identity.away.Store(true)
		refused(t, w.call(t, w.raised(ada), "POST", "/factors/delivery/"+factor+"/confirm", `{"code":"`+code+`"}`), 503, "unavailable")
		w.identity.away.Store(false)
		require.Equal(t, http.StatusOK, w.call(t, w.raised(ada), "POST", "/factors/delivery/"+factor+"/confirm", `{"code":"`+code+`"}`).Status)

		boss := w.someone()
		w.identity.admins.Store(boss.Subject, true)
		refused(t, w.call(t, boss, "POST", "/factors/delivery", `{"channel":"email","target":"boss@example.org"}`), 403, "forbidden")
		for _, bad := range []string{`{"channel":"email","target":"a@b.org\r\nBcc: eve@b.org"}`, `{"channel":"sms","target":"+33612345678"}`, `{"channel":"webhook","target":"http://169.254.169.254/"}`} {
			refused(t, w.call(t, w.someone(), "POST", "/factors/delivery", bad), 422, "validation_failed")
		}
		require.Len(t, w.smtp.Mails(), 1)
		require.Empty(t, w.twilio.Messages())
	})
}

// With an invitation an administrator can enrol an address only where its codes raise sessions, and that uses up the invitation.
func TestEnrolDelivery_usesAnAdministratorsInvitation(t *testing.T) {
	eachPost(t, func(c *Config) { c.StepUpChannels = []string{"email"} }, func(t *testing.T, w *postWorld) {
		w.kms.invitations[invitation] = ""
		boss := w.someone()
		w.identity.admins.Store(boss.Subject, true)
		const body = `{"channel":"email","target":"boss@example.org"`
		refused(t, w.call(t, boss, "POST", "/factors/delivery", body+`}`), 403, "invitation_required")
		refused(t, w.call(t, boss, "POST", "/factors/delivery", body+`,"invitation":"in_some-other-invitation"}`), 422, "invalid_invitation")
		a := w.call(t, boss, "POST", "/factors/delivery", body+`,"invitation":"`+invitation+`"}`)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		id, code := a.JSON(t)["factor"].(map[string]any)["id"].(string), w.mailed(t, 1)
		refused(t, w.call(t, boss, "POST", "/factors/delivery/"+id+"/confirm", `{"code":"`+wrongOf(code)+`"}`), 422, "invalid_code")
		require.Empty(t, w.kms.invitations[invitation], "a wrong code does not use the invitation up")
		require.Equal(t, http.StatusOK, w.call(t, boss, "POST", "/factors/delivery/"+id+"/confirm", `{"code":"`+code+`"}`).Status)
		require.Equal(t, id, w.kms.invitations[invitation])
	})
}

// T13: the number of codes to one range of phone numbers is limited, and so is the number to one person's phone.
func TestDelivery_endsPumping(t *testing.T) {
	numbers, strangers := 25, 3
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		numbers, strangers = 1000, 1000
	}
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		for i := range numbers {
			a := w.call(t, w.someone(), "POST", "/factors/delivery", fmt.Sprintf(`{"channel":"sms","target":"+491511234%04d"}`, i))
			if i < 20 {
				require.Equal(t, http.StatusCreated, a.Status, "%d %s", i, a.Body)
				continue
			}
			refused(t, a, 429, "rate_limited")
		}
		require.Equal(t, http.StatusCreated, w.call(t, w.someone(), "POST", "/factors/delivery", `{"channel":"sms","target":"+4915199990000"}`).Status, "another range")
		w.texted(t, 21)
		for i := range 4 {
			a := w.call(t, w.someone(), "POST", "/factors/delivery", `{"channel":"email","target":"ADA@example.org"}`)
			if i < 3 {
				require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
			} else {
				refused(t, a, 429, "rate_limited")
			}
		}
		eve := w.someone()
		for i := range 6 {
			a := w.call(t, eve, "POST", "/factors/delivery", fmt.Sprintf(`{"channel":"email","target":"eve%d@example.org"}`, i))
			if i == 5 {
				require.Contains(t, []int{409, 429}, a.Status)
				continue
			}
			require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		}
		w.mailed(t, 8)
		require.Len(t, w.twilio.Messages(), 21, "no call of the provider for what was refused")
	})
	eachPost(t, func(c *Config) { c.DeliveriesPerDay = 2 }, func(t *testing.T, w *postWorld) {
		for i := range strangers {
			body := fmt.Sprintf(`{"channel":"email","target":"ada%d@example.org"}`, i)
			if i%2 == 1 {
				body = fmt.Sprintf(`{"channel":"sms","target":"+49151%03d12345"}`, 100+i%900) // each of a range of its own
			}
			a := w.call(t, w.someone(), "POST", "/factors/delivery", body)
			if i < 2 {
				require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
			} else {
				refused(t, a, 429, "rate_limited")
			}
		}
		w.mailed(t, 1)
		w.texted(t, 1)
		require.Len(t, w.codes(), 1, "no call of a provider for what was refused")
		require.Len(t, w.twilio.Messages(), 1)
	})
}

// Administrators can read what became of codes, without codes and addresses. A report of Twilio counts only when Twilio has signed it.
func TestListDeliveries_tellsWhatTwilioReports(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		boss := w.someone()
		boss.Scope, boss.Roles = boss.Scope+" deliveries:read", []string{"admin"}
		var ids []string
		for i := range 3 {
			a := w.call(t, w.someone(), "POST", "/factors/delivery", fmt.Sprintf(`{"channel":"sms","target":"+491511234%04d"}`, i))
			require.Equal(t, http.StatusCreated, a.Status)
			ids = append(ids, a.JSON(t)["challenge"].(map[string]any)["challengeId"].(string))
			w.texted(t, i+1)
		}
		w.sentAll(t, boss, 3)
		report := func(form url.Values, sign bool) servicetest.Answer {
			signature := "bm90IHNpZ25lZA=="
			if sign {
				signature = twilioSignature(form)
			}
			return w.call(t, nil, "POST", "/hooks/twilio/status", form.Encode(), "X-Twilio-Signature", signature, "Content-Type", "application/x-www-form-urlencoded")
		}
		first, second := fmt.Sprintf("SM%032x", 1), fmt.Sprintf("SM%032x", 2)
		delivered := url.Values{"MessageSid": {first}, "MessageStatus": {"delivered"}, "AccountSid": {deliverytest.TwilioSID}, "To": {"+4915112340000"}}
		refused(t, report(delivered, false), 403, "forbidden")
		require.NotContains(t, string(w.call(t, boss, "GET", "/deliveries", "").Body), `"delivered"`, "a forged report changes nothing")
		require.Equal(t, http.StatusNoContent, report(delivered, true).Status)
		require.Equal(t, http.StatusNoContent, report(url.Values{"MessageSid": {second}, "MessageStatus": {"undelivered"}, "ErrorCode": {"30003"}, "New": {"parameter"}}, true).Status)
		require.Equal(t, http.StatusNoContent, report(url.Values{"MessageSid": {first}, "MessageStatus": {"sent"}}, true).Status)
		require.Equal(t, http.StatusNoContent, report(url.Values{"MessageSid": {first}, "MessageStatus": {"failed"}}, true).Status, "what arrived has arrived")
		require.Equal(t, http.StatusNoContent, report(url.Values{"MessageSid": {"SMunknown"}, "MessageStatus": {"delivered"}}, true).Status)
		a := w.call(t, boss, "GET", "/deliveries?limit=2", "")
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		rest := w.call(t, boss, "GET", "/deliveries?cursor="+a.Text(t, "nextCursor"), "")
		all := append(a.JSON(t)["items"].([]any), rest.JSON(t)["items"].([]any)...)
		require.Len(t, all, 3)
		status := map[any]any{}
		for _, item := range all {
			status[item.(map[string]any)["providerId"]] = item.(map[string]any)["status"]
		}
		require.Equal(t, map[any]any{first: "delivered", second: "failed", fmt.Sprintf("SM%032x", 3): "sent"}, status)
		require.NotContains(t, string(a.Body)+string(rest.Body), "+4915112340000")
		refused(t, w.call(t, boss, "GET", "/deliveries?cursor=made-by-somebody", ""), 400, "invalid_cursor")
		refused(t, w.call(t, w.someone(), "GET", "/deliveries", ""), 403, "insufficient_scope")
		reader := w.someone()
		reader.Scope += " deliveries:read"
		refused(t, w.call(t, reader, "GET", "/deliveries", ""), 403, "insufficient_role")
		require.NotEmpty(t, ids)
	})
}

// sentAll waits until n deliveries are sent.
func (w *postWorld) sentAll(t *testing.T, boss *auth.Claims, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return strings.Count(string(w.call(t, boss, "GET", "/deliveries", "").Body), `"status":"sent"`) == n
	}, patience, 10*time.Millisecond)
}

func twilioSignature(form url.Values) string {
	text := twilioCallback
	var names []string
	for name := range form {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += name + form.Get(name)
	}
	mac := hmac.New(sha1.New, []byte(deliverytest.TwilioToken))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// While no provider works, requests are refused at once, and nothing is begun that could not succeed.
func TestCreateChallenge_saysThatNoProviderWorks(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		w.addressed(t, ada, "ada@example.org")
		c := w.call(t, ada, "POST", "/challenges", `{"purpose":"payment","life":600}`).Text(t, "challengeId")
		w.mailed(t, 2)
		w.settled(t, ada, c, "sent")
		w.smtp.Behave(deliverytest.Behaviour{Down: true})
		broken := w.call(t, ada, "POST", "/challenges", `{"purpose":"other","life":600}`).Text(t, "challengeId")
		require.Eventually(t, func() bool {
			w.now.Advance(4 * time.Second)
			return w.call(t, ada, "POST", "/challenges", `{"purpose":"x","channel":"email"}`).Status == http.StatusServiceUnavailable
		}, 20*time.Second, 50*time.Millisecond)
		refused(t, w.call(t, w.caller(), "POST", "/challenges", `{"subject":"`+ada.Subject+`","purpose":"x","channel":"email"}`), 503, "unavailable")
		refused(t, w.call(t, w.someone(), "POST", "/factors/delivery", `{"channel":"email","target":"eve@example.org"}`), 503, "unavailable")
		refused(t, w.call(t, ada, "POST", "/challenges/"+c+"/resend", ""), 503, "unavailable")
		require.Equal(t, "queued", w.call(t, ada, "GET", "/challenges/"+broken, "").Text(t, "delivery"))
	})
}

// A mail server is down for 20 s within the life of a code: the code still arrives, works once, and its life begins then.
func TestChallenges_outlastAnOutageOfTheMailServer(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		w.addressed(t, ada, "ada@example.org")
		w.smtp.Behave(deliverytest.Behaviour{Down: true})
		_, before := w.smtp.Recipients()
		id := w.call(t, ada, "POST", "/challenges", `{"purpose":"payment"}`).Text(t, "challengeId")
		tries := func() int { _, n := w.smtp.Recipients(); return n - before }
		require.Eventually(t, func() bool { return tries() > 0 }, patience, 10*time.Millisecond, "it is tried at once")
		for range 20 {
			known := tries()
			w.now.Advance(time.Second)
			for deadline := time.Now().Add(200 * time.Millisecond); tries() == known && time.Now().Before(deadline); { // it may be between two tries
				time.Sleep(5 * time.Millisecond)
			}
		}
		require.Greater(t, tries(), 1, "it is tried while the server is down")
		require.Len(t, w.smtp.Mails(), 1, "only that of the enrolment")
		w.smtp.Behave(deliverytest.Behaviour{})
		var code string
		for passed := 20; code == ""; passed += 4 { // the server is left alone for a moment after five failures
			require.Less(t, passed, 56, "within the life of the code")
			w.now.Advance(4 * time.Second)
			deadline := time.Now().Add(2 * time.Second)
			for len(w.smtp.Mails()) < 2 && time.Now().Before(deadline) {
				time.Sleep(10 * time.Millisecond)
			}
			if len(w.smtp.Mails()) == 2 {
				code = w.mailed(t, 2)
			}
		}
		w.settled(t, ada, id, "sent")
		w.now.Advance(59 * time.Second)
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/challenges/"+id+"/verify", `{"code":"`+code+`"}`).Status)
		refused(t, w.call(t, ada, "POST", "/challenges/"+id+"/verify", `{"code":"`+code+`"}`), 409, "state_conflict")
	})
}

// A mail server is down for longer: the status says so, and the code never arrives late.
func TestChallenges_sayThatNoCodeWillCome(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		w.addressed(t, ada, "ada@example.org")
		w.smtp.Behave(deliverytest.Behaviour{Down: true})
		id := w.call(t, ada, "POST", "/challenges", `{"purpose":"payment","life":30}`).Text(t, "challengeId")
		w.now.Advance(31 * time.Second)
		a := w.settled(t, ada, id, "failed")
		require.Equal(t, "open", a.Text(t, "status"), "another code may be asked for")
		w.smtp.Behave(deliverytest.Behaviour{})
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/challenges/"+id+"/resend", "").Status)
		code := w.mailed(t, 2)
		require.Len(t, w.smtp.Mails(), 2)
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/challenges/"+id+"/verify", `{"code":"`+code+`"}`).Status)
	})
}

// The service does not start with settings that can't work, nor with those that only the program that composes a family may set.
func TestConfig_checksDelivery(t *testing.T) {
	for want, c := range map[string]Config{
		"SMTP_FROM":          {Delivery: Delivery{SMTP: delivery.SMTP{Addr: "mail.example.org:587"}}},
		"TWILIO_ACCOUNT_SID": {Delivery: Delivery{Twilio: delivery.Twilio{AccountSID: "x"}}},
		"STEP_UP_CHANNELS":   {StepUpChannels: []string{"pigeon"}},
		"DELIVERIES_PER_DAY": {DeliveriesPerDay: -1},
	} {
		require.ErrorContains(t, c.Validate(), want)
	}
	var c Config
	require.ErrorContains(t, config.LoadFrom("FOUNTAIN_TWOFACTOR_", &c, []string{"FOUNTAIN_TWOFACTOR_DEVELOPMENT=true"}), "unknown setting",
		"the log as a channel can't be had by the environment")
}

// Attempts at an address that is not confirmed are counted, and a text that is no code is not compared.
func TestConfirmDelivery_countsWhatIsTried(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		const challenge = "/challenges/chl_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
		a := w.call(t, ada, "POST", "/factors/delivery", `{"channel":"email","target":"ada@example.org"}`)
		require.Equal(t, http.StatusCreated, a.Status)
		confirm := "/factors/delivery/" + a.JSON(t)["factor"].(map[string]any)["id"].(string) + "/confirm"
		code := w.mailed(t, 1)
		for range 5 {
			refused(t, w.call(t, ada, "POST", confirm, `{"code":"`+wrongOf(code)+`"}`), 422, "invalid_code")
		}
		refused(t, w.call(t, ada, "POST", confirm, `{"code":"`+code+`"}`), 429, "too_many_attempts")
		for _, bad := range []string{`{"code":"12345"}`, `{"code":" 123456"}`, `{"code":"１２３４５６"}`, `{"code":"1234567"}`, `{"code":123456}`, `{}`} {
			require.Equal(t, http.StatusUnprocessableEntity, w.call(t, ada, "POST", challenge+"/verify", bad).Status, bad)
		}
		require.Equal(t, http.StatusUnprocessableEntity, w.call(t, ada, "POST", "/challenges", `{"purpose":"enrol:fac_1"}`).Status, "no caller names the purpose of an enrolment")
		require.Equal(t, http.StatusUnprocessableEntity, w.call(t, ada, "POST", "/challenges", `{"purpose":"x","operation":"a\r\nBcc: b"}`).Status)
		require.Equal(t, http.StatusUnprocessableEntity, w.call(t, ada, "POST", "/challenges", `{"purpose":"x","life":29}`).Status)
	})
}

// A provider accepts a message and never delivers it: its report is shown, and another code can be sent.
func TestChallenges_seeThatAMessageNeverArrived(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		ada := w.someone()
		a := w.call(t, ada, "POST", "/factors/delivery", `{"channel":"sms","target":"+4915112345678"}`)
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Body)
		confirm := "/factors/delivery/" + a.JSON(t)["factor"].(map[string]any)["id"].(string) + "/confirm"
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", confirm, `{"code":"`+w.texted(t, 1)+`"}`).Status)
		id := w.call(t, ada, "POST", "/challenges", `{"purpose":"payment","life":120}`).Text(t, "challengeId")
		w.texted(t, 2)
		w.settled(t, ada, id, "sent")
		form := url.Values{"MessageSid": {fmt.Sprintf("SM%032x", 2)}, "MessageStatus": {"undelivered"}}
		require.Equal(t, http.StatusNoContent, w.call(t, nil, "POST", "/hooks/twilio/status", form.Encode(), "X-Twilio-Signature", twilioSignature(form),
			"Content-Type", "application/x-www-form-urlencoded").Status)
		w.settled(t, ada, id, "failed")
		w.now.Advance(31 * time.Second)
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/challenges/"+id+"/resend", "").Status)
		require.Equal(t, http.StatusOK, w.call(t, ada, "POST", "/challenges/"+id+"/verify", `{"code":"`+w.texted(t, 3)+`"}`).Status)
	})
}
