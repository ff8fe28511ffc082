package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
)

var (
	setHead            = []string{"NAME", "OWNER", "ACCESS", "VERSION", "ITEMS", "ENGINE", "READERS", "CHANGED"}
	collectionSetsHead = []string{"COLLECTION", "SYNONYMS", "CURATIONS", "VERSION"}
)

// setRow returns the table row of a set. A list does not contain the number of items.
func setRow(s search.SearchSet) []string {
	items, engine, readers := "", "", ""
	switch {
	case s.Synonyms != nil:
		items = strconv.Itoa(len(*s.Synonyms))
	case s.Curations != nil:
		items = strconv.Itoa(len(*s.Curations))
	case s.Stopwords != nil:
		items = strconv.Itoa(len(*s.Stopwords))
	}
	if s.Engine != nil {
		engine = string(s.Engine.State)
	}
	if s.Readers != nil {
		readers = strings.Join(*s.Readers, " ")
	}
	return []string{s.Name, s.Owner, string(s.Access), strconv.FormatInt(s.Version, 10), items, engine, readers, when(s.ChangedAt)}
}

// newSets makes the commands for one kind of sets, with a noun and an example file for the help text.
func newSets(kind search.SetKind, noun, example string) *cobra.Command {
	o, use := &operator{}, string(kind)
	at := "  fountain " + use + " "
	list := o.command("list", "List the "+noun+" that you can read", at+"list\n"+at+"list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			all := []search.SearchSet{}
			var rows [][]string
			for one, err := range c.Search.SearchSets(cmd.Context(), kind) {
				if err != nil {
					return err
				}
				all, rows = append(all, one), append(rows, setRow(one))
			}
			return o.print(cmd, all, setHead, rows)
		})
	get := o.command("get NAME", "Show one of the "+noun, at+"get plays\n"+at+"get plays --output json", oneArg("a name"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			one, err := c.Search.GetSearchSet(cmd.Context(), kind, args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, one, setHead, [][]string{setRow(*one)})
		})
	remove := o.command("delete NAME", "Delete one of the "+noun+"; it no longer applies to searches", at+"delete plays\n"+at+"delete globe.plays", oneArg("a name"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			return c.Search.DeleteSearchSet(cmd.Context(), kind, args[0])
		})
	return group(use, "Manage "+noun+" of the search service", list, get, o.putSet(kind, noun, example), remove)
}

func (o *operator) putSet(kind search.SetKind, noun, example string) *cobra.Command {
	var over int64
	var fresh bool
	at := "  fountain " + string(kind) + " put plays plays.json"
	cmd := o.command("put NAME FILE.json", "Create or replace one of the "+noun+" from a file, for example "+example, at+"\n"+at+" --over 2", nameAndFile,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			var want search.SearchSetPut
			if err := readJSON(args[1], &want, &search.SearchSet{}); err != nil {
				return err
			}
			var opts []fountain.CallOption
			switch {
			case fresh && over != 0:
				return usagef("--new and --over exclude each other")
			case fresh:
				opts = append(opts, fountain.WithIfNoneMatch())
			case over != 0:
				opts = append(opts, fountain.WithIfMatch(fountain.IfMatch(over)))
			}
			put, err := c.Search.PutSearchSet(cmd.Context(), kind, args[0], want, opts...)
			if err != nil {
				return err
			}
			return o.print(cmd, put, setHead, [][]string{setRow(*put)})
		})
	cmd.Flags().Int64Var(&over, "over", 0, "fail unless this version is current")
	cmd.Flags().BoolVar(&fresh, "new", false, "only create; fail if it exists")
	return cmd
}

func nameAndFile(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("%s takes two arguments, a name and a file with the content as JSON", cmd.CommandPath())
	}
	return nil
}

// collectionSets makes the commands for the sets that apply to a collection.
func (o *operator) collectionSets() *cobra.Command {
	var synonyms, curations []string
	cmd := o.command("sets NAME", "Show or set the synonym and curation sets of a collection",
		"  fountain collections sets plays\n  fountain collections sets plays --synonyms theatre,titles --curations season", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			now, err := c.Search.GetCollectionSets(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			y, u := cmd.Flags().Changed("synonyms"), cmd.Flags().Changed("curations")
			if y || u {
				want := search.CollectionSetsPut{SynonymSets: now.SynonymSets, CurationSets: now.CurationSets}
				if y {
					want.SynonymSets = synonyms
				}
				if u {
					want.CurationSets = curations
				}
				if now, err = c.Search.PutCollectionSets(cmd.Context(), args[0], fountain.IfMatch(now.Version), want); err != nil {
					return err
				}
			}
			return o.print(cmd, now, collectionSetsHead, [][]string{{args[0], strings.Join(now.SynonymSets, " "), strings.Join(now.CurationSets, " "), strconv.FormatInt(now.Version, 10)}})
		})
	cmd.Flags().StringSliceVar(&synonyms, "synonyms", nil, "synonym sets of the collection, replacing all current ones; empty for none")
	cmd.Flags().StringSliceVar(&curations, "curations", nil, "curation sets of the collection, replacing all current ones; empty for none")
	return cmd
}
