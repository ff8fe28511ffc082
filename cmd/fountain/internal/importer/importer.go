// Package importer stores a screenplay through the SDK as FountainAI's elements, in batches that may be repeated: what is
// there already is not stored twice, whenever and however often an import is run again.
package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/internal/screenplay"
)

const (
	maxBatch      = 1000    // elements, the most that createElements takes
	maxBatchBytes = 4 << 20 // half of what it takes
)

// types is the order in which an import goes through the element types.
var types = []string{screenplay.TypeScript, screenplay.TypeSection, screenplay.TypeCharacter, screenplay.TypeAction, screenplay.TypeSpokenWord}

// Options says where an import goes.
type Options struct {
	Client    *fountain.Client
	Scope     string
	BatchSize int            // at most; 0 is 250
	Progress  func(Progress) // called after each batch, in order; may be nil
}

// Progress tells how far an import is.
type Progress struct {
	Type        string
	Done, Total int // elements of all types
}

// Count tells what became of one type's elements.
type Count struct {
	Type        string
	Elements    int   // in the screenplay
	Found       int   // of these, already stored by an earlier run
	First, Last int64 // their numbers
}

// Import stores the outline of a screenplay. Each element's id is its type and its place in it (spokenWord-17), its data the
// outline's and its position in the whole. It returns an error that names the first element that differs when the scope
// holds another text.
func Import(ctx context.Context, script *screenplay.Script, o Options) ([]Count, error) {
	if o.BatchSize <= 0 {
		o.BatchSize = 250
	}
	o.BatchSize = min(o.BatchSize, maxBatch)
	byType, total, err := elements(script)
	if err != nil {
		return nil, err
	}
	im := &run{Options: o, total: total}
	var counts []Count
	for _, kind := range types {
		if len(byType[kind]) == 0 {
			continue
		}
		count, err := im.store(ctx, kind, byType[kind])
		if err != nil {
			return counts, fmt.Errorf("import %s elements: %w", kind, err)
		}
		counts = append(counts, count)
	}
	return counts, nil
}

// elements makes what is sent of a screenplay, by type.
func elements(script *screenplay.Script) (map[string][]sequence.ElementCreate, int, error) {
	out := make(map[string][]sequence.ElementCreate)
	items := screenplay.Outline(script)
	for i, item := range items {
		item.Data["position"] = i + 1 // the order across types
		data, err := json.Marshal(item.Data)
		if err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", item.Line, err)
		}
		id := fmt.Sprintf("%s-%d", item.Type, len(out[item.Type])+1)
		out[item.Type] = append(out[item.Type], sequence.ElementCreate{ID: &id, Data: data})
	}
	return out, len(items), nil
}

// run is one import under way.
type run struct {
	Options
	done, total int
}

// store sends one type's elements, batch after batch.
func (r *run) store(ctx context.Context, kind string, all []sequence.ElementCreate) (Count, error) {
	count := Count{Type: kind, Elements: len(all)}
	for rest := all; len(rest) > 0; {
		batch := rest[:r.take(rest)]
		rest = rest[len(batch):]
		stored, found, err := r.send(ctx, kind, batch)
		if err != nil {
			return count, err
		}
		for _, e := range stored {
			if count.First == 0 || e.Number < count.First {
				count.First = e.Number
			}
			count.Last = max(count.Last, e.Number)
		}
		count.Found += found
		r.done += len(batch)
		if r.Progress != nil {
			r.Progress(Progress{Type: kind, Done: r.done, Total: r.total})
		}
	}
	return count, nil
}

// take is how many elements make the next batch.
func (r *run) take(rest []sequence.ElementCreate) int {
	bytes := 0
	for i, e := range rest {
		bytes += len(e.Data)
		if i == r.BatchSize || (i > 0 && bytes > maxBatchBytes) {
			return i
		}
	}
	return len(rest)
}

// send stores a batch. Its key comes from its content, so a repeat within a day gets the first answer; after that, or when
// the batches were cut differently, the service refuses ids that are there, and only the others are sent.
func (r *run) send(ctx context.Context, kind string, batch []sequence.ElementCreate) (stored []sequence.Element, found int, err error) {
	result, err := r.create(ctx, kind, batch)
	if err == nil {
		return result, 0, nil
	}
	if !errors.Is(err, fountain.CodeAlreadyExists) {
		return nil, 0, err
	}
	there, missing, err := r.compare(ctx, kind, batch)
	if err != nil || len(missing) == 0 {
		return there, len(there), err
	}
	result, err = r.create(ctx, kind, missing)
	return append(there, result...), len(there), err
}

func (r *run) create(ctx context.Context, kind string, batch []sequence.ElementCreate) ([]sequence.Element, error) {
	key, err := contentKey(r.Scope, kind, batch)
	if err != nil {
		return nil, err
	}
	result, err := r.Client.Sequence.CreateElements(ctx, r.Scope, kind, sequence.ElementBatch{Elements: batch}, fountain.WithIdempotencyKey(key))
	if err != nil {
		return nil, err
	}
	return result.Items, nil
}

// contentKey is the Idempotency-Key of a batch.
func contentKey(scope, kind string, batch []sequence.ElementCreate) (string, error) {
	body, err := json.Marshal(batch)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", scope, kind, body))
	return "import-" + hex.EncodeToString(sum[:20]), nil
}
