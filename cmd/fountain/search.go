package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
)

func newSearch() *cobra.Command {
	o := &operator{}
	var by []string
	var page, perPage int32
	cmd := o.command("search COLLECTION [WORD...]", "Search a collection", "  fountain search plays unfold yourself --by text\n  fountain search plays --by text --per-page 50 --output json", searchArgs,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if len(by) == 0 || page < 1 || page > 1000 || perPage < 1 || perPage > 250 {
				return usagef("--by names the fields to search, --page is 1 to 1000 and --per-page 1 to 250")
			}
			q := strings.Join(args[1:], " ")
			if q == "" {
				q = "*"
			}
			found, err := c.Search.SearchDocuments(cmd.Context(), args[0], search.DocumentSearch{Q: q, QueryBy: by, Page: &page, PerPage: &perPage})
			if err != nil {
				return err
			}
			rows := make([][]string, len(found.Hits))
			for i, h := range found.Hits {
				rows[i] = hitRow(h, by[0])
			}
			if err := o.print(cmd, found, []string{"ID", strings.ToUpper(by[0])}, rows); err != nil || o.output == "json" {
				return err
			}
			cmd.PrintErrln(strconv.FormatInt(found.Found, 10) + " of " + strconv.FormatInt(found.OutOf, 10) + " documents")
			return nil
		})
	cmd.Flags().StringSliceVar(&by, "by", nil, "field to search; may be repeated")
	cmd.Flags().Int32Var(&page, "page", 1, "page of the results")
	cmd.Flags().Int32Var(&perPage, "per-page", 10, "number of documents per page")
	return calling(cmd)
}

func searchArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s takes a collection, and the words to search for", cmd.CommandPath())
	}
	return nil
}

// longestCell limits a field in a table, in characters.
const longestCell = 100

// hitRow returns the table row of a document: its id and one of its fields.
func hitRow(h search.DocumentHit, field string) []string {
	var doc map[string]json.RawMessage
	if json.Unmarshal(h.Document, &doc) != nil {
		return []string{"", string(h.Document)}
	}
	shown := []rune(strings.Join(strings.Fields(plainText(doc[field])), " "))
	if len(shown) > longestCell {
		shown = append(shown[:longestCell-1], '…')
	}
	return []string{plainText(doc["id"]), string(shown)}
}

// plainText returns a string value without quotes and control characters. Any other value is returned as it is in the
// document.
func plainText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) { // a document must not control the terminal
			return ' '
		}
		return r
	}, s)
}
