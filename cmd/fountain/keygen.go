package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/internal/seal"
)

func newKeygen() *cobra.Command {
	var keep, replace bool
	cmd := &cobra.Command{
		Use:     "keygen FILE",
		Example: "  fountain keygen root.key\n  fountain keygen --keep /run/keys/fountain-root.key\n  fountain keygen --replace /run/keys/fountain-root.key",
		Short:   "Create a root key for a kms that does not create its own, or the next one for a rotation",
		Long: `keygen writes a new random root key to FILE (mode 0600), and never replaces a file.

The root key encrypts everything that the kms stores. Keep it on a separate volume, and never in a backup of
the data: whoever has both has the secrets, and without the key the data is lost. A kms on SQLite creates its
own key at the first start; one on PostgreSQL gets this file by FOUNTAIN_KMS_ROOT_KEY_FILE.

--replace is the first step of a rotation: it moves the key in FILE to FILE.previous and writes a new one to
FILE. The kms can keep running. The second step is: fountain root-key rotate.`,
		Args: oneArg("the file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			written, err := writeRootKey(args[0], keep, replace)
			if err != nil {
				return err
			}
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
	cmd.Flags().BoolVar(&keep, "keep", false, "succeed and change nothing if FILE is a root key already; for scripts that run at every start")
	cmd.Flags().BoolVar(&replace, "replace", false, "keep the existing key as FILE.previous, for a rotation")
	cmd.MarkFlagsMutuallyExclusive("keep", "replace")
	return cmd
}

// writeRootKey reports whether it has written a key. With keep, an existing key stays.
func writeRootKey(path string, keep, replace bool) (bool, error) {
	if replace {
		err := seal.ReplaceRoot(path)
		if errors.Is(err, fs.ErrExist) {
			return false, fmt.Errorf("%s keeps the key of an earlier rotation; when `fountain root-key status` says idle, take it off the machine", seal.PreviousFile(path))
		}
		return true, err
	}
	err := seal.CreateRoot(path)
	switch {
	case errors.Is(err, fs.ErrExist) && keep:
		return false, nil
	case errors.Is(err, fs.ErrExist):
		return false, fmt.Errorf("%s exists already; a root key is replaced by a rotation alone (--replace)", path)
	}
	return err == nil, err
}
