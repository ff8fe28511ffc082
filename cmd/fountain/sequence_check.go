package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/fountain/history"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

// faultsShown limits how many faults of one kind a table shows.
const faultsShown = 20

// sequenceCheck holds the flags of sequence check.
type sequenceCheck struct {
	operator
	history.Options
	readOnly bool
	file     string // file of an earlier check, to be checked again
	out      string
}

func newSequenceCheck() *cobra.Command {
	o := &sequenceCheck{}
	cmd := o.command("check [SCOPE]", "Check the guarantees of numbers, versions, the change feed and search",
		"  fountain sequence check\n  fountain sequence check audit-2026 --clients 32 --appends 100000 --for 10m --out history.ndjson\n"+
			"  fountain sequence check hamlet --read-only\n  fountain sequence check --history history.ndjson", nil,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error { return o.online(cmd, c, args) })
	online := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.usage(cmd, args); err != nil {
			return err
		}
		if o.file != "" {
			return o.offline(cmd)
		}
		return online(cmd, args)
	}
	cmd.Long = `check appends elements with several clients to a scope of its own, creates versions of them, follows the
change feed at the same time, and then verifies: numbers 1..N without a gap and in the order in which appends
were acknowledged, no acknowledged append or version missing, nothing that was not sent, versions 1..k, a
change feed that is complete, in order and ends in the stored state, and a search that finds exactly that.
Services can be restarted or killed meanwhile: unanswered requests may be stored or not.

Elements are never deleted: the scope that it creates, check-... or SCOPE, remains. It takes about 2 requests
per append from your rate limits. --read-only verifies the contents of an existing scope, and writes nothing;
nobody else may write to it meanwhile. --out writes what was observed, without data, to a file, and --history
verifies such a file again, offline.

It needs the scope elements:read, and elements:write unless --read-only is given. A violated guarantee is
reported, and the exit status is then 1.`
	cmd.Flags().IntVar(&o.Clients, "clients", 8, "number of clients that append concurrently")
	cmd.Flags().IntVar(&o.Appends, "appends", 1000, "stop after this number of acknowledged appends")
	cmd.Flags().DurationVar(&o.For, "for", time.Minute, "stop after this time at the latest")
	cmd.Flags().DurationVar(&o.SearchWithin, "search-within", time.Minute, "how long search may take to find everything; 0 skips this check")
	cmd.Flags().BoolVar(&o.readOnly, "read-only", false, "only check the contents of SCOPE, and write nothing")
	cmd.Flags().StringVar(&o.out, "out", "", "write the history to this file, readable only by you")
	cmd.Flags().StringVar(&o.file, "history", "", "check the history in this file, without sending a request")
	return cmd
}

func (o *sequenceCheck) usage(cmd *cobra.Command, args []string) error {
	switch {
	case o.file != "" && (len(args) > 0 || o.readOnly || o.out != ""):
		return usagef("--history cannot be combined with a scope, --read-only or --out")
	case o.output != "table" && o.output != "json":
		return usagef("--output must be table or json")
	case len(args) > 1 || (o.readOnly && len(args) == 0):
		return usagef("%s takes one argument, a scope", cmd.CommandPath())
	case len(args) == 1 && !scopeName.MatchString(args[0]):
		return usagef("SCOPE %s", scopeRule)
	case o.Clients < 1 || o.Clients > 1024 || o.Appends < 1 || o.For <= 0 || o.SearchWithin < 0:
		return usagef("--clients must be 1 to 1024, --appends and --for above 0, and --search-within not below 0")
	}
	return nil
}

func (o *sequenceCheck) online(cmd *cobra.Command, c *fountain.Client, args []string) error {
	o.Client, o.Scope = c, "check-"+time.Now().UTC().Format("20060102")+"-"+strings.ToLower(rand.Text()[:8])
	if len(args) == 1 {
		o.Scope = args[0]
	}
	h, err := o.look(cmd)
	if errors.Is(err, history.ErrUsed) {
		return fmt.Errorf("the scope %q has elements: use another name, or check it with --read-only", o.Scope)
	}
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := writeOut(o.out, func(w io.Writer) error { return history.Write(w, h) }); err != nil {
			return err
		}
	}
	return o.judge(cmd, h)
}

func (o *sequenceCheck) look(cmd *cobra.Command) (*history.History, error) {
	if o.readOnly {
		return history.Read(cmd.Context(), o.Client, o.Scope, o.SearchWithin)
	}
	bar := terminal.NewBar(os.Stderr, o.Scope)
	o.Progress = func(n int) { bar.Show("appends", n, o.Appends) }
	defer bar.Done()
	return history.Record(cmd.Context(), o.Options)
}

func (o *sequenceCheck) offline(cmd *cobra.Command) error {
	in, err := os.Open(o.file)
	if err != nil {
		return err
	}
	defer in.Close()
	h, err := history.ReadFile(in)
	if err != nil {
		return fmt.Errorf("%s: %w", o.file, err)
	}
	return o.judge(cmd, h)
}

// judge prints the results of the checks and returns an error if any failed.
func (o *sequenceCheck) judge(cmd *cobra.Command, h *history.History) error {
	report := history.Check(h)
	faults := report.Faults()
	if err := o.print(cmd, report, []string{"CHECK", "LOOKED AT", "RESULT"}, reportRows(report)); err != nil {
		return err
	}
	if o.output == "table" {
		o.tell(cmd.OutOrStdout(), h, report)
	}
	if len(faults) > 0 {
		return fmt.Errorf("scope %s: %d %s", h.Scope, len(faults), plural(len(faults), "fault"))
	}
	return nil
}

func reportRows(report history.Report) (rows [][]string) {
	for _, r := range report.Results {
		result := "held"
		switch {
		case len(r.Faults) > 0:
			result = fmt.Sprintf("%d %s", len(r.Faults), plural(len(r.Faults), "fault"))
		case r.Looked == 0:
			result = "-"
		}
		rows = append(rows, []string{r.Name, strconv.Itoa(r.Looked), result})
	}
	return rows
}

// tell prints what does not fit in the table.
func (o *sequenceCheck) tell(out io.Writer, h *history.History, report history.Report) {
	outcomes := map[history.Outcome]int{}
	for _, calls := range [][]history.Call{h.Appends, h.Revisions} {
		for _, c := range calls {
			outcomes[c.Outcome]++
		}
	}
	if h.Own {
		fmt.Fprintf(out, "scope %s: %d changes acknowledged, %d refused, %d without an answer\n",
			h.Scope, outcomes[history.Acknowledged], outcomes[history.Refused], outcomes[history.Unknown])
	}
	if h.SearchLag > 0 {
		fmt.Fprintf(out, "search had everything %s later\n", h.SearchLag.Round(time.Millisecond))
	}
	for _, r := range report.Results {
		for i, f := range r.Faults {
			if i == faultsShown {
				fmt.Fprintf(out, "%s: %d more; --output json shows all\n", r.Name, len(r.Faults)-i)
				break
			}
			fmt.Fprintln(out, f)
		}
	}
}
