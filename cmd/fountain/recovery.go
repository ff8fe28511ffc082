package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/twofactor"
)

// recoveryCodes makes the command that counts the recovery codes or makes new ones.
func (o *operator) recoveryCodes() *cobra.Command {
	var fresh bool
	cmd := o.command("recovery-codes", "Show the number of your unused recovery codes, or create new ones", "  fountain otp recovery-codes\n  fountain otp recovery-codes --new", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			if fresh {
				made, err := c.Twofactor.CreateRecoveryCodes(cmd.Context())
				if err != nil || o.output == "json" {
					return o.printUnless(cmd, made, err)
				}
				return printRecoveryCodes(cmd, made.Codes)
			}
			left, err := c.Twofactor.GetRecoveryCodes(cmd.Context())
			if err != nil {
				return err
			}
			if left.Few {
				fmt.Fprintln(cmd.ErrOrStderr(), "few codes are left: fountain otp recovery-codes --new creates ten new ones")
			}
			return o.print(cmd, left, []string{"LEFT", "MADE"}, [][]string{{strconv.Itoa(int(left.Remaining)), whenOr(left.CreatedAt, "never")}})
		})
	cmd.Flags().BoolVar(&fresh, "new", false, "create ten new codes; all earlier codes stop working")
	return cmd
}

// printUnless prints a response as JSON, unless there is an error.
func (o *operator) printUnless(cmd *cobra.Command, answer any, err error) error {
	if err != nil {
		return err
	}
	return o.print(cmd, answer, nil, nil)
}

// printRecoveryCodes prints only the codes on standard output, and their purpose on standard error.
func printRecoveryCodes(cmd *cobra.Command, codes []string) error {
	fmt.Fprintln(cmd.ErrOrStderr(), "Recovery codes, shown once. Each takes the place of one code of an authenticator: print them, or keep them in a password manager.")
	for _, code := range codes {
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), code); err != nil {
			return fmt.Errorf("print recovery codes: %w", err)
		}
	}
	return nil
}

// resetFactors makes the command that ends all factors of a user.
func (o *operator) resetFactors() *cobra.Command {
	var reason string
	cmd := o.command("reset USER", "Reset all second factors and recovery codes of a user (for administrators)",
		"  fountain otp reset grace --reason 'phone lost, identity checked in person'\n  fountain otp reset usr_01... --reason 'left her phone in a taxi' --code-file -", oneArg("a user's name or id"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if reason == "" {
				return usagef("%s needs --reason: it is kept in the audit trail", cmd.CommandPath())
			}
			id, err := userID(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			ended, err := c.Twofactor.ResetFactors(cmd.Context(), id, twofactor.FactorReset{Reason: reason})
			if err != nil {
				return err
			}
			return o.print(cmd, ended, []string{"AUTHENTICATORS ENDED", "RECOVERY CODES ENDED"}, [][]string{{strconv.Itoa(int(ended.Factors)), strconv.Itoa(int(ended.RecoveryCodes))}})
		})
	cmd.Flags().StringVar(&reason, "reason", "", "required: reason, and how the person was identified; stored in the audit trail")
	return cmd
}
