package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

func newDeadLetters() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List elements that could not be delivered to the search service, with the reasons", "  fountain dead-letters list\n  fountain dead-letters list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			letters := []sequence.DeadLetter{}
			var rows [][]string
			for one, err := range c.Sequence.DeadLetters(cmd.Context()) {
				if err != nil {
					return err
				}
				letters = append(letters, one)
				rows = append(rows, []string{
					one.Scope + "/" + one.ElementType + "/" + one.ElementID, one.Reason, strconv.FormatInt(one.Attempts, 10), one.ChangedAt.Format(time.RFC3339), one.FailedAt.Format(time.RFC3339),
				})
			}
			return o.print(cmd, letters, []string{"ELEMENT", "REASON", "ATTEMPTS", "CHANGED", "FAILED"}, rows)
		})
	retry := o.command("retry [SCOPE/TYPE/ID...]", "Retry the delivery of dead letters, of all or of the given ones",
		"  fountain dead-letters retry\n  fountain dead-letters retry hamlet/spokenWord/act1-line1", elementRefs, retryDeadLetters(o))
	return group("dead-letters", "List and retry elements that could not be delivered to the search service", list, retry)
}

func retryDeadLetters(o *operator) func(*cobra.Command, *fountain.Client, []string) error {
	return func(cmd *cobra.Command, c *fountain.Client, args []string) error {
		var body sequence.DeadLetterRetry
		if len(args) > 0 {
			refs := make([]sequence.ElementRef, len(args))
			for i, arg := range args {
				part := strings.Split(arg, "/")
				refs[i] = sequence.ElementRef{Scope: part[0], ElementType: part[1], ElementID: part[2]}
			}
			body.Elements = &refs
		}
		var total sequence.DeadLetterRetryResult
		for {
			done, err := c.Sequence.RetryDeadLetters(cmd.Context(), body)
			if err != nil {
				return err
			}
			total.Retried, total.Remaining = total.Retried+done.Retried, done.Remaining
			if len(args) > 0 || done.Remaining == 0 || done.Retried == 0 {
				break
			}
		}
		return o.print(cmd, total, []string{"RETRIED", "REMAINING"}, [][]string{{strconv.FormatInt(total.Retried, 10), strconv.FormatInt(total.Remaining, 10)}})
	}
}

// elementRefs checks the names of elements.
func elementRefs(cmd *cobra.Command, args []string) error {
	if len(args) > 1000 {
		return usagef("%s takes 1,000 elements at most", cmd.CommandPath())
	}
	for _, arg := range args {
		if strings.Count(arg, "/") != 2 {
			return usagef("%s names an element as SCOPE/TYPE/ID", cmd.CommandPath())
		}
	}
	return nil
}
