package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

func newElements() *cobra.Command {
	return group("elements", "List and move elements, and manage number formats", newElementsList(), newElementsMove(), newElementsFormat())
}

func newElementsList() *cobra.Command {
	o := &operator{}
	status, consistent := "", false
	cmd := o.command("list SCOPE/TYPE", "List elements in order of number",
		"  fountain elements list hamlet/spokenWord\n  fountain elements list hamlet/spokenWord --status omitted --output json\n  fountain elements list hamlet/spokenWord --consistent",
		names(2, "SCOPE/TYPE"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			of := strings.Split(args[0], "/")
			var options []fountain.CallOption
			if status != "" {
				options = append(options, fountain.WithQuery("status", status))
			}
			if consistent {
				options = append(options, fountain.WithQuery("consistent", "true"))
			}
			elements := []sequence.Element{}
			var rows [][]string
			for one, err := range c.Sequence.Elements(cmd.Context(), of[0], of[1], options...) {
				if err != nil {
					return err
				}
				elements = append(elements, one)
				rows = append(rows, []string{strconv.FormatInt(one.Number, 10), one.ID, string(one.Status), strconv.FormatInt(one.Version, 10), when(one.UpdatedAt), formattedNumber(one)})
			}
			return o.print(cmd, elements, []string{"NUMBER", "ID", "STATUS", "VERSION", "UPDATED", "FORMATTED"}, rows)
		})
	cmd.Flags().StringVar(&status, "status", "", "only elements with this status: active or omitted")
	cmd.Flags().BoolVar(&consistent, "consistent", false, "list the order of a single moment; fail if it changes meanwhile")
	return cmd
}

func newElementsMove() *cobra.Command {
	o := &operator{}
	before, after, dry := "", "", false
	cmd := o.command("move SCOPE/TYPE/ID", "Move an element before or after another element of its type",
		"  fountain elements move hamlet/spokenWord/act1-line7 --before act1-line2 --dry-run\n  fountain elements move hamlet/spokenWord/act1-line7 --before act1-line2",
		names(3, "SCOPE/TYPE/ID"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			of := strings.Split(args[0], "/")
			body := sequence.Move{Before: &before}
			switch {
			case (before == "") == (after == ""):
				return usagef("pass one of --before and --after")
			case before == "":
				body = sequence.Move{After: &after}
			}
			do := c.Sequence.MoveElement
			if dry {
				do = c.Sequence.PreviewMove
			}
			done, err := do(cmd.Context(), of[0], of[1], of[2], body)
			if err != nil {
				return err
			}
			return o.print(cmd, done, []string{"ID", "FROM", "TO"}, movedRows(done))
		})
	cmd.Flags().StringVar(&before, "before", "", "id of the element that it is moved before")
	cmd.Flags().StringVar(&after, "after", "", "id of the element that it is moved after")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "only show which numbers would change")
	return cmd
}

// movedRows returns a table of the numbers that a move changes. Its last row has the numbers that were shifted as a
// range.
func movedRows(done *sequence.ReorderResult) (rows [][]string) {
	for _, one := range done.Changes {
		rows = append(rows, []string{one.ID, strconv.FormatInt(one.From, 10), strconv.FormatInt(one.To, 10)})
	}
	if s := done.Shifted; s != nil {
		rows = append(rows, []string{fmt.Sprintf("(%d others)", s.To-s.From+1), fmt.Sprintf("%d-%d", s.From, s.To), fmt.Sprintf("%d-%d", s.From+s.By, s.To+s.By)})
	}
	return rows
}

// names requires one argument with this number of parts, separated by slashes.
func names(parts int, form string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || strings.Count(args[0], "/") != parts-1 {
			return usagef("%s takes one argument, %s", cmd.CommandPath(), form)
		}
		return nil
	}
}

func formattedNumber(e sequence.Element) string {
	if e.FormattedNumber == nil {
		return ""
	}
	return *e.FormattedNumber
}

func newElementsFormat() *cobra.Command {
	o := &operator{}
	set, format := false, sequence.NumberFormatPut{}
	resets := ""
	cmd := o.command("format SCOPE/TYPE", "Show or set the number format of a type",
		"  fountain elements format books/invoice\n  fountain elements format books/invoice --set --prefix INV- --padding 5 --resets year --time-zone Europe/Berlin",
		names(2, "SCOPE/TYPE"), func(cmd *cobra.Command, c *fountain.Client, args []string) (err error) {
			of := strings.Split(args[0], "/")
			var now *sequence.NumberFormat
			if set {
				format.Resets = sequence.NumberFormatPutResets(resets)
				now, err = c.Sequence.PutNumberFormat(cmd.Context(), of[0], of[1], format)
			} else {
				now, err = c.Sequence.GetNumberFormat(cmd.Context(), of[0], of[1])
			}
			if err != nil {
				return err
			}
			return o.print(cmd, now, []string{"PREFIX", "PADDING", "RESETS", "TIME ZONE", "NEXT"},
				[][]string{{now.Prefix, strconv.Itoa(int(now.Padding)), string(now.Resets), now.TimeZone, now.Next}})
		})
	cmd.Flags().BoolVar(&set, "set", false, "set the format; a format that has assigned a number cannot be changed")
	cmd.Flags().StringVar(&format.Prefix, "prefix", "", "text before the number")
	cmd.Flags().Int32Var(&format.Padding, "padding", 0, "minimum number of digits, padded with zeros")
	cmd.Flags().StringVar(&resets, "resets", "never", "when the numbers restart at 1: never, year, month or day")
	cmd.Flags().StringVar(&format.TimeZone, "time-zone", "UTC", "time zone of the periods, by its IANA name")
	return cmd
}
