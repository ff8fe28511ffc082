package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

func newSequence() *cobra.Command {
	o := &operator{}
	scopes := o.command("scopes", "List scopes, with their numbers of elements", "  fountain sequence scopes\n  fountain sequence scopes --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			all := []sequence.ScopeSummary{}
			var rows [][]string
			for one, err := range c.Sequence.ElementScopes(cmd.Context()) {
				if err != nil {
					return err
				}
				all = append(all, one)
				rows = append(rows, []string{one.Scope, strconv.FormatInt(one.Types, 10), strconv.FormatInt(one.Count, 10)})
			}
			return o.print(cmd, all, []string{"SCOPE", "TYPES", "ELEMENTS"}, rows)
		})
	p := &operator{}
	scope := p.command("scope SCOPE", "Count a scope's elements by type, and preview its next numbers", "  fountain sequence scope hamlet\n  fountain sequence scope hamlet --output json", oneArg("the scope"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			counts, err := c.Sequence.GetElementScope(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			rows := make([][]string, len(counts.Types))
			for i, one := range counts.Types {
				rows[i] = []string{one.ElementType, strconv.FormatInt(one.Count, 10), strconv.FormatInt(one.Omitted, 10), strconv.FormatInt(one.NextNumber, 10)}
			}
			return p.print(cmd, counts, []string{"TYPE", "ELEMENTS", "OMITTED", "NEXT NUMBER"}, rows)
		})
	return group("sequence", "Show, check, export, import and reindex scopes", scopes, scope, newScopeExport(), newScopeImport(), newScopeReindex(), newSequenceCheck())
}

func newScopeReindex() *cobra.Command {
	o := &operator{}
	return o.command("reindex SCOPE", "Reindex a scope in the search service", "  fountain sequence reindex hamlet\n  fountain sequence reindex hamlet --output json", oneArg("the scope"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			begun, err := c.Sequence.ReindexScope(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, begun, []string{"SCOPE", "ELEMENTS"}, [][]string{{begun.Scope, strconv.FormatInt(begun.Elements, 10)}})
		})
}
