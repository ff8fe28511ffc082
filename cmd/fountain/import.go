package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/cmd/fountain/internal/importer"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
	"github.com/fountainai/fountain/internal/screenplay"
)

// scopeName is what the sequence service's contract lets a scope be.
var scopeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$`)

func newImport() *cobra.Command {
	var c connection
	var scope string
	var batch int
	cmd := &cobra.Command{
		Use:     "import FILE.fountain",
		Example: "  fountain import hamlet.fountain\n  fountain import hamlet.fountain --scope hamlet-draft-2 --batch 500",
		Short:   "Store a screenplay as numbered, searchable elements",
		Long: `import reads a screenplay in the open Fountain format (https://fountain.io/syntax) and stores
it through the gateway as elements of the types script, section, character, action and
spokenWord, in batches. Running it again does no harm: what is there is not stored twice.`,
		Args: oneArg("a file in the Fountain format"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if batch < 1 || batch > 1000 {
				return usagef("--batch must be 1 to 1000")
			}
			if scope != "" && !scopeName.MatchString(scope) {
				return usagef("--scope must begin with a letter or digit and hold at most 128 letters, digits, dots, hyphens, underscores and tildes")
			}
			script, err := readScreenplay(args[0])
			if err != nil {
				return err
			}
			if scope == "" {
				scope = importer.Scope(script, args[0])
			}
			client, err := c.client(askCode)
			if err != nil {
				return err
			}
			return runImport(cmd.Context(), cmd.OutOrStdout(), client, script, scope, batch)
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&scope, "scope", "", "what the numbers belong to (default: the title's words)")
	cmd.Flags().IntVar(&batch, "batch", 250, "how many elements go in one request, 1 to 1000")
	return cmd
}

func readScreenplay(path string) (*screenplay.Script, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	script, err := screenplay.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return script, nil
}

// runImport imports, shows how far it is, and tells the numbers at the end.
func runImport(ctx context.Context, out io.Writer, client *fountain.Client, script *screenplay.Script, scope string, batch int) error {
	start := time.Now()
	bar := terminal.NewBar(os.Stderr, scope)
	counts, err := importer.Import(ctx, script, importer.Options{
		Client: client, Scope: scope, BatchSize: batch,
		Progress: func(p importer.Progress) { bar.Show(p.Type, p.Done, p.Total) },
	})
	bar.Done()
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return errors.New("interrupted; run the same import again to go on")
		}
		return err
	}
	total, found := 0, 0
	for _, n := range counts {
		total += n.Elements
		found += n.Found
		fmt.Fprintf(out, "%-12s %6d elements, numbers %d to %d\n", n.Type, n.Elements, n.First, n.Last)
	}
	again := ""
	if found > 0 {
		again = fmt.Sprintf(", %d of them there already", found)
	}
	_, err = fmt.Fprintf(out, "imported %d elements into scope %s in %.1f s%s\n", total, scope, time.Since(start).Seconds(), again)
	return err
}
