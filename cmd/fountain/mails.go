package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var mailHead = []string{"CREATED", "KIND", "USER", "TO", "STATUS", "REASON", "TRIES"}

func mailRow(m kms.Mail) []string {
	reason := ""
	if m.Reason != nil {
		reason = *m.Reason
	}
	return []string{when(m.CreatedAt), string(m.Kind), m.UserID, m.To, string(m.Status), reason, strconv.Itoa(int(m.Tries))}
}

// tokenCommand makes a token for a user, and prints it or has a link with it sent by mail.
type tokenCommand struct {
	use, short, made string
	make             func(ctx context.Context, c *fountain.Client, id string) (answer any, token string, err error)
	mail             func(ctx context.Context, c *fountain.Client, id string, order kms.MailOrder) (*kms.Mail, error)
}

// handOver makes the cobra command.
func (o *operator) handOver(t tokenCommand) *cobra.Command {
	var mail bool
	var to string
	verb, _, _ := strings.Cut(t.use, " ")
	cmd := o.command(t.use, t.short, "  fountain users "+verb+" ada\n  fountain users "+verb+" ada --mail", oneArg("a user"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			id, err := userID(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if mail || to != "" {
				sent, err := t.mail(cmd.Context(), c, id, kms.MailOrder{To: optional(to)})
				if err != nil {
					return err
				}
				return o.print(cmd, sent, mailHead, [][]string{mailRow(*sent)})
			}
			answer, token, err := t.make(cmd.Context(), c, id)
			if err != nil {
				return err
			}
			return o.secret(cmd, answer, t.made, token)
		})
	cmd.Flags().BoolVar(&mail, "mail", false, "send the user a link by mail instead of printing the token")
	cmd.Flags().StringVar(&to, "to", "", "send the link to this address, which implies --mail; default: the user's own address")
	return cmd
}

// mails makes the command that lists mails.
func (o *operator) mails() *cobra.Command {
	return o.command("mails", "List mails to users, newest first, with their status", "  fountain users mails\n  fountain users mails --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			var mails []kms.Mail
			var rows [][]string
			for m, err := range c.KMS.Mails(cmd.Context()) {
				if err != nil {
					return err
				}
				mails, rows = append(mails, m), append(rows, mailRow(m))
			}
			return o.print(cmd, mails, mailHead, rows)
		})
}
