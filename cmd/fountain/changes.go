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
	place, follow := fountain.FeedPlace{}, false
	cmd := o.command("changes SCOPE", "List the changes of a scope, in commit order",
		"  fountain changes hamlet\n  fountain changes hamlet --follow --after 1204 --feed K5QXGZLSMFXGO5LFOJWGS3THON --output json", oneArg("the scope"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if place.Position < 0 {
				return usagef("--after is a position, 0 for the beginning")
			}
			list := c.Sequence.Changes
			if follow {
				list = c.Sequence.FollowChanges
			}
			for change, err := range list(cmd.Context(), args[0], &place) {
				if follow && errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
					return nil // the user has interrupted the command
				}
				if err != nil {
					return err
				}
				if err := o.printChange(cmd, change, place.Feed); err != nil {
					return err
				}
			}
			return nil
		})
	cmd.Flags().Int64Var(&place.Position, "after", 0, "only changes after this position")
	cmd.Flags().StringVar(&place.Feed, "feed", "", "feed that --after belongs to; a restore starts a new feed, after which the old one is refused")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for further changes until interrupted")
	return cmd
}

// printChange prints one line, so that a follower sees each change immediately. As JSON it is a line of NDJSON with the
// name of the feed, which --feed takes.
func (o *operator) printChange(cmd *cobra.Command, c sequence.Change, feed string) error {
	out := cmd.OutOrStdout()
	if o.output == "json" {
		return json.NewEncoder(out).Encode(struct {
			Feed string `json:"feed"`
			sequence.Change
		}{feed, c})
	}
	line := fmt.Sprintf("%d\t%s\t%s\t%s", c.Position, c.At.Format("2006-01-02T15:04:05Z07:00"), c.Kind, c.ElementType)
	if c.ElementID != nil {
		line += fmt.Sprintf("/%s\tnumber %d", *c.ElementID, *c.Number)
	}
	if c.Version != nil {
		line += fmt.Sprintf("\tversion %d", *c.Version)
	}
	if c.Numbers != nil {
		count := int64(len(*c.Numbers))
		if c.Shifted != nil {
			count += c.Shifted.To - c.Shifted.From + 1
		}
		line += fmt.Sprintf("\t%d numbers", count)
	}
	_, err := fmt.Fprintf(out, "%s\tby %s\n", line, c.By)
	return err
}
