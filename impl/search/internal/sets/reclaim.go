package sets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// migrated is how Typesense 30 names the sets that it makes, when a 29 is upgraded, of what each collection had of its own: the name of the collection stands before it.
var migrated = []struct {
	kind   tsclient.RecordKind
	suffix string
}{{tsclient.SynonymSets, "_synonyms_index"}, {tsclient.CurationSets, "_curations_index"}}

// reclaim takes the rules that this service had given collections out of the sets that an upgrade has put them into: they would hold for ever, whatever becomes of their own sets. It removes them one by one: the sets are none of this
// service's, and somebody else may write into them meanwhile. One without others stays, and holds nothing.
func (r *run) reclaim(ctx context.Context, has map[tsclient.RecordKind]map[string]json.RawMessage) error {
	for _, m := range migrated {
		for name, record := range has[m.kind] {
			if ours(name) || !strings.HasSuffix(name, m.suffix) {
				continue
			}
			if err := r.goesOn(ctx, r.reclaimFrom(ctx, m.kind, name, record)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) reclaimFrom(ctx context.Context, kind tsclient.RecordKind, name string, record json.RawMessage) error {
	var set struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	if err := json.Unmarshal(record, &set); err != nil {
		return problem.New(problem.BadUpstream, "The search engine's answer can't be read.").Wrap(err)
	}
	for _, item := range set.Items {
		if !ours(item.ID) {
			continue
		}
		if err := r.engine.DeleteItem(ctx, kind, name, item.ID); err != nil && !errors.Is(err, problem.NotFound) {
			return fmt.Errorf("delete %s of %s %s: %w", item.ID, kind, name, err)
		}
	}
	return nil
}
