package twofactor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/mailing"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/lifecycle"
)

const (
	claimTimeout = 40 * time.Second // for a whole claim, which waits at the kms while there are no mails
	maxClaim     = 64 << 10         // bytes of an answer: 16 mails
)

// sendMails sends the mails of the kms until ctx ends. Without a mail server it does not claim any, from which the kms knows that there is none.
func (s *service) sendMails(ctx context.Context) error {
	if !s.sender.Brings(delivery.Email) {
		return nil
	}
	client, err := lifecycle.Client(s.config.Service, claimTimeout)
	if err != nil {
		return fmt.Errorf("make client for mails: %w", err)
	}
	api, err := kms.NewClient(config.First(s.config.KMSURL)+"/kms/v1", kms.WithHTTPClient(httpclient.Patient(client)), kms.WithRequestEditorFn(lifecycle.Bearer(s.identity, auth.ProofAudience)))
	if err != nil {
		return fmt.Errorf("client of the kms for mails: %w", err)
	}
	select {
	case <-s.ready: // before that, the service has no credential for the kms
	case <-ctx.Done():
		return nil
	}
	mails := mailing.Service{Desk: desk{authority{s.identity, api}}, Sender: s.sender, Log: s.config.Log}
	mails.Run(ctx, func(ctx context.Context, err error) {
		s.config.Log.WarnContext(ctx, "mails of the kms could not be claimed or reported", "error", err)
		s.life.CountFailure("send mails")
	})
	return nil
}

// desk implements mailing.Desk with calls to the kms.
type desk struct{ authority }

// Claim implements mailing.Desk.
func (d desk) Claim(ctx context.Context, wait time.Duration) ([]mailing.Order, error) {
	prefer := fmt.Sprintf("wait=%d", wait/time.Second)
	answer, err := d.kms.ClaimMails(ctx, &kms.ClaimMailsParams{Prefer: &prefer})
	if err != nil {
		return nil, fmt.Errorf("claim mails: %w", err)
	}
	defer answer.Body.Close()
	if err := d.answered(answer, http.StatusOK); err != nil {
		return nil, fmt.Errorf("claim mails: %w", err)
	}
	var claim kms.MailClaim
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxClaim)).Decode(&claim); err != nil {
		return nil, fmt.Errorf("read claimed mails: %w", err)
	}
	orders := make([]mailing.Order, len(claim.Items))
	for i, m := range claim.Items {
		orders[i] = mailing.Order{ID: m.ID, Lease: m.Lease, About: string(m.Kind), To: m.To, Until: m.ExpiresAt}
		if m.Link != nil {
			orders[i].Link = *m.Link
		}
	}
	return orders, nil
}

// Report implements mailing.Desk.
func (d desk) Report(ctx context.Context, o mailing.Order, outcome mailing.Outcome, reason string) error {
	body := kms.MailOutcome{Lease: o.Lease, Outcome: kms.MailOutcomeOutcome(outcome)}
	if reason != "" {
		body.Reason = &reason
	}
	answer, err := d.kms.ReportMail(ctx, o.ID, body, func(_ context.Context, r *http.Request) error {
		httpclient.MayRepeat(r) // the second report of a lease changes nothing
		return nil
	})
	if err != nil {
		return fmt.Errorf("report mail: %w", err)
	}
	defer answer.Body.Close()
	if err := d.answered(answer, http.StatusNoContent); err != nil {
		return fmt.Errorf("report mail: %w", err)
	}
	return nil
}
