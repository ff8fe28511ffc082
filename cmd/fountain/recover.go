package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/config"
)

// newRecover is the way back when nobody can do something through the API any more.
func newRecover() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "On the machine of the kms: the way back in, past the API",
		Long: `recover works on the kms's own database, with its root key: who has both has everything already. On
SQLite the kms (fountain up) must be stopped first; on PostgreSQL it may run, and FOUNTAIN_KMS_...
names database and root key as for fountain serve kms.

Every recovery of a person ends their sessions, API keys and tokens, and is in the audit log.`,
		Example: `  fountain recover password ada
  fountain recover factors ada --data /var/lib/fountain`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; fountain recover --help lists them", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.PersistentFlags().StringVar(&data, "data", env("FOUNTAIN_DATA", "./data"), "data directory of fountain up (FOUNTAIN_DATA); FOUNTAIN_KMS_DATA_DIR names that of a kms alone")
	var passwordFile string
	add := func(use, what, short string, fill func(name string) (kms.Recovery, error)) *cobra.Command {
		sub := &cobra.Command{Use: use + " NAME", Short: short, Args: oneArg(what), RunE: func(cmd *cobra.Command, args []string) error {
			r, err := fill(args[0])
			if err != nil {
				return err
			}
			return runRecovery(cmd, data, r)
		}}
		cmd.AddCommand(sub)
		return sub
	}
	add("administrator", "a username", "Make a user an active administrator", func(name string) (kms.Recovery, error) {
		return kms.Recovery{Administrator: name}, nil
	})
	password := add("password", "a username", "Give a user a new password", func(name string) (kms.Recovery, error) {
		text, err := terminal.Password("new password of "+name+": ", passwordFile)
		return kms.Recovery{Password: name, NewPassword: text}, err
	})
	password.Flags().StringVar(&passwordFile, "password-file", "", "file with the new password; default: ask for it")
	add("factors", "a username", "Void a user's second factors", func(name string) (kms.Recovery, error) {
		return kms.Recovery{Factors: name}, nil
	})
	add("unlock", "a username", "Forgive a user's failed sign-ins", func(name string) (kms.Recovery, error) {
		return kms.Recovery{Unlock: name}, nil
	})
	add("service", "a service", "Enable a service", func(name string) (kms.Recovery, error) {
		return kms.Recovery{EnableService: name}, nil
	})
	add("enrolment-token", "a service", "Make an enrolment token, for a further instance of a service", func(name string) (kms.Recovery, error) {
		return kms.Recovery{EnrolmentFor: name}, nil
	})
	return cmd
}

// runRecovery does it and prints what the operator must hand on: secrets on stdout, sentences on stderr.
func runRecovery(cmd *cobra.Command, data string, r kms.Recovery) error {
	var c kms.Config
	if err := config.Load("FOUNTAIN_KMS_", &c); err != nil {
		return &usageError{err}
	}
	if c.DataDir == "" || cmd.Flags().Changed("data") {
		c.DataDir = filepath.Join(data, "kms")
	}
	c.Log = slog.New(slog.DiscardHandler)
	done, err := kms.Recover(cmd.Context(), c, r)
	if errors.Is(err, kms.ErrRunning) {
		return fmt.Errorf("%s: %w", c.DataDir, err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "done; it is event %d of the kms's audit log\n", done.AuditSeq)
	switch {
	case done.EnrolmentToken != "":
		fmt.Fprintln(os.Stderr, "the enrolment token works once, for ten minutes:")
		_, err = fmt.Fprintln(cmd.OutOrStdout(), done.EnrolmentToken)
	case done.Invitation != "":
		fmt.Fprintln(os.Stderr, "their sessions, keys and tokens have ended. An authenticator is enrolled with this invitation, once, within 72 hours:")
		_, err = fmt.Fprintln(cmd.OutOrStdout(), done.Invitation)
	case r.Administrator+r.Password+r.Factors != "":
		fmt.Fprintln(os.Stderr, "their sessions, keys and tokens have ended")
	}
	return err
}
