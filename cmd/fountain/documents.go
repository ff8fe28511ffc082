package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
)

func newDocuments() *cobra.Command {
	o := &operator{}
	return group("documents", "Import and export documents of collections", newDocumentsImport(o), newDocumentsExport(o))
}

func newDocumentsExport(o *operator) *cobra.Command {
	var file, tenant string
	var fields []string
	cmd := o.command("export COLLECTION", "Export the documents of a collection as NDJSON",
		"  fountain documents export plays >plays.ndjson\n  fountain documents export plays --field text --out texts.ndjson", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			ask := search.DocumentExport{Tenant: optional(tenant)}
			if len(fields) > 0 {
				ask.Fields = &fields
			}
			if file == "" {
				_, err := exportDocuments(cmd, c, args[0], ask, cmd.OutOrStdout())
				return err
			}
			n := 0
			err := writeOut(file, func(out io.Writer) (err error) {
				n, err = exportDocuments(cmd, c, args[0], ask, out)
				return err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "wrote %d %s to %s\n", n, plural(n, "document"), file)
			return nil
		})
	cmd.Long = `export writes each document of a collection that you can read on a line of its own, in the format of fountain
documents import. For a tenant-scoped collection of which you can read several tenants, --tenant selects one.
A broken connection is an error, and leaves no file.`
	cmd.Flags().StringVar(&file, "out", "", "write to this file, readable only by you (default: standard output)")
	cmd.Flags().StringVar(&tenant, "tenant", "", "only the documents of this tenant; for the owner of a tenant-scoped collection")
	cmd.Flags().StringSliceVar(&fields, "field", nil, "field to write in addition to the id; may be repeated (default: all)")
	return cmd
}

// exportDocuments writes documents line by line and returns their number.
func exportDocuments(cmd *cobra.Command, c *fountain.Client, collection string, ask search.DocumentExport, w io.Writer) (n int, err error) {
	out := bufio.NewWriter(w)
	for line, err := range c.Search.Documents(cmd.Context(), collection, ask) {
		if err != nil {
			return n, err
		}
		if line.Tenant != nil && ask.Tenant == nil {
			return n, errors.New("the collection has documents of several tenants: name one with --tenant")
		}
		if _, err := out.Write(append(*line.Document, '\n')); err != nil {
			return n, fmt.Errorf("write documents: %w", err)
		}
		n++
	}
	if err := out.Flush(); err != nil {
		return n, fmt.Errorf("write documents: %w", err)
	}
	return n, nil
}
