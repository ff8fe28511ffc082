package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
)

// newRecover makes the commands for when nobody is able to do something through the API any more.
func newRecover() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Recover users and services without the API (on the machine of the kms)",
		Long: `recover works directly on the database of the kms, with its root key: access to both already is access to
everything. On SQLite the kms (fountain up) must be stopped first; on PostgreSQL it can keep running, and
FOUNTAIN_KMS_... settings specify database and root key, as for fountain serve kms.

Every recovery of a user ends the user's sessions, API keys and tokens, and is recorded in the audit trail.`,
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
	cmd.PersistentFlags().StringVar(&data, "data", env("FOUNTAIN_DATA", "./data"), "data directory of fountain up (FOUNTAIN_DATA); FOUNTAIN_KMS_DATA_DIR is that of a separate kms")
	var passwordFile string
	add := func(use, what, short string, fill func(name string) (kms.Recovery, error)) *cobra.Command {
		sub := &cobra.Command{Use: use + " NAME", Short: short, Example: "  fountain recover " + use + " NAME\n  fountain recover " + use + " NAME --data /var/lib/fountain", Args: oneArg(what), RunE: func(cmd *cobra.Command, args []string) error {
			r, err := fill(args[0])
			if err != nil {
				return err
			}
			return runRecovery(cmd, data, r)
		}}
		cmd.AddCommand(sub)
		return sub
	}
	add("administrator", "a username", "Give a user the role admin, and enable the user to sign in", func(name string) (kms.Recovery, error) {
		return kms.Recovery{Administrator: name}, nil
	})
	password := add("password", "a username", "Set a new password for a user", func(name string) (kms.Recovery, error) {
		text, err := terminal.NewPassword("new password of "+name+": ", passwordFile)
		return kms.Recovery{Password: name, NewPassword: text}, err
	})
	password.Flags().StringVar(&passwordFile, "password-file", "", "read the new password from this file; default: prompt for it")
	add("factors", "a username", "Revoke all second factors of a user", func(name string) (kms.Recovery, error) {
		return kms.Recovery{Factors: name}, nil
	})
	add("unlock", "a username", "Reset a user's failed sign-ins", func(name string) (kms.Recovery, error) {
		return kms.Recovery{Unlock: name}, nil
	})
	add("service", "a service", "Enable a service", func(name string) (kms.Recovery, error) {
		return kms.Recovery{EnableService: name}, nil
	})
	cmd.AddCommand(newRecoverEnrolment(&data), newRecoverDataKey(&data))
	return cmd
}

// newRecoverDataKey makes the command for services whose kms has lost its database. It works on the database of the
// service, not on that of the kms.
func newRecoverDataKey(data *string) *cobra.Command {
	return &cobra.Command{
		Use:   "data-key SERVICE",
		Short: "Delete a service's data key that no kms can unwrap any more, with the data that it encrypts",
		Long: `data-key is for a service that fails with "this kms has not wrapped the service's data key" because the
database of the kms was permanently lost. It deletes the key, and everything that is encrypted with it, in the
service's own database. twofactor loses all authenticators; search and sequence lose the stored responses for
repeated requests, and none of their data. At the next start the service gets a new key.

On SQLite the service must be stopped. On PostgreSQL stop its replicas first; FOUNTAIN_SERVICE_... settings
specify the database, as for fountain serve.`,
		Example: `  fountain recover data-key twofactor
  fountain recover data-key sequence --data /var/lib/fountain`,
		Args: oneArg("a service"),
		RunE: func(cmd *cobra.Command, args []string) error { return abandonDataKey(cmd, *data, args[0]) },
	}
}

func abandonDataKey(cmd *cobra.Command, data, word string) error {
	word, err := knownWord(word)
	if err != nil {
		return err
	}
	p := programs[word]()
	if p.abandon == nil {
		return usagef("%s has no data key; twofactor, search and sequence have one", word)
	}
	if err := config.Load("FOUNTAIN_"+strings.ToUpper(word)+"_", p.settings); err != nil {
		return &usageError{err}
	}
	c := p.service
	if c.DataDir == "" || cmd.Flags().Changed("data") {
		c.DataDir = filepath.Join(data, word)
	}
	c.Log = slog.New(slog.DiscardHandler)
	if _, err := os.Stat(filepath.Join(c.DataDir, word+".db")); c.DatabaseURLFile == "" && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s in %s", word, c.DataDir)
	}
	err = p.abandon(cmd.Context())
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%s is running on %s: stop it first", word, c.DataDir)
	}
	if err != nil {
		return fmt.Errorf("abandon the data key of %s: %w", word, err)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "done; the next start of %s has a new data key created\n", word)
	return err
}

// recoverOnce does one recovery on the kms named by the environment or by the data directory of fountain up.
func recoverOnce(cmd *cobra.Command, data string, r kms.Recovery) (kms.Recovered, error) {
	var settings struct { // all settings of `serve kms`, because recover runs in its environment
		kms.Config
		Admin
	}
	if err := config.Load("FOUNTAIN_KMS_", &settings); err != nil {
		return kms.Recovered{}, &usageError{err}
	}
	c := settings.Config
	if c.DataDir == "" || cmd.Flags().Changed("data") {
		c.DataDir = filepath.Join(data, "kms")
	}
	c.Log = slog.New(slog.DiscardHandler)
	done, err := kms.Recover(cmd.Context(), c, r)
	if errors.Is(err, kms.ErrRunning) {
		return kms.Recovered{}, fmt.Errorf("%s: %w", c.DataDir, err)
	}
	return done, err
}

// runRecovery does a recovery and prints what the operator must pass on: secrets on stdout, sentences on stderr.
func runRecovery(cmd *cobra.Command, data string, r kms.Recovery) error {
	done, err := recoverOnce(cmd, data, r)
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
