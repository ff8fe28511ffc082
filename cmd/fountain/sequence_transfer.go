package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
)

func newScopeExport() *cobra.Command {
	o := &operator{}
	file := ""
	cmd := o.command("export SCOPE", "Export a scope with all its versions as NDJSON",
		"  fountain sequence export hamlet >hamlet.ndjson\n  fountain sequence export hamlet --out hamlet.ndjson", oneArg("the scope"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if file == "" {
				_, err := exportScope(cmd, c, args[0], cmd.OutOrStdout())
				return err
			}
			n := int64(0)
			err := writeOut(file, func(out io.Writer) (err error) {
				n, err = exportScope(cmd, c, args[0], out)
				return err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "wrote %d %s to %s\n", n, plural(int(n), "element"), file)
			return nil
		})
	cmd.Long = `export writes the elements of a scope as of a single moment, each with its number, its status and all its
versions, and a last line with the checksum of the others. fountain sequence import reads this format. A
broken connection or a wrong checksum is an error, and leaves no file.`
	cmd.Flags().StringVar(&file, "out", "", "write to this file, readable only by you (default: standard output)")
	return cmd
}

// exportScope writes the export of a scope and returns its number of elements.
func exportScope(cmd *cobra.Command, c *fountain.Client, scope string, w io.Writer) (int64, error) {
	out := bufio.NewWriter(w)
	last, err := c.Sequence.WriteScope(cmd.Context(), scope, out)
	if err != nil {
		return 0, err
	}
	if err := out.Flush(); err != nil {
		return 0, fmt.Errorf("write scope: %w", err)
	}
	return last.Elements, nil
}

func newScopeImport() *cobra.Command {
	o := &operator{}
	cmd := o.command("import SCOPE FILE.ndjson", "Import a scope that fountain sequence export has written",
		"  fountain sequence import hamlet hamlet.ndjson\n  fountain sequence import hamlet-2026 hamlet.ndjson --output json",
		func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usagef("%s takes two arguments, a scope and a file of NDJSON", cmd.CommandPath())
			}
			return nil
		},
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			file, err := os.Open(args[1])
			if err != nil {
				return err
			}
			defer file.Close()
			done, err := c.Sequence.ImportScope(cmd.Context(), args[0], file)
			if err != nil {
				return err
			}
			outcome := "imported"
			if !done.Imported {
				outcome = "there before"
			}
			return o.print(cmd, done, []string{"SCOPE", "OUTCOME", "ELEMENTS", "VERSIONS", "SHA256"},
				[][]string{{done.Scope, outcome, fmt.Sprint(done.Elements), fmt.Sprint(done.Versions), done.Sha256}})
		})
	cmd.Long = `import fills a scope that has never had an element from a file: completely or, if the file is damaged, not at
all. Numbers, versions, times and authors are those of the file; therefore it requires the role admin and a
second factor, and the audit trail records who imported it. Repeating an import is safe.`
	return cmd
}
