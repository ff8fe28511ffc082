package sets

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// migrated is how Typesense 30 names the sets that it makes, when a 29 is upgraded, of what each collection had of its own: the name of the collection stands before it.
var migrated = map[tsclient.RecordKind]string{tsclient.SynonymSets: "_synonyms_index", tsclient.CurationSets: "_curations_index"}

// reclaim takes the rules that this service had given collections out of the sets that an upgrade has put them into: they would hold for ever, whatever becomes of their own sets. A set without others is
// dropped when no collection names it any more.
func (r *run) reclaim(ctx context.Context, has map[tsclient.RecordKind]map[string]json.RawMessage) error {
	for kind, suffix := range migrated {
		for name, record := range has[kind] {
			if ours(name) || !strings.HasSuffix(name, suffix) {
				continue
			}
			if err := r.goesOn(ctx, r.reclaimFrom(ctx, kind, name, record)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) reclaimFrom(ctx context.Context, kind tsclient.RecordKind, name string, record json.RawMessage) error {
	var set struct {
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(record, &set); err != nil {
		return problem.New(problem.BadUpstream, "The search engine's answer can't be read.").Wrap(err)
	}
	others := slices.DeleteFunc(slices.Clone(set.Items), isOurs)
	switch len(others) {
	case len(set.Items):
		return nil
	case 0:
		r.emptied[place{kind, "", name}] = true
		return nil
	}
	body, err := json.Marshal(map[string]any{"items": others})
	if err != nil {
		return fmt.Errorf("write the rules of others: %w", err)
	}
	if err := r.engine.PutRecord(ctx, kind, "", name, body); err != nil {
		return fmt.Errorf("put %s %s: %w", kind, name, err)
	}
	return nil
}

// isOurs reports whether an item of a set is a rule of this service.
func isOurs(item json.RawMessage) bool {
	var head struct {
		ID string `json:"id"`
	}
	return json.Unmarshal(item, &head) == nil && ours(head.ID)
}
