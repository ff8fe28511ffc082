package delivery_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/internal/webhook"
)

type call struct {
	header http.Header
	body   string
}

// receiver is the server of a webhook, with a certificate authority of its own.
func receiver(t *testing.T, answer http.HandlerFunc) (url, caFile string, calls *[]call) {
	t.Helper()
	calls = &[]call{}
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			*calls = append(*calls, call{r.Header.Clone(), string(body)})
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	return s.URL, caFile, calls
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func signed(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("1800000000." + body))
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

func TestWebhook_signsWithBothSecrets(t *testing.T) {
	url, caFile, calls := receiver(t, status(http.StatusAccepted))
	r := router(t, delivery.Settings{Webhooks: delivery.Webhooks{
		Endpoints: []string{"pager=" + url + "/in"}, SecretFile: secret(t, "new"), PreviousSecretFile: secret(t, "old"), CAFile: caFile, Allow: []string{"127.0.0.0/8"},
	}}, house())
	receipt, err := r.Send(t.Context(), message(delivery.Webhook, "pager"))
	require.NoError(t, err)
	require.Equal(t, delivery.Receipt{Provider: "webhook", ID: "dlv_1"}, receipt)
	require.Len(t, *calls, 1)
	got := (*calls)[0]
	require.JSONEq(t, `{"id":"dlv_1","subject":"usr_1","code":"012345","purpose":"sign-in","operation":"pay 40 EUR to X","lifeSeconds":60}`, got.body)
	require.Equal(t, "t=1800000000, "+signed("new", got.body)+", "+signed("old", got.body), got.header.Get(webhook.Header))
	require.Equal(t, "dlv_1", got.header.Get("Idempotency-Key"))
}

// A receiver at an address that the operator did not allow is not connected to, although its URL is the operator's.
func TestWebhook_isNotLedToPrivateAddresses(t *testing.T) {
	url, caFile, calls := receiver(t, status(http.StatusOK))
	name := strings.Replace(url, "127.0.0.1", "localtest.example", 1)
	for _, endpoint := range []string{url, name} {
		c := delivery.Webhooks{Endpoints: []string{"pager=" + endpoint}, SecretFile: secret(t, "s"), CAFile: caFile}
		if endpoint == url {
			c.Allow = []string{"10.0.0.0/8"} // another private range
			c.Endpoints = []string{"pager=" + strings.Replace(url, "127.0.0.1", "127.0.0.2", 1)}
		}
		_, err := router(t, delivery.Settings{Webhooks: c}, house()).Send(t.Context(), message(delivery.Webhook, "pager"))
		requireFailure(t, err, false, delivery.Unreachable)
	}
	require.Empty(t, *calls)
}

func TestWebhook_followsNoRedirectAndTellsRefusalsApart(t *testing.T) {
	inner, _, innerCalls := receiver(t, status(http.StatusOK))
	for code, want := range map[int]struct {
		permanent bool
		reason    string
	}{
		307: {true, delivery.Rejected}, 302: {true, delivery.Rejected}, 400: {true, delivery.Rejected}, 410: {true, delivery.Rejected},
		429: {false, delivery.Limited}, 500: {false, delivery.Unreachable}, 503: {false, delivery.Unreachable},
	} {
		url, caFile, calls := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", inner)
			w.WriteHeader(code)
		})
		r := router(t, delivery.Settings{Webhooks: delivery.Webhooks{
			Endpoints: []string{"pager=" + url}, SecretFile: secret(t, "s"), CAFile: caFile, Allow: []string{"127.0.0.0/8"},
		}}, house())
		_, err := r.Send(t.Context(), message(delivery.Webhook, "pager"))
		requireFailure(t, err, want.permanent, want.reason)
		require.Len(t, *calls, 1)
	}
	require.Empty(t, *innerCalls)
}

func TestSettings_refuseWebhooksThatAreNoneOfTheOperators(t *testing.T) {
	for _, endpoint := range []string{
		"https://example.org", "pager=http://example.org", "pager=https://", "pager=https://user:secret@example.org", "Pager=https://example.org", "=https://example.org", "pager=file:///etc/passwd",
	} {
		err := delivery.Settings{Webhooks: delivery.Webhooks{Endpoints: []string{endpoint}, SecretFile: "/secret"}}.Validate()
		require.ErrorContains(t, err, "WEBHOOK_URLS: entry 1", endpoint)
		require.NotContains(t, err.Error(), "secret@")
	}
	require.ErrorContains(t, delivery.Settings{Webhooks: delivery.Webhooks{Endpoints: []string{"a=https://b.c"}}}.Validate(), "WEBHOOK_SECRET_FILE")
	require.ErrorContains(t, delivery.Settings{SMTP: delivery.SMTP{Addr: "nowhere", From: "x"}}.Validate(), "SMTP_ADDR")
}
