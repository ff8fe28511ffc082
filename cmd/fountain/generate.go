//go:build !server

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/cmd/fountain/internal/clientgen"
	"github.com/fountainai/fountain/internal/contract"
)

func newGenerate() *cobra.Command {
	return group("generate", "Generate code for your own services", newGenerateClient())
}

// newGenerateClient makes the command that generates a client. It makes no network request, because the generator is
// part of this program. Server builds (-tags server) leave it out, because its library creates a folder in the user's
// cache directory at each start, which a server does not have.
func newGenerateClient() *cobra.Command {
	d := &document{}
	var out, name string
	cmd := &cobra.Command{
		Use:   "client FILE",
		Short: "Generate a typed Go client for a service from its OpenAPI document",
		Long: `client writes two files to a directory: the client with its types, generated with the settings of the family's
own clients, and New, which opens it with the credentials of the SDK
(github.com/fountainai/fountain/clients/fountain). The module that contains them needs that package and
github.com/oapi-codegen/runtime. The command works without a running family. Parts of the document that Go
cannot express as written, or not at all, are reported with file and line; everything else is generated.`,
		Example: `  fountain generate client notes.yaml
  fountain generate client openapi.json --name billing --package billingapi --out internal/billingapi`,
		Args: oneArg("the OpenAPI document"),
	}
	d.flags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "output directory; default: the name of the package")
	cmd.Flags().StringVar(&name, "package", "", "name of the Go package; default: the name of the service without hyphens")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := d.read(args[0])
		if err != nil {
			return err
		}
		c, _, err := compiled(a)
		if err != nil {
			return err
		}
		text, err := contract.Served(a, c)
		if err != nil {
			return err
		}
		if name == "" {
			name = strings.ReplaceAll(a.Name, "-", "")
		}
		if out == "" {
			out = name
		}
		client, err := clientgen.Generate(clientgen.Options{Service: a.Name, BasePath: strings.TrimPrefix(c.BasePath, c.Mount), Package: name, Document: text})
		if err != nil {
			return err
		}
		if err := printNotes(cmd, a, client.Notes); err != nil {
			return err
		}
		return writeFiles(cmd, out, client.Files)
	}
	return cmd
}

// printNotes prints where a client differs from the document.
func printNotes(cmd *cobra.Command, a contract.Adoption, notes []clientgen.Note) error {
	place, err := contract.Places(a)
	if err != nil {
		return err
	}
	for _, note := range notes {
		if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", place(note.Pointer), note.Cause); err != nil {
			return err
		}
	}
	return nil
}

func writeFiles(cmd *cobra.Command, folder string, files map[string][]byte) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), path); err != nil {
			return err
		}
	}
	return nil
}
