package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/internal/seal"
)

func newKeygen() *cobra.Command {
	keep := false
	cmd := &cobra.Command{
		Use:     "keygen FILE",
		Example: "  fountain keygen root.key\n  fountain keygen --keep /run/keys/fountain-root.key",
		Short:   "Create a root key for a kms that does not create its own",
		Long: `keygen writes a new random root key to FILE, mode 0600, and never replaces a file.

The root key seals everything the kms stores. Keep it on a volume of its own, never
in a backup of the data: whoever has both has the secrets, and without it the data
is lost. A kms on SQLite creates its own at the first start; one on PostgreSQL
is given this file by FOUNTAIN_KMS_ROOT_KEY_FILE.`,
		Args: oneArg("the file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := seal.CreateRoot(args[0])
			if errors.Is(err, fs.ErrExist) && !keep {
				return fmt.Errorf("%s exists already; a root key is never replaced", args[0])
			}
			if err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			written := err == nil
			root, err := seal.LoadRoot(args[0])
			if err != nil {
				return err
			}
			if !written {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is in %s already\n", root.ID(), args[0])
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s written to %s\n", root.ID(), args[0])
			return err
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "succeed where FILE is a root key already, which stays as it is: for scripts that run at every start")
	return cmd
}
