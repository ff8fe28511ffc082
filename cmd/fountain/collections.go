package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

var collectionHead = []string{"NAME", "OWNER", "ACCESS", "DOCUMENTS", "FIELDS", "CREATED"}

func collectionRow(c search.Collection) []string {
	return []string{c.Name, c.Owner, string(c.Access), strconv.FormatInt(c.Documents, 10), strconv.Itoa(len(c.Fields)), when(c.CreatedAt)}
}

func newCollections() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List the collections that you can read", "  fountain collections list\n  fountain collections list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			all := []search.Collection{}
			var rows [][]string
			for one, err := range c.Search.Collections(cmd.Context()) {
				if err != nil {
					return err
				}
				all, rows = append(all, one), append(rows, collectionRow(one))
			}
			return o.print(cmd, all, collectionHead, rows)
		})
	get := o.command("get NAME", "Show a collection", "  fountain collections get plays\n  fountain collections get plays --output json", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			one, err := c.Search.GetCollection(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, one, collectionHead, [][]string{collectionRow(*one)})
		})
	create := o.command("create FILE.json", "Create a collection from a schema file",
		"  fountain collections create plays.json\n  fountain collections create plays.json --output json", oneArg("a file with the collection's name and fields as JSON"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			var want search.CollectionCreate
			if err := readJSON(args[0], &want, &search.Collection{}, &search.CollectionSchema{}); err != nil {
				return err
			}
			made, err := c.Search.CreateCollection(cmd.Context(), want)
			if err != nil {
				return err
			}
			return o.print(cmd, made, collectionHead, [][]string{collectionRow(*made)})
		})
	create.Long = `create creates the collection that the file describes:

  {"name": "plays", "fields": [
    {"name": "title", "type": "string"},
    {"name": "year", "type": "int32", "optional": true},
    {"name": "tags", "type": "string[]", "facet": true, "optional": true}]}

Types are string, int32, int64, float, bool, each also as a list (string[]), and auto. A field can be "facet",
"sort", "optional", and not searchable ("index": false). In addition to the fields there are
"defaultSortingField", "tenantScoped" and "versioned". Each document has a string "id"; fountain documents
import takes documents as NDJSON.`
	return group("collections", "Manage collections of the search service and access to them", list, get, create, o.deleteCollection(), o.schema(), o.reindexes(), o.collectionSets(), o.grants(), o.grant(), o.revokeGrant())
}

func (o *operator) deleteCollection() *cobra.Command {
	var yes bool
	cmd := o.command("delete NAME", "Delete a collection with its documents, permanently", "  fountain collections delete plays\n  fountain collections delete plays --yes", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if !yes {
				if err := confirmWord(cmd, "Delete the collection "+args[0]+" with its documents? Type its name: ", args[0]); err != nil {
					return err
				}
			}
			return c.Search.DeleteCollection(cmd.Context(), args[0])
		})
	cmd.Flags().BoolVar(&yes, "yes", false, "delete without confirmation, for scripts")
	return cmd
}

// confirmWord asks the user to type a word at the terminal.
func confirmWord(cmd *cobra.Command, question, word string) error {
	if !terminal.Is(os.Stdin) {
		return usagef("%s needs confirmation, and there is no terminal to prompt on: pass --yes to continue", cmd.CommandPath())
	}
	fmt.Fprint(cmd.ErrOrStderr(), question)
	var typed string
	if _, err := fmt.Fscanln(os.Stdin, &typed); err != nil || typed != word {
		return errors.New("nothing was deleted")
	}
	return nil
}

var grantHead = []string{"GRANTEE", "ACCESS", "GRANTED"}

func (o *operator) grants() *cobra.Command {
	return o.command("grants NAME", "List the grants of a collection", "  fountain collections grants plays\n  fountain collections grants plays --output json", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			all := []search.Grant{}
			var rows [][]string
			for g, err := range c.Search.CollectionGrants(cmd.Context(), args[0]) {
				if err != nil {
					return err
				}
				all, rows = append(all, g), append(rows, []string{g.Grantee, string(g.Access), when(g.GrantedAt)})
			}
			return o.print(cmd, all, grantHead, rows)
		})
}

func (o *operator) grant() *cobra.Command {
	var write bool
	cmd := o.command("grant NAME GRANTEE", "Grant a service, user, role or tenant access to a collection",
		"  fountain collections grant plays role:reader\n  fountain collections grant plays tenant:globe --write", collectionAndGrantee,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			access := search.GrantPutAccessRead
			if write {
				access = search.GrantPutAccessWrite
			}
			g, err := c.Search.PutCollectionGrant(cmd.Context(), args[0], args[1], search.GrantPut{Access: access})
			if err != nil {
				return err
			}
			return o.print(cmd, g, grantHead, [][]string{{g.Grantee, string(g.Access), when(g.GrantedAt)}})
		})
	cmd.Flags().BoolVar(&write, "write", false, "grant access to write documents too, not only to read them")
	return cmd
}

func (o *operator) revokeGrant() *cobra.Command {
	return o.command("revoke NAME GRANTEE", "Revoke a grant of a collection", "  fountain collections revoke plays role:reader\n  fountain collections revoke plays tenant:globe", collectionAndGrantee,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			return c.Search.DeleteCollectionGrant(cmd.Context(), args[0], args[1])
		})
}

func collectionAndGrantee(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("%s takes two arguments, a collection and who may use it, as role:reader", cmd.CommandPath())
	}
	return nil
}
