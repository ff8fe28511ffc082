package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

func newConsents() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List the web apps that you have consented to", "  fountain consents list\n  fountain consents list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			id, err := me(cmd.Context(), c)
			if err != nil {
				return err
			}
			var consents []kms.Consent
			var rows [][]string
			for one, err := range c.KMS.Consents(cmd.Context(), id) {
				if err != nil {
					return err
				}
				consents, rows = append(consents, one), append(rows, []string{one.Client.Name, one.Client.ID, strings.Join(one.Scopes, " "), when(one.UpdatedAt)})
			}
			return o.print(cmd, consents, []string{"NAME", "ID", "ALLOWED", "SINCE"}, rows)
		})
	withdraw := o.command("withdraw NAME", "Withdraw your consent for a web app, and revoke its sessions and tokens for you",
		"  fountain consents withdraw Reports\n  fountain consents withdraw cli_01...", oneArg("a web app"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			id, err := me(cmd.Context(), c)
			if err != nil {
				return err
			}
			client, err := allowed(cmd.Context(), c, id, args[0])
			if err != nil {
				return err
			}
			if _, err := c.KMS.WithdrawConsent(cmd.Context(), id, client); err != nil {
				return err
			}
			return o.done(cmd, "consent for "+args[0]+" withdrawn; what it had of you has ended")
		})
	return group("consents", "List and withdraw your consents for web apps", list, withdraw)
}

// allowed returns the id of the web app, given by name or id, to which the user has given a consent. Names are not
// unique; if several apps have the name, the error asks for the id.
func allowed(ctx context.Context, c *fountain.Client, userID, name string) (string, error) {
	found := ""
	for one, err := range c.KMS.Consents(ctx, userID) {
		switch {
		case err != nil:
			return "", err
		case one.Client.ID == name:
			return name, nil
		case one.Client.Name != name:
		case found != "":
			return "", fmt.Errorf("you have allowed several web apps %q; name one by its id", name)
		default:
			found = one.Client.ID
		}
	}
	if found == "" {
		return "", fmt.Errorf("you have allowed no web app %q; fountain consents list shows those that you have allowed", name)
	}
	return found, nil
}
