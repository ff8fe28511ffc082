package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/cmd/fountain/internal/importer"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
	"github.com/fountainai/fountain/internal/screenplay"
)

// scopeName is the form of a scope's name in the contract of the sequence service.
var scopeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$`)

const scopeRule = "must begin with a letter or digit and have at most 128 letters, digits, dots, hyphens, underscores and tildes"

// imports holds the flags of import.
type imports struct {
	operator
	importer.Options
	encoding string
}

func newImport() *cobra.Command {
	o := &imports{}
	cmd := &cobra.Command{
		Use: "import FILE.fountain",
		Example: "  fountain import hamlet.fountain\n  fountain import hamlet.fountain --scope hamlet-draft-2 --batch 500\n" +
			"  fountain import hamlet.fountain --dry-run\n  fountain import hamlet.fountain --update",
		Short: "Import a screenplay as numbered, searchable elements",
		Long: `import reads a screenplay in the open Fountain format (https://fountain.io/syntax) and stores it through the
gateway as elements of the types script, section, character, action, spokenWord and note, in batches. fountain
export returns it line by line. Repeating an import is safe: existing elements are not stored twice.

A play that differs from the contents of its scope is refused. --dry-run shows the differences. --update
stores them: new elements are appended, changed ones get a new version, removed ones are omitted, and the
order follows the play, for which a user is asked for a one-time code. Changes that were stored in the service
are kept where the play did not change.

It reads UTF-8, UTF-16 and Windows-1252, and Final Draft's XML (.fdx), for which it reports what Fountain
cannot represent. It needs the scopes elements:read and elements:write.`,
		Args: oneArg("a file in the Fountain format"),
		RunE: o.run,
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.Scope, "scope", "", "scope of the elements (default: the words of the title)")
	cmd.Flags().IntVar(&o.BatchSize, "batch", 250, "number of elements per request, 1 to 1000")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "store nothing; show the differences between the play and the stored elements")
	cmd.Flags().BoolVar(&o.Update, "update", false, "store the differences between the play and the stored elements")
	cmd.Flags().StringVar(&o.encoding, "encoding", "", "encoding of the file: "+strings.Join(screenplay.Encodings(), ", ")+" (default: detected)")
	cmd.Flags().StringVar(&o.codeFile, "code-file", "", "read the one-time code from this file, or from standard input with -; default: prompt for it")
	return cmd
}

func (o *imports) run(cmd *cobra.Command, args []string) error {
	switch {
	case o.BatchSize < 1 || o.BatchSize > 1000:
		return usagef("--batch must be 1 to 1000")
	case o.Scope != "" && !scopeName.MatchString(o.Scope):
		return usagef("--scope %s", scopeRule)
	case o.encoding != "" && !slices.Contains(screenplay.Encodings(), o.encoding):
		return usagef("--encoding must be one of %s", strings.Join(screenplay.Encodings(), ", "))
	case o.DryRun && o.Update:
		return usagef("--dry-run stores nothing: it cannot be combined with --update")
	}
	script, notices, err := readScreenplay(args[0], o.encoding)
	if err != nil {
		return err
	}
	for _, notice := range notices {
		fmt.Fprintln(cmd.ErrOrStderr(), notice)
	}
	if len(script.Title) == 0 && len(script.Elements) == 0 {
		return fmt.Errorf("%s is empty: there is nothing to import", args[0])
	}
	if o.Scope == "" {
		o.Scope = importer.Scope(script, args[0])
	}
	if o.Client, err = o.client(o.code); err != nil {
		return err
	}
	return o.do(cmd.Context(), cmd.OutOrStdout(), script)
}

// readScreenplay reads a file in the Fountain or the Final Draft format. notices say what had to be guessed and what
// could not be kept.
func readScreenplay(path, encoding string) (script *screenplay.Script, notices []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	text := bufio.NewReader(file)
	in := io.Reader(text)
	if head, _ := text.Peek(1024); screenplay.IsFDX(head) { // an error occurs again when the rest is read
		fountain, lost, err := screenplay.FromFDX(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		notices = append(lost, path+" was read as Final Draft XML; line numbers refer to its Fountain form, which fountain export shows")
		in = strings.NewReader(fountain)
	}
	script, err = screenplay.ParseWith(in, screenplay.Options{Encoding: encoding})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if script.Encoding != screenplay.UTF8 && encoding == "" {
		notices = append(notices, fmt.Sprintf("%s was read as %s; --encoding names another", path, script.Encoding))
	}
	return script, notices, nil
}

// do imports a screenplay, shows the progress, and prints the numbers at the end.
func (o *imports) do(ctx context.Context, out io.Writer, script *screenplay.Script) error {
	start := time.Now()
	bar := terminal.NewBar(os.Stderr, o.Scope)
	o.Progress = func(p importer.Progress) { bar.Show(p.Type, p.Done, p.Total) }
	result, err := importer.Import(ctx, script, o.Options)
	bar.Done()
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; run the same import again to continue")
	}
	if err != nil && !errors.Is(err, importer.ErrSecondFactor) {
		return err
	}
	if o.DryRun {
		return o.printDifference(out, result)
	}
	total, found := 0, 0
	for _, n := range result.Counts {
		total += n.Elements
		found += n.Found
		fmt.Fprintf(out, "%-12s %6d %s, numbers %d to %d\n", n.Type, n.Elements, plural(n.Elements, "element"), n.First, n.Last)
	}
	switch {
	case found == 0:
		fmt.Fprintf(out, "imported %d %s into scope %s in %.1f s\n", total, plural(total, "element"), o.Scope, time.Since(start).Seconds())
	case len(result.Changes) == 0:
		fmt.Fprintf(out, "already there: all %d elements are in scope %s, nothing was stored\n", total, o.Scope)
	default:
		fmt.Fprintf(out, "imported into scope %s: %s; %d stay as they were\n", o.Scope, differences(result), found-result.Number("changed"))
	}
	if result.Renumbered > 0 {
		fmt.Fprintf(out, "%d elements got another number, so that the numbers follow the play\n", result.Renumbered)
	}
	o.printEdited(out, result)
	return err
}

// printDifference prints the output of --dry-run.
func (o *imports) printDifference(out io.Writer, result *importer.Result) error {
	for _, c := range result.Changes {
		where := fmt.Sprintf("line %d", c.Line)
		if c.Line == 0 {
			where = "no line"
		}
		name := c.Type
		if c.ID != "" {
			name = c.ID
		}
		fmt.Fprintf(out, "%-8s %-9s %s\n", c.What, where, name)
		if c.Before == c.After {
			fmt.Fprintf(out, "           %s (its place or layout)\n", c.After)
			continue
		}
		if c.Before != "" {
			fmt.Fprintf(out, "         - %s\n", c.Before)
		}
		if c.After != "" {
			fmt.Fprintf(out, "         + %s\n", c.After)
		}
	}
	o.printEdited(out, result)
	if len(result.Changes) == 0 {
		_, err := fmt.Fprintf(out, "scope %s already has this play; nothing was stored\n", o.Scope)
		return err
	}
	_, err := fmt.Fprintf(out, "scope %s: %s; nothing was stored\n", o.Scope, differences(result))
	return err
}

func (o *imports) printEdited(out io.Writer, result *importer.Result) {
	if result.Edited > 0 {
		fmt.Fprintf(out, "%d %s changed in the service since the import, and stay so where the play did not change\n",
			result.Edited, plural(result.Edited, "element"))
	}
}

func differences(result *importer.Result) string {
	return fmt.Sprintf("%d new, %d changed, %d removed", result.Number("new"), result.Number("changed"), result.Number("gone"))
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}
