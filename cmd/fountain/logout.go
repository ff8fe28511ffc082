package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/cmd/fountain/internal/session"
)

func newLogout() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:     "logout",
		Example: "  fountain logout\n  fountain logout --profile staging",
		Short:   "Sign out, and delete the stored session",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := session.Default()
			if err != nil {
				return err
			}
			kept, err := file.Load()
			if errors.Is(err, session.ErrNone) {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "not signed in")
				return err
			}
			if err != nil {
				return errors.Join(err, file.Delete())
			}
			c.keptCA = kept.CAFile
			client, err := c.anonymous(kept.URL)
			if err != nil {
				return err
			}
			opts, err := c.options()
			if err != nil {
				return err
			}
			ended := session.End(cmd.Context(), file, client, opts)
			if err := file.Delete(); err != nil {
				return err
			}
			if ended != nil {
				return fmt.Errorf("the session was removed here, but %s could not be notified: %w", kept.URL, ended)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "signed out at %s\n", kept.URL)
			return err
		},
	}
	cmd.Flags().StringVar(&c.caFile, "ca-file", "", "trust only the CA certificates in this PEM file (FOUNTAIN_CA_FILE)")
	return cmd
}
