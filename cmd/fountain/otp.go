package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

func newOTP() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List your authenticators", "  fountain otp list\n  fountain otp list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			var factors []twofactor.Factor
			var rows [][]string
			for f, err := range c.Twofactor.Factors(cmd.Context()) {
				if err != nil {
					return err
				}
				label := ""
				if f.Label != nil {
					label = *f.Label
				}
				factors, rows = append(factors, f), append(rows, []string{f.ID, f.Type, label, orDash(f.MaskedTarget), string(f.Status), whenOr(f.LastUsedAt, "never")})
			}
			return o.print(cmd, factors, []string{"ID", "TYPE", "LABEL", "TARGET", "STATUS", "LAST USED"}, rows)
		})
	verify := o.command("verify", "Verify a code of your authenticator, which uses up the code", "  fountain otp verify\n  fountain otp verify --code-file -", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			code, err := o.typedCode("code of your authenticator: ")
			if err != nil {
				return err
			}
			if _, err := c.Twofactor.VerifyOtp(cmd.Context(), twofactor.OtpVerify{Code: code}); err != nil {
				return err
			}
			return o.done(cmd, "the code is right")
		})
	revoke := o.command("revoke ID", "Revoke one of your authenticators", "  fountain otp revoke fac_01...\n  fountain otp revoke fac_01... --code-file -", oneArg("a factor's id"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if err := c.Twofactor.RevokeFactor(cmd.Context(), args[0]); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" is revoked")
		})
	rename := o.command("rename ID LABEL", "Rename one of your authenticators", "  fountain otp rename fac_01... 'old phone'\n  fountain otp rename fac_01... tablet --output json", cobra.ExactArgs(2),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			f, err := c.Twofactor.UpdateFactor(cmd.Context(), args[0], twofactor.FactorUpdate{Label: args[1]})
			if err != nil {
				return err
			}
			return o.print(cmd, f, []string{"ID", "LABEL", "STATUS"}, [][]string{{f.ID, args[1], string(f.Status)}})
		})
	list.Aliases = []string{"factors"}
	return group("otp", "Manage your authenticators", o.enrol(), o.confirm(), verify, list, rename, o.resync(), revoke, o.recoveryCodes(), o.resetFactors(),
		o.challenge(), o.deliveries(), newPreviewMessages())
}

func (o *operator) confirm() *cobra.Command {
	return o.command("confirm [ID]", "Confirm a pending authenticator with its first code", "  fountain otp confirm\n  fountain otp confirm fac_01... --code-file -",
		func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one argument at most, a factor's id", cmd.CommandPath())
			}
			return nil
		},
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			id, err := waiting(cmd.Context(), c, args)
			if err != nil {
				return err
			}
			code, err := o.typedCode("first code of the authenticator: ")
			if err != nil {
				return err
			}
			address, err := isAddress(cmd.Context(), c, id)
			if err != nil {
				return err
			}
			if address {
				return o.confirmAddress(cmd, c, id, code)
			}
			f, err := o.confirmTOTP(cmd.Context(), c, id, code)
			if err != nil {
				return err
			}
			if f.Proof != nil {
				// An administrator's next call is at the kms, and the code cannot be used again.
				if err := c.UseProof(cmd.Context(), "kms", f.Proof.Proof); err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), "the code does not count as a second factor: "+sentence(err))
				}
				f.Proof = nil // used
			}
			if err := o.print(cmd, f, []string{"ID", "STATUS"}, [][]string{{f.ID, string(f.Status)}}); err != nil || o.output == "json" || f.RecoveryCodes == nil {
				return err
			}
			return printRecoveryCodes(cmd, *f.RecoveryCodes)
		})
}

// confirmTOTP confirms an authenticator with its first code. A user at a terminal is asked up to two more times: the
// code may have been mistyped, and right after a restore the codes of that minute are refused.
func (o *operator) confirmTOTP(ctx context.Context, c *fountain.Client, id, code string) (*twofactor.ConfirmedFactor, error) {
	for more := 2; ; more-- {
		f, err := c.Twofactor.ConfirmTotp(ctx, id, twofactor.TotpConfirm{Code: code})
		var refusal *fountain.Error
		if more == 0 || o.codeFile != "" || !errors.As(err, &refusal) || refusal.Code != fountain.CodeInvalidCode {
			return f, err
		}
		if code, err = o.typedCode("that code was not accepted; the next one: "); err != nil {
			return nil, err
		}
	}
}

// resync makes the command that asks for two consecutive codes.
func (o *operator) resync() *cobra.Command {
	return o.command("resync ID", "Resynchronise an authenticator's clock with two consecutive codes", "  fountain otp resync fac_01...\n  fountain otp resync fac_01... --output json", oneArg("a factor's id"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			first, err := terminal.Ask("a code of the authenticator: ")
			if err != nil {
				return err
			}
			second, err := terminal.Ask("the next one: ")
			if err != nil {
				return err
			}
			if _, err := c.Twofactor.ResyncTotp(cmd.Context(), args[0], twofactor.TotpResync{First: first, Second: second}); err != nil {
				return err
			}
			return o.done(cmd, "the authenticator's clock is known; both codes are used up")
		})
}

// waiting returns the named factor, or else the one that waits for its first code.
func waiting(ctx context.Context, c *fountain.Client, named []string) (string, error) {
	if len(named) > 0 {
		return named[0], nil
	}
	var ids []string
	for f, err := range c.Twofactor.Factors(ctx) {
		if err != nil {
			return "", err
		}
		if f.Status == twofactor.FactorStatusPending && f.Type != passkeyType {
			ids = append(ids, f.ID)
		}
	}
	switch len(ids) {
	case 0:
		return "", errors.New("no authenticator is waiting for its first code: run fountain otp enrol")
	case 1:
		return ids[0], nil
	}
	return "", usagef("several authenticators wait for their first code: name one of %s", strings.Join(ids, ", "))
}

// passkeyType is the type of factor that must be confirmed in the browser that created it.
const passkeyType = "passkey"

// typedCode reads the code that is the input of the command itself.
func (o *operator) typedCode(prompt string) (string, error) {
	if o.codeFile == "" {
		return terminal.Ask(prompt)
	}
	return readShort(o.codeFile)
}

func (o *operator) enrol() *cobra.Command {
	var label, invitationFile string
	var address addresses
	cmd := o.command("enrol", "Enrol an authenticator app by its QR code, or an address to which codes are sent",
		"  fountain otp enrol --label phone\n  fountain otp enrol --email ada@example.org\n  fountain otp enrol --invitation-file invitation", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			body := twofactor.TotpEnrol{}
			if label != "" {
				body.Label = &label
			}
			if invitationFile != "" {
				invitation, err := readShort(invitationFile)
				if err != nil {
					return err
				}
				body.Invitation = &invitation
			}
			if delivery, is, err := address.chosen(); err != nil {
				return err
			} else if is {
				delivery.Label, delivery.Invitation = body.Label, body.Invitation
				return o.enrolAddress(cmd, c, delivery)
			}
			made, err := c.Twofactor.EnrolTotp(cmd.Context(), body)
			if err != nil {
				return err
			}
			if o.output == "json" {
				return o.print(cmd, made, nil, nil)
			}
			if err := drawQR(cmd.OutOrStdout(), made.OtpauthURI, coloured(cmd.OutOrStdout())); err != nil {
				return err
			}
			profile := ""
			if flag := cmd.Flag("profile"); flag != nil && flag.Changed {
				profile = " --profile " + flag.Value.String()
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nScan it, or type the seed: %s\nThen within ten minutes: fountain otp confirm%s\n", made.Secret, profile)
			return err
		})
	cmd.Aliases = []string{"enroll"}
	address.flags(cmd)
	cmd.Flags().StringVar(&label, "label", "", "label of the authenticator")
	cmd.Flags().StringVar(&invitationFile, "invitation-file", "", "read the invitation, for an administrator's first authenticator, from this file, or from standard input with -")
	return cmd
}

// quiet is the width of the white border in modules (ISO/IEC 18004 requires 4; 2 is enough on screens).
const quiet = 2

// coloured reports whether colours may be used: on a terminal, unless NO_COLOR is set.
func coloured(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && terminal.Is(f) && os.Getenv("NO_COLOR") == ""
}

// whiteOnBlack sets colours (ECMA-48 SGR) in which blocks are light and gaps are dark, independent of the terminal's
// own.
const whiteOnBlack, ownColours = "\x1b[40;97m", "\x1b[0m"

// drawQR draws a QR code with half blocks, two modules per character. Without colours it is dark on light on a dark
// terminal, and inverted on a light one, which fewer readers accept.
func drawQR(out io.Writer, text string, colours bool) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return fmt.Errorf("draw QR code: %w", err)
	}
	blocks := map[[2]bool]string{{false, false}: "█", {false, true}: "▀", {true, false}: "▄", {true, true}: " "}
	for y := -quiet; y < code.Size+quiet; y += 2 {
		line := ""
		for x := -quiet; x < code.Size+quiet; x++ {
			line += blocks[[2]bool{code.Black(x, y), code.Black(x, y+1)}]
		}
		if colours {
			line = whiteOnBlack + line + ownColours
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}
