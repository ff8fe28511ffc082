package delivery_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery/deliverytest"
	"github.com/fountainai/fountain/internal/clock"
)

var start = time.Unix(1_800_000_000, 0).UTC()

// secret writes a file with a secret.
func secret(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

// house returns the House for the senders of a test.
func house() delivery.House {
	return delivery.House{Issuer: "FountainAI", Clock: clock.NewFake(start), Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}
}

func router(t *testing.T, s delivery.Settings, h delivery.House) *delivery.Router {
	t.Helper()
	require.NoError(t, s.Validate())
	r, err := delivery.New(s, h)
	require.NoError(t, err)
	return r
}

func mailSettings(s *deliverytest.SMTP) delivery.SMTP {
	return delivery.SMTP{Addr: s.Addr, CAFile: s.CAFile, From: "Fountain <codes@example.org>"}
}

func twilioSettings(t *testing.T, s *deliverytest.Twilio) delivery.Twilio {
	return delivery.Twilio{AccountSID: deliverytest.TwilioSID, TokenFile: secret(t, deliverytest.TwilioToken), From: "+15005550006", URL: s.URL}
}

// message returns a message with a code.
func message(channel delivery.Channel, target string) delivery.Message {
	return delivery.Message{
		ID: "dlv_1", Channel: channel, Target: target, Subject: "usr_1", Code: "012345", Purpose: "sign-in", Operation: "pay 40 EUR to X", Life: time.Minute,
	}
}

// requireFailure checks that an error is the expected failure.
func requireFailure(t *testing.T, err error, permanent bool, reason string) *delivery.Failure {
	t.Helper()
	require.Error(t, err)
	f := delivery.AsFailure(err)
	require.Equal(t, permanent, f.Permanent, "%v", err)
	require.Equal(t, reason, f.Reason, "%v", err)
	require.NotContains(t, err.Error(), "012345")
	return f
}
