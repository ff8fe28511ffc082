package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/impl/kms"
)

// newRecoverEnrolment makes the command for an additional instance of a service, for which no token is written.
func newRecoverEnrolment(data *string) *cobra.Command {
	var into string
	cmd := &cobra.Command{
		Use:   "enrolment-token NAME...",
		Short: "Create an enrolment token for an additional instance of a service",
		Long: `enrolment-token prints a token with which an instance of a service gets its first key. The token can be used
once, within ten minutes.

With --into the command takes several services, and writes the token of each to DIR/NAME/enrolment.token,
where DIR/NAME is the data directory of the additional instance. An instance that already has a key there
(credential.json) gets none: the command can run before every start.`,
		Example: `  fountain recover enrolment-token NAME
  fountain recover enrolment-token NAME --data /var/lib/fountain
  fountain recover enrolment-token --into /srv/second gateway search`,
		Args: func(cmd *cobra.Command, args []string) error {
			if into == "" {
				return oneArg("a service")(cmd, args)
			}
			if len(args) == 0 {
				return usagef("%s takes the services after --into", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if into == "" {
				return runRecovery(cmd, *data, kms.Recovery{EnrolmentFor: args[0]})
			}
			for _, name := range args {
				word, err := knownWord(name)
				if err == nil {
					err = enrolInto(cmd, *data, word, filepath.Join(into, word))
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&into, "into", "", "write the tokens to the data directories of additional instances in this directory, named by their services")
	return cmd
}

// enrolInto writes a token into the data directory of an instance that has no key yet.
func enrolInto(cmd *cobra.Command, data, word, dir string) error {
	file := filepath.Join(dir, "enrolment.token")
	_, err := os.Stat(filepath.Join(dir, "credential.json"))
	if err == nil {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is used or not needed
			return fmt.Errorf("remove the token that %s does not need: %w", word, err)
		}
		fmt.Fprintf(os.Stderr, "%s has its key already\n", word)
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for the key of %s: %w", word, err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("there is no directory %s: it must be the data directory of the instance", dir)
	}
	done, err := recoverOnce(cmd, data, kms.Recovery{EnrolmentFor: word})
	if err != nil {
		return err
	}
	if err := replaceToken(file, done.EnrolmentToken); err != nil {
		return fmt.Errorf("write the token of %s: %w", word, err)
	}
	fmt.Fprintf(os.Stderr, "%s gets its key by %s, within ten minutes; it is event %d of the kms's audit log\n", word, file, done.AuditSeq)
	return nil
}

// replaceToken writes a token file atomically, readable only by its owner. It replaces an existing file.
func replaceToken(file, token string) error {
	part, err := os.CreateTemp(filepath.Dir(file), ".enrolment-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(part.Name()) // after Rename it no longer exists
	_, err = part.WriteString(token + "\n")
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), file)
}
