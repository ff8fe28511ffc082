package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

// compare splits a batch into what the scope has and what it does not. An element of the same id that began with other data
// belongs to another text, and is an error; one that was changed since is the same.
func (r *run) compare(ctx context.Context, kind string, batch []sequence.ElementCreate) (there []sequence.Element, missing []sequence.ElementCreate, err error) {
	for _, e := range batch {
		found, err := r.Client.Sequence.GetElement(ctx, r.Scope, kind, *e.ID)
		if errors.Is(err, fountain.ErrNotFound) {
			missing = append(missing, e)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		first := found.Data
		if found.Version > 1 {
			v, err := r.Client.Sequence.GetVersion(ctx, r.Scope, kind, *e.ID, 1)
			if err != nil {
				return nil, nil, err
			}
			first = v.Data
		}
		if !sameJSON(first, e.Data) {
			return nil, nil, fmt.Errorf("the scope %q holds another text: its element %s differs; choose another --scope", r.Scope, *e.ID)
		}
		there = append(there, *found)
	}
	return there, missing, nil
}

// sameJSON reports whether two documents mean the same.
func sameJSON(a, b json.RawMessage) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
