package twofactor

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery/deliverytest"
)

const mailToken = "pr_Zm91bnRhaW4tZm91bnRhaW4"

// ordered is a mail of the kms.
func ordered(id string) kms.ClaimedMail {
	link := "https://fountain.example/kms/v1/auth/password-reset#" + mailToken
	return kms.ClaimedMail{
		ID: "mail_" + id, Lease: "lease_" + id, Kind: kms.MailKindPasswordReset, To: "grace@example.org", Link: &link,
		ExpiresAt: time.Date(2026, 11, 29, 11, 0, 0, 0, time.UTC),
	}
}

// outcome waits for the next report to the kms.
func (w *postWorld) outcome(t *testing.T) kms.MailOutcome {
	t.Helper()
	select {
	case o := <-w.kms.outcomes:
		return o
	case <-time.After(patience):
		require.Fail(t, "nothing was reported")
		return kms.MailOutcome{}
	}
}

// A mail of the kms reaches the person with its link, the outcome is reported, and the link is in no log.
func TestMails_ofTheKMSReachPeople(t *testing.T) {
	eachPost(t, nil, func(t *testing.T, w *postWorld) {
		w.kms.mails <- ordered("1")
		require.Equal(t, kms.MailOutcome{Lease: "lease_1", Outcome: kms.MailOutcomeOutcomeSent}, w.outcome(t))
		mails := w.smtp.Mails()
		require.Len(t, mails, 1)
		require.Contains(t, mails[0].To, "<grace@example.org>")
		require.True(t, mails[0].TLS)
		require.Contains(t, mails[0].Data, "Subject: FountainAI: choose a new password")
		require.Contains(t, strings.ReplaceAll(mails[0].Data, "=\r\n", ""), "#"+mailToken)
		require.Contains(t, mails[0].Data, "29 November 2026, 11:00 UTC")

		w.smtp.Behave(deliverytest.Behaviour{Rcpt: "450 later"})
		w.kms.mails <- ordered("2")
		require.Equal(t, kms.MailOutcomeOutcomeRetry, w.outcome(t).Outcome)
		w.smtp.Behave(deliverytest.Behaviour{Rcpt: "550 nobody here"})
		w.kms.mails <- ordered("3")
		refused := w.outcome(t)
		require.Equal(t, kms.MailOutcomeOutcomeFailed, refused.Outcome)
		require.Equal(t, delivery.Rejected, *refused.Reason)
		strange := ordered("4")
		strange.Kind = "something_new"
		w.kms.mails <- strange
		require.Equal(t, kms.MailOutcomeOutcomeFailed, w.outcome(t).Outcome)
		require.NotContains(t, w.logs.String(), mailToken)
		require.NotContains(t, w.logs.String(), "grace@")
	})
}

// Links are sent to people only: in development codes are written into the log, and links are not.
func TestMails_areNotAskedForWithoutAMailServer(t *testing.T) {
	eachPost(t, func(c *Config) { c.SMTP, c.Development = delivery.SMTP{}, true }, func(t *testing.T, w *postWorld) {
		w.kms.mails <- ordered("1")
		w.Stop(t)
		require.Zero(t, w.kms.claims.Load())
		require.False(t, strings.Contains(w.logs.String(), mailToken))
	})
}
