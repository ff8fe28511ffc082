package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
)

func newSearchKeys() *cobra.Command {
	o := &operator{}
	var life time.Duration
	var exclude []string
	var filterFile string
	create := o.command("create COLLECTION", "Create a key for direct searches of a collection in the engine by a browser",
		"  fountain search-keys create plays --life 15m\n  fountain search-keys create plays --filter filter.json --exclude number --output json", oneArg("a collection"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if life < time.Minute || life > 24*time.Hour {
				return usagef("--life is 1m to 24h")
			}
			seconds := int64(life / time.Second)
			want := search.SearchKeyCreate{ExpiresInSeconds: &seconds}
			if len(exclude) > 0 {
				want.ExcludeFields = &exclude
			}
			if filterFile != "" {
				if err := readJSON(filterFile, &want.Filter); err != nil {
					return err
				}
			}
			key, err := c.Search.CreateSearchKey(cmd.Context(), args[0], want)
			if err != nil {
				return err
			}
			at := ""
			if key.EngineURL != nil {
				at = *key.EngineURL
			}
			return o.print(cmd, key, []string{"COLLECTION", "ENGINE", "EXPIRES", "KEY"}, [][]string{{key.Collection, at, when(key.ExpiresAt), key.Key}})
		})
	create.Flags().DurationVar(&life, "life", time.Hour, "lifetime of the key, 1m to 24h; the key cannot be revoked")
	create.Flags().StringSliceVar(&exclude, "exclude", nil, "fields that the results do not contain; may be repeated")
	create.Flags().StringVar(&filterFile, "filter", "", "file with a filter that limits every search with the key, in the syntax of searches; not possible with a Typesense server")
	return group("search-keys", "Create keys for direct searches of the engine by browsers", create)
}
