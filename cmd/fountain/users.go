package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

var userHead = []string{"NAME", "ID", "ROLES", "STATUS", "CREATED"}

func userRow(u kms.User) []string {
	return []string{u.Username, u.ID, strings.Join(u.Roles, ","), string(u.Status), when(u.CreatedAt)}
}

func newUsers() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List users", "  fountain users list\n  fountain users list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			var users []kms.User
			var rows [][]string
			for u, err := range c.KMS.Users(cmd.Context()) {
				if err != nil {
					return err
				}
				users, rows = append(users, u), append(rows, userRow(u))
			}
			return o.print(cmd, users, userHead, rows)
		})
	get := o.command("get NAME", "Show a user", "  fountain users get ada\n  fountain users get me", oneArg("a user"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			id, err := userID(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			u, err := c.KMS.GetUser(cmd.Context(), id)
			if err != nil {
				return err
			}
			return o.print(cmd, u, userHead, [][]string{userRow(*u)})
		})
	var roles []string
	var passwordFile, tenant, email string
	create := o.command("create NAME", "Create a user", "  fountain users create grace --role editor\n  fountain users create root2 --role admin --password-file pw", oneArg("a username"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if err := usernameForm(args[0]); err != nil {
				return err
			}
			password, err := newPasswordFrom(passwordFile, "password of "+args[0]+", of 12 characters at least: ")
			if err != nil {
				return err
			}
			u, err := c.KMS.CreateUser(cmd.Context(), kms.UserCreate{Username: args[0], Password: password, Roles: roles, Tenant: optional(tenant), Email: optional(email)})
			if err != nil {
				return err
			}
			if u.Invitation != nil {
				return o.secret(cmd, u, "created administrator "+u.Username+"; they sign in (fountain login) and enrol an authenticator with this invitation, once, within 72 hours (fountain otp enrol --invitation-file FILE):", u.Invitation.Token)
			}
			return o.print(cmd, u, userHead, [][]string{userRow(kms.User{
				Username: u.Username, ID: u.ID, Roles: u.Roles, Status: kms.UserStatus(u.Status), CreatedAt: u.CreatedAt,
			})})
		})
	create.Flags().StringSliceVar(&roles, "role", []string{"reader"}, "role: admin, editor, reader or another one of fountain permissions roles; may be repeated")
	create.Flags().StringVar(&email, "email", "", "address for mails about the account; default: none")
	create.Flags().StringVar(&tenant, "tenant", "", "tenant of the user, which can never change; default: none")
	create.Flags().StringVar(&passwordFile, "password-file", "", "read the password from this file, or from standard input with -; default: prompt for it")
	return group("users", "Manage users", list, get, create,
		o.change("set-roles NAME ROLE...", "Update a user's roles; the given roles replace all current ones", "  fountain users set-roles grace editor\n  fountain users set-roles grace admin editor", cobra.MinimumNArgs(2),
			func(args []string) kms.UserUpdate { r := args[1:]; return kms.UserUpdate{Roles: &r} }),
		o.change("disable NAME", "Disable a user, and end all their sessions, keys and tokens", "  fountain users disable grace\n  fountain users disable grace --code-file -", oneArg("a user"),
			func([]string) kms.UserUpdate {
				s := kms.UserUpdateStatus("disabled")
				return kms.UserUpdate{Status: &s}
			}),
		o.change("enable NAME", "Enable a user", "  fountain users enable grace\n  fountain users enable grace --output json", oneArg("a user"),
			func([]string) kms.UserUpdate { s := kms.UserUpdateStatus("active"); return kms.UserUpdate{Status: &s} }),
		o.deleteUser(),
		o.forUser("unlock NAME", "Reset a user's failed sign-ins", "can sign in", func(cmd *cobra.Command, c *fountain.Client, id string) error {
			return c.KMS.UnlockUser(cmd.Context(), id)
		}),
		o.change("set-email NAME [ADDRESS]", "Set a user's address for mails about the account; without an address, remove it", "  fountain users set-email grace grace@example.org\n  fountain users set-email grace", cobra.RangeArgs(1, 2),
			func(args []string) kms.UserUpdate {
				address := ""
				if len(args) == 2 {
					address = args[1]
				}
				return kms.UserUpdate{Email: &address}
			}),
		o.handOver(tokenCommand{
			use: "invite NAME", short: "Create an invitation for an administrator to enrol a first second factor", made: "the invitation works once, within 72 hours (fountain otp enrol --invitation-file):",
			make: func(ctx context.Context, c *fountain.Client, id string) (any, string, error) {
				made, err := c.KMS.CreateInvitation(ctx, id)
				if err != nil {
					return nil, "", err
				}
				return made, made.Token, nil
			},
			mail: func(ctx context.Context, c *fountain.Client, id string, order kms.MailOrder) (*kms.Mail, error) {
				return c.KMS.MailInvitation(ctx, id, order)
			},
		}),
		o.handOver(tokenCommand{
			use: "reset-password NAME", short: "Create a password reset token for a user, or send a link by mail",
			made: "the user chooses a new password with this token, once, within an hour (fountain passwd --reset-token-file, or in a browser at /kms/v1/auth/password-reset, behind # or typed):",
			make: func(ctx context.Context, c *fountain.Client, id string) (any, string, error) {
				made, err := c.KMS.CreatePasswordReset(ctx, id)
				if err != nil {
					return nil, "", err
				}
				return made, made.Token, nil
			},
			mail: func(ctx context.Context, c *fountain.Client, id string, order kms.MailOrder) (*kms.Mail, error) {
				return c.KMS.MailPasswordReset(ctx, id, order)
			},
		}),
		o.mails())
}

// change makes a command that changes the current version of a user.
func (o *operator) change(use, short, example string, args cobra.PositionalArgs, body func(args []string) kms.UserUpdate) *cobra.Command {
	return o.command(use, short, example, args, func(cmd *cobra.Command, c *fountain.Client, args []string) error {
		u, err := userNamed(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		u, err = c.KMS.UpdateUser(cmd.Context(), u.ID, fountain.IfMatch(u.Version), body(args))
		if err != nil {
			return err
		}
		return o.print(cmd, u, userHead, [][]string{userRow(*u)})
	})
}

// usernameForm checks a username before a password is asked for.
func usernameForm(name string) error {
	if !usernames.MatchString(name) {
		return usagef("a username is 2 to 64 of a-z, 0-9 and . _ @ -, in lower case, and begins with a letter or digit")
	}
	return nil
}

var usernames = regexp.MustCompile(`^[a-z0-9][a-z0-9._@-]{1,63}$`)

func (o *operator) deleteUser() *cobra.Command {
	cmd := o.forUser("delete NAME", "Delete a user permanently, and end all their sessions, keys and tokens", "deleted, and their sessions, keys and tokens have ended", func(cmd *cobra.Command, c *fountain.Client, id string) error {
		return c.KMS.DeleteUser(cmd.Context(), id)
	})
	cmd.Example = "  fountain users delete grace\n  fountain users delete grace --yes --code-file -"
	return confirmed(cmd, func(name string) string {
		return "delete " + name + " for ever? Every session, key and token of theirs ends"
	})
}

// confirmed makes a command that deletes its first argument ask at the terminal before it does anything. --yes goes on
// without a question. Without it and without a terminal the command does nothing.
func confirmed(cmd *cobra.Command, question func(name string) string) *cobra.Command {
	var yes bool
	cmd.Flags().BoolVar(&yes, "yes", false, "delete without confirmation, for scripts")
	do := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if yes {
			return do(cmd, args)
		}
		err := terminal.Confirm(question(args[0]))
		if errors.Is(err, terminal.ErrNoTerminal) {
			return usagef("%s needs confirmation, and there is no terminal to prompt on: pass --yes to continue", cmd.CommandPath())
		}
		if err != nil {
			return err
		}
		return do(cmd, args)
	}
	return cmd
}

// forUser makes a command for a user whose operation returns nothing.
func (o *operator) forUser(use, short, done string, do func(cmd *cobra.Command, c *fountain.Client, id string) error) *cobra.Command {
	name, _, _ := strings.Cut(use, " ")
	example := fmt.Sprintf("  fountain users %s grace\n  fountain users %s grace --code-file -", name, name)
	return o.command(use, short, example, oneArg("a user"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
		id, err := userID(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		if err := do(cmd, c, id); err != nil {
			return err
		}
		return o.done(cmd, args[0]+" "+done)
	})
}

func newSessions() *cobra.Command {
	o := &operator{}
	var user string
	list := o.command("list", "List your own sessions, or those of a user", "  fountain sessions list\n  fountain sessions list --user grace", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			id, err := userID(cmd.Context(), c, user)
			if err != nil {
				return err
			}
			var sessions []kms.Session
			var rows [][]string
			for s, err := range c.KMS.Sessions(cmd.Context(), id) {
				if err != nil {
					return err
				}
				mark := ""
				if s.Current {
					mark = "this one"
				}
				sessions, rows = append(sessions, s), append(rows, []string{s.ID, when(s.CreatedAt), when(s.ExpiresAt), mark})
			}
			return o.print(cmd, sessions, []string{"ID", "BEGAN", "ENDS", ""}, rows)
		})
	list.Flags().StringVar(&user, "user", "", "user whose sessions to list; default: yourself")
	var of string
	revoke := o.command("revoke [ID]", "Revoke one session, or all sessions with --all", "  fountain sessions revoke ses_01...\n  fountain sessions revoke --all --user grace",
		cobra.MaximumNArgs(1), nil)
	var all bool
	revoke.Flags().StringVar(&of, "user", "", "user whose sessions to revoke; default: yourself")
	revoke.Flags().BoolVar(&all, "all", false, "revoke all sessions of the user")
	revoke.RunE = func(cmd *cobra.Command, args []string) error {
		if all == (len(args) == 1) {
			return usagef("fountain sessions revoke takes a session's id or --all")
		}
		c, err := o.client(o.code)
		if err != nil {
			return err
		}
		id, err := userID(cmd.Context(), c, of)
		if err != nil {
			return err
		}
		if !all {
			if err := c.KMS.RevokeSession(cmd.Context(), id, args[0]); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" has ended")
		}
		ended, err := c.KMS.RevokeSessions(cmd.Context(), id)
		if err != nil {
			return err
		}
		return o.print(cmd, ended, []string{"ENDED"}, [][]string{{fmt.Sprint(ended.Revoked)}})
	}
	return group("sessions", "List and revoke sessions", list, revoke)
}

func newPasswd() *cobra.Command {
	o := &operator{}
	var currentFile, newFile, resetFile, forgotten string
	cmd := &cobra.Command{
		Use: "passwd", Short: "Change your password, or choose a new one with a reset token",
		Example: "  fountain passwd\n  fountain passwd --forgotten grace\n  fountain passwd --reset-token-file token --new-password-file pw", Args: noArgs,
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.output, "output", "table", "output format: table or json")
	cmd.Flags().StringVar(&currentFile, "current-password-file", "", "read the current password from this file; default: prompt for it")
	cmd.Flags().StringVar(&newFile, "new-password-file", "", "read the new password from this file; default: prompt for it")
	cmd.Flags().StringVar(&resetFile, "reset-token-file", "", "choose a new password with the reset token in this file, or on standard input with -")
	cmd.Flags().StringVar(&forgotten, "forgotten", "", "send a link for choosing a new password to the user with this name or mail address")
	cmd.MarkFlagsMutuallyExclusive("forgotten", "reset-token-file")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.output != "table" && o.output != "json" {
			return usagef("--output must be table or json")
		}
		if forgotten != "" {
			return o.forgottenPassword(cmd, forgotten)
		}
		if resetFile != "" {
			return o.resetPassword(cmd, resetFile, newFile)
		}
		next, err := filedPassword(newFile)
		if err != nil {
			return err
		}
		c, err := o.client(o.code)
		if err != nil {
			return err
		}
		id, err := me(cmd.Context(), c)
		if err != nil {
			return err
		}
		current, err := secretFrom(currentFile, "current password: ")
		if err != nil {
			return err
		}
		if newFile == "" {
			if next, err = newPasswordFrom("", "new password, of 12 characters at least: "); err != nil {
				return err
			}
		}
		if err := c.KMS.ChangePassword(cmd.Context(), id, kms.PasswordChange{CurrentPassword: current, NewPassword: next}); err != nil {
			return err
		}
		return o.done(cmd, "the password was changed; your other sessions have ended")
	}
	return calling(cmd)
}

// forgottenPassword needs no session and does not reveal whether the user exists.
func (o *operator) forgottenPassword(cmd *cobra.Command, login string) error {
	c, err := o.anonymous(o.address(nil))
	if err != nil {
		return err
	}
	if err := c.KMS.RequestPasswordReset(cmd.Context(), kms.PasswordResetRequest{Login: login}); err != nil {
		return err
	}
	return o.done(cmd, "if this user exists and has a mail address, a link is sent; it works once, for 30 minutes, and at most three an hour are sent")
}

// resetPassword needs no session, because a user who has forgotten the password has none.
func (o *operator) resetPassword(cmd *cobra.Command, tokenFile, newFile string) error {
	c, err := o.anonymous(o.address(nil))
	if err != nil {
		return err
	}
	next, err := filedPassword(newFile)
	if err != nil {
		return err
	}
	token, err := readShort(tokenFile)
	if err != nil {
		return err
	}
	if newFile == "" {
		if next, err = newPasswordFrom("", "new password, of 12 characters at least: "); err != nil {
			return err
		}
	}
	if err := c.KMS.ResetPassword(cmd.Context(), kms.PasswordResetUse{Token: token, NewPassword: next}); err != nil {
		return err
	}
	return o.done(cmd, "the password was changed; sign in with fountain login")
}
