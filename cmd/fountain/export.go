package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/cmd/fountain/internal/importer"
)

func newExport() *cobra.Command {
	var c connection
	var file string
	cmd := &cobra.Command{
		Use:     "export SCOPE",
		Example: "  fountain export hamlet >hamlet.fountain\n  fountain export hamlet --out hamlet.fountain",
		Short:   "Export a stored screenplay in the Fountain format",
		Long: `export writes the screenplay of a scope in the open Fountain format (https://fountain.io/syntax): what
fountain import stored, line by line, in UTF-8, with \n at the end of each line and no empty line at the end.
Elements that were changed since are written in their current version, omitted ones are left out. Whatever
could not be preserved is reported on standard error. It needs the scope elements:read.`,
		Args: oneArg("a scope"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !scopeName.MatchString(args[0]) {
				return usagef("SCOPE %s", scopeRule)
			}
			client, err := c.client(askCode)
			if err != nil {
				return err
			}
			text, notices, err := importer.Export(cmd.Context(), client, args[0])
			if errors.Is(err, fountain.ErrNotFound) {
				return fmt.Errorf("the scope %q contains no play: fountain import prints the name of its scope", args[0])
			}
			if err != nil {
				return err
			}
			for _, notice := range notices {
				fmt.Fprintln(cmd.ErrOrStderr(), notice)
			}
			if file != "" {
				return os.WriteFile(file, []byte(text), 0o644)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&file, "out", "", "write to this file (default: standard output)")
	return cmd
}
