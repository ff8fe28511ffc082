package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

func newChanges() *cobra.Command {
	o := &operator{}
	after, follow := int64(0), false
	cmd := o.command("changes SCOPE", "List what changed in a scope, in the order of the commits",
		"  fountain changes hamlet\n  fountain changes hamlet --follow --after 1204 --output json", oneArg("the scope"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if after < 0 {
				return usagef("--after is a position, 0 for the beginning")
			}
			list := c.Sequence.Changes
			if follow {
				list = c.Sequence.FollowChanges
			}
			for change, err := range list(cmd.Context(), args[0], after) {
				if follow && errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
					return nil // the person has seen enough
				}
				if err != nil {
					return err
				}
				if err := o.printChange(cmd, change); err != nil {
					return err
				}
			}
			return nil
		})
	cmd.Flags().Int64Var(&after, "after", 0, "only what comes behind this position")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more, until interrupted")
	return cmd
}

// printChange prints one line, so that a follower sees each change as it comes; as JSON it is a line of NDJSON.
func (o *operator) printChange(cmd *cobra.Command, c sequence.Change) error {
	out := cmd.OutOrStdout()
	if o.output == "json" {
		return json.NewEncoder(out).Encode(c)
	}
	line := fmt.Sprintf("%d\t%s\t%s\t%s", c.Position, c.At.Format("2006-01-02T15:04:05Z07:00"), c.Kind, c.ElementType)
	if c.ElementID != nil {
		line += fmt.Sprintf("/%s\tnumber %d", *c.ElementID, *c.Number)
	}
	if c.Version != nil {
		line += fmt.Sprintf("\tversion %d", *c.Version)
	}
	if c.Numbers != nil {
		line += fmt.Sprintf("\t%d numbers", len(*c.Numbers))
	}
	_, err := fmt.Fprintf(out, "%s\tby %s\n", line, c.By)
	return err
}
