package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/twofactor"
	server "github.com/fountainai/fountain/impl/twofactor"
)

// addresses holds the flags that name an address to which codes are sent.
type addresses struct{ email, sms, webhook string }

func (a *addresses) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.email, "email", "", "enrol this mail address for codes instead of an app")
	cmd.Flags().StringVar(&a.sms, "sms", "", "enrol this mobile number for codes")
	cmd.Flags().StringVar(&a.webhook, "webhook", "", "enrol this webhook of the operator for codes, by its name")
}

// chosen returns the one address that was named; is is false if none was.
func (a *addresses) chosen() (body twofactor.DeliveryEnrol, is bool, err error) {
	for channel, target := range map[twofactor.DeliveryEnrolChannel]string{
		twofactor.DeliveryEnrolChannelEmail: a.email, twofactor.DeliveryEnrolChannelSms: a.sms, twofactor.DeliveryEnrolChannelWebhook: a.webhook,
	} {
		if target == "" {
			continue
		}
		if is {
			return body, false, usagef("only one of --email, --sms and --webhook can be enrolled at a time")
		}
		body.Channel, body.Target, is = channel, target, true
	}
	return body, is, nil
}

// enrolAddress enrols an address and prints the next step.
func (o *operator) enrolAddress(cmd *cobra.Command, c *fountain.Client, body twofactor.DeliveryEnrol) error {
	made, err := c.Twofactor.EnrolDelivery(cmd.Context(), body)
	if err != nil {
		return err
	}
	if o.output == "json" {
		return o.print(cmd, made, nil, nil)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "A code is on its way to %s\nThen within a minute: fountain otp confirm %s\n", orDash(made.Factor.MaskedTarget), made.Factor.ID)
	return err
}

// isAddress reports whether a factor is an address to which codes are sent.
func isAddress(ctx context.Context, c *fountain.Client, id string) (bool, error) {
	for f, err := range c.Twofactor.Factors(ctx) {
		if err != nil || f.ID == id {
			return err == nil && f.Type != "totp" && f.Type != passkeyType, err
		}
	}
	return false, nil
}

// confirmAddress confirms an address with the code that was sent to it.
func (o *operator) confirmAddress(cmd *cobra.Command, c *fountain.Client, id, code string) error {
	f, err := c.Twofactor.ConfirmDelivery(cmd.Context(), id, twofactor.DeliveryConfirm{Code: code})
	if err != nil {
		return err
	}
	return o.print(cmd, f, []string{"ID", "STATUS"}, [][]string{{f.ID, string(f.Status)}})
}

// challenge makes the command that sends a code to one of the user's own addresses and verifies it, as a test that
// codes arrive.
func (o *operator) challenge() *cobra.Command {
	var channel string
	cmd := o.command("challenge", "Send a code to yourself and verify it, to test the delivery", "  fountain otp challenge\n  fountain otp challenge --channel sms --code-file -", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			body := twofactor.ChallengeCreate{Purpose: "trying whether codes arrive"}
			if channel != "" {
				body.Channel = fountain.Ptr(twofactor.ChallengeCreateChannel(channel))
			}
			sent, err := c.Twofactor.CreateChallenge(cmd.Context(), body)
			if err != nil {
				return err
			}
			code, err := o.typedCode("the code that was sent to " + orDash(sent.MaskedTarget) + ": ")
			if err != nil {
				return errors.Join(err, c.Twofactor.CancelChallenge(cmd.Context(), sent.ChallengeID))
			}
			if _, err := c.Twofactor.VerifyChallenge(cmd.Context(), sent.ChallengeID, twofactor.ChallengeVerify{Code: code}); err != nil {
				return err
			}
			return o.done(cmd, "the code is right")
		})
	cmd.Flags().StringVar(&channel, "channel", "", "email, sms or webhook; default: the address that was used last")
	return cmd
}

// deliveries makes the command that lists the outcome of codes and notices.
func (o *operator) deliveries() *cobra.Command {
	return o.command("deliveries", "List sent codes and notices, newest first", "  fountain otp deliveries\n  fountain otp deliveries --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			var all []twofactor.Delivery
			var rows [][]string
			for d, err := range c.Twofactor.Deliveries(cmd.Context()) {
				if err != nil {
					return err
				}
				all = append(all, d)
				rows = append(rows, []string{d.ID, d.Subject, d.Channel, orDash(d.MaskedTarget), message(d), d.Status, orDash(d.Provider), orDash(d.Reason), whenOr(&d.CreatedAt, "")})
			}
			return o.print(cmd, all, []string{"ID", "USER", "CHANNEL", "TARGET", "MESSAGE", "STATUS", "PROVIDER", "REASON", "CREATED"}, rows)
		})
}

// message describes what a delivery contains.
func message(d twofactor.Delivery) string {
	if d.Notice == nil {
		return "code"
	}
	return *d.Notice
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

// newPreviewMessages makes the command that shows the messages without running services.
func newPreviewMessages() *cobra.Command {
	var dir, issuer string
	cmd := &cobra.Command{
		Use:   "preview-messages",
		Short: "Preview the messages in which codes are sent, and check their templates",
		Long: `preview-messages writes the mail (subject, text, HTML) and the SMS in which codes are sent, with a sample
code. --templates names a directory with files that replace built-in ones: email.subject.tmpl, email.txt.tmpl,
email.html.tmpl and sms.txt.tmpl, in the language of Go templates, with .Issuer, .Code, .Purpose, .Operation
and .Life.`,
		Example: "  fountain otp preview-messages\n  fountain otp preview-messages --templates ./templates --issuer Acme",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return server.PreviewMessages(cmd.OutOrStdout(), dir, issuer)
		},
	}
	cmd.Flags().StringVar(&dir, "templates", "", "directory with templates that replace built-in ones")
	cmd.Flags().StringVar(&issuer, "issuer", "FountainAI", "sender that the messages name")
	return cmd
}
