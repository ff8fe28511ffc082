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

// migrated lists the suffixes of the sets that Typesense 30 creates when version 29 is upgraded. It moves the rules of each collection into
// a set named after the collection, followed by the suffix.
var migrated = []struct {
	kind   tsclient.RecordKind
	suffix string
}{{tsclient.SynonymSets, "_synonyms_index"}, {tsclient.CurationSets, "_curations_index"}}

// reclaim deletes this service's rules from the sets that an upgrade has moved them into. Left there they would apply for ever, whatever
// becomes of the sets that they came from. Rules are deleted one by one, because the migrated set does not belong to this service and other
// programs may write to it at the same time. A set that becomes empty stays and has no effect.
func (r *run) reclaim(ctx context.Context, has map[tsclient.RecordKind]map[string]json.RawMessage) error {
	for _, m := range migrated {
		for name, record := range has[m.kind] {
			if isOurs(name) || !strings.HasSuffix(name, m.suffix) {
				continue
			}
			if err := r.collectRefusal(ctx, r.reclaimFrom(ctx, m.kind, name, record)); err != nil {
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
		if !isOurs(item.ID) {
			continue
		}
		if err := r.engine.DeleteItem(ctx, kind, name, item.ID); err != nil && !errors.Is(err, problem.NotFound) {
			return fmt.Errorf("delete %s of %s %s: %w", item.ID, kind, name, err)
		}
	}
	return nil
}
