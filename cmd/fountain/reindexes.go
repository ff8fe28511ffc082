package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

// lookPause is the time between two polls of a reindex.
const lookPause = 250 * time.Millisecond

var (
	schemaHead  = []string{"COLLECTION", "VERSION", "REMEDY", "FIELD", "CHANGE"}
	reindexHead = []string{"ID", "STATE", "DOCUMENTS", "COPIED", "CAUGHT UP", "STARTED", "OLD KEPT UNTIL", "FAILURE"}
)

// schemaRows returns a row for each change, or a single row if there is none.
func schemaRows(s search.CollectionSchema) (rows [][]string) {
	row := func(field, change string) []string {
		return []string{s.Collection, strconv.FormatInt(s.Version, 10), string(s.Remedy), field, change}
	}
	for _, c := range s.Changes {
		rows = append(rows, row(c.Field, string(c.Change)))
	}
	if len(rows) == 0 {
		rows = append(rows, row("", ""))
	}
	return rows
}

func reindexRow(r search.Reindex) []string {
	until, failure := "", ""
	if r.OldKeptUntil != nil {
		until = when(*r.OldKeptUntil)
	}
	if r.Failure != nil {
		failure = r.Failure.Message
	}
	return []string{r.ID, string(r.State), strconv.FormatInt(r.Documents, 10), strconv.FormatInt(r.Copied, 10), strconv.FormatInt(r.CaughtUp, 10), when(r.StartedAt), until, failure}
}

// schemaPut holds the flags of the schema command.
type schemaPut struct {
	file, mode string
	dryRun     bool
	keep       time.Duration
	follow     bool
}

func (o *operator) schema() *cobra.Command {
	p := &schemaPut{}
	cmd := o.command("schema NAME", "Compare a collection's intended schema with its current one, or set the intended one",
		"  fountain collections schema plays\n  fountain collections schema plays --set plays.json --dry-run\n  fountain collections schema plays --set plays.json --follow", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			now, err := c.Search.GetCollectionSchema(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if p.file == "" {
				return o.print(cmd, now, schemaHead, schemaRows(*now))
			}
			return p.set(cmd, o, c, args[0], now.Version)
		})
	cmd.Flags().StringVar(&p.file, "set", "", "set the intended schema from this JSON file, in the format of collections create")
	cmd.Flags().StringVar(&p.mode, "mode", "auto", "how the schema is applied: auto, alter (in place) or reindex")
	cmd.Flags().BoolVar(&p.dryRun, "dry-run", false, "only show what would be done")
	cmd.Flags().DurationVar(&p.keep, "keep-old", time.Hour, "how long the old collection is kept after a reindex, 1m to 168h")
	cmd.Flags().BoolVar(&p.follow, "follow", false, "wait until the reindex has ended")
	return cmd
}

func (p *schemaPut) set(cmd *cobra.Command, o *operator, c *fountain.Client, collection string, version int64) error {
	var want search.CollectionCreate
	if err := readJSON(p.file, &want, &search.Collection{}, &search.CollectionSchema{}); err != nil {
		return err
	}
	mode, keep := search.CollectionSchemaPutMode(p.mode), int64(p.keep.Seconds())
	if !mode.Valid() {
		return usagef("--mode must be auto, alter or reindex")
	}
	done, err := c.Search.PutCollectionSchema(cmd.Context(), collection, fountain.IfMatch(version), search.CollectionSchemaPut{
		Fields: want.Fields, DefaultSortingField: want.DefaultSortingField, Mode: &mode, DryRun: &p.dryRun, KeepOldSeconds: &keep,
	})
	if err != nil {
		return err
	}
	if done.Reindex != nil && p.follow {
		return o.follow(cmd, c, collection, done.Reindex.ID)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", done.Outcome)
	return o.print(cmd, done, schemaHead, schemaRows(done.Schema))
}

// follow shows the progress of a reindex until its end. A failed reindex is an error.
func (o *operator) follow(cmd *cobra.Command, c *fountain.Client, collection, id string) error {
	bar := terminal.NewBar(os.Stderr, collection)
	r, err := ended(cmd.Context(), c, collection, id, func(r *search.Reindex) {
		bar.Show("documents, "+string(r.State), int(r.Copied), max(int(r.Documents), 1))
	})
	bar.Done()
	if err != nil {
		return err
	}
	if err := o.print(cmd, r, reindexHead, [][]string{reindexRow(*r)}); err != nil {
		return err
	}
	if r.Failure != nil {
		return fmt.Errorf("the reindex of %s: %s", collection, r.Failure.Message)
	}
	return nil
}

// ended waits until a reindex is done, failed, aborted or rolled back.
func ended(ctx context.Context, c *fountain.Client, collection, id string, show func(*search.Reindex)) (*search.Reindex, error) {
	for {
		r, err := c.Search.GetReindex(ctx, collection, id)
		if err != nil {
			return nil, err
		}
		show(r)
		switch r.State {
		case search.ReindexStateDone, search.ReindexStateFailed, search.ReindexStateAborted, search.ReindexStateRolledBack:
			return r, nil
		}
		select {
		case <-time.After(lookPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (o *operator) reindexes() *cobra.Command {
	list := o.command("list COLLECTION", "List the reindexes of a collection, newest first", "  fountain collections reindex list plays\n  fountain collections reindex list plays --output json", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			all := []search.Reindex{}
			var rows [][]string
			for r, err := range c.Search.Reindexes(cmd.Context(), args[0]) {
				if err != nil {
					return err
				}
				all, rows = append(all, r), append(rows, reindexRow(r))
			}
			return o.print(cmd, all, reindexHead, rows)
		})
	one := func(name, short string, do func(cmd *cobra.Command, c *fountain.Client, collection, id string) (*search.Reindex, error)) *cobra.Command {
		example := "  fountain collections reindex " + name + " plays rix_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
		return o.command(name+" COLLECTION REINDEX", short, example+"\n"+example+" --output json", collectionAndReindex,
			func(cmd *cobra.Command, c *fountain.Client, args []string) error {
				r, err := do(cmd, c, args[0], args[1])
				if err != nil {
					return err
				}
				return o.print(cmd, r, reindexHead, [][]string{reindexRow(*r)})
			})
	}
	get := one("get", "Show the state of a reindex", func(cmd *cobra.Command, c *fountain.Client, collection, id string) (*search.Reindex, error) {
		return c.Search.GetReindex(cmd.Context(), collection, id)
	})
	abort := one("abort", "Abort a running reindex", func(cmd *cobra.Command, c *fountain.Client, collection, id string) (*search.Reindex, error) {
		return c.Search.AbortReindex(cmd.Context(), collection, id)
	})
	back := one("rollback", "Roll back a reindex to the old collection", func(cmd *cobra.Command, c *fountain.Client, collection, id string) (*search.Reindex, error) {
		return c.Search.RollbackReindex(cmd.Context(), collection, id)
	})
	cmd := group("reindex", "Copy collections into new ones that replace them", o.startReindex(), list, get, abort, back)
	cmd.Example = "  fountain collections reindex start plays --follow\n  fountain collections reindex list plays"
	return cmd
}

func (o *operator) startReindex() *cobra.Command {
	var keep time.Duration
	var follow bool
	cmd := o.command("start COLLECTION", "Start a reindex of a collection to its intended schema", "  fountain collections reindex start plays --follow\n  fountain collections reindex start plays --keep-old 24h", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			seconds := int64(keep.Seconds())
			r, err := c.Search.StartReindex(cmd.Context(), args[0], search.ReindexStart{KeepOldSeconds: &seconds})
			if err != nil {
				return err
			}
			if follow {
				return o.follow(cmd, c, args[0], r.ID)
			}
			return o.print(cmd, r, reindexHead, [][]string{reindexRow(*r)})
		})
	cmd.Flags().DurationVar(&keep, "keep-old", time.Hour, "how long the old collection is kept, 1m to 168h")
	cmd.Flags().BoolVar(&follow, "follow", false, "wait until the reindex has ended")
	return cmd
}

func collectionAndReindex(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("%s takes two arguments, a collection and the id of a reindex", cmd.CommandPath())
	}
	return nil
}
