// Package importer stores a screenplay as FountainAI elements, through the SDK and in batches that can be repeated.
// Elements that exist are not stored twice, whenever and however often an import is repeated. Export does the reverse.
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
	maxBatch      = 1000    // the most elements that createElements accepts
	maxBatchBytes = 4 << 20 // half the bytes that it accepts
	maxReorder    = 10_000  // the most elements that reorderElements accepts
)

// types is the order in which an import processes the element types.
var types = []string{screenplay.TypeScript, screenplay.TypeSection, screenplay.TypeCharacter, screenplay.TypeAction, screenplay.TypeSpokenWord,
	screenplay.TypeNote}

// Options says where an import goes, and what it does if the screenplay differs from what is stored.
type Options struct {
	Client    *fountain.Client
	Scope     string
	BatchSize int            // the most elements in a batch; 0: 250
	Progress  func(Progress) // called after each step, in order; may be nil
	DryRun    bool           // only compare
	Update    bool           // store the differences: add new elements and versions, omit missing elements, and renumber in the order of the screenplay
}

// Progress is the progress of an import.
type Progress struct {
	Type        string
	Done, Total int // elements of all types
}

// Count is the result for the elements of one type.
type Count struct {
	Type        string
	Elements    int   // in the screenplay
	Found       int   // how many of these were already stored
	First, Last int64 // their numbers
}

// Result says what an import did, or would do.
type Result struct {
	Counts  []Count
	Changes []Change
	// Edited is the number of elements that were edited in the service since the last import. They are not changed,
	// unless they have changed in the screenplay too.
	Edited int
	// Renumbered is the number of elements that got another number to follow the order of the screenplay.
	Renumbered int
}

// Number counts the changes of a kind: new, changed or gone.
func (r *Result) Number(what string) int {
	n := 0
	for _, c := range r.Changes {
		if c.What == what {
			n++
		}
	}
	return n
}

// DiffersError says that the scope contains a different text than the screenplay. It names the first line that differs.
type DiffersError struct {
	Scope  string
	Result *Result
}

// Error describes the first difference.
func (e *DiffersError) Error() string {
	r := e.Result
	first := r.Changes[0]
	where := fmt.Sprintf("line %d is %s", first.Line, first.What)
	if first.What == "gone" {
		where = first.ID + " is in no line"
	} else if first.ID != "" {
		where += " (" + first.ID + ")"
	}
	return fmt.Sprintf("the scope %q has another text: %s; in all %d elements are new, %d changed, %d removed: --dry-run shows them, --update stores them, "+
		"another --scope keeps both", e.Scope, where, r.Number("new"), r.Number("changed"), r.Number("gone"))
}

// ErrSecondFactor says that everything new or changed was stored, but that the steps that require a second factor are
// left: missing elements are not omitted, or the numbers are not in the order of the screenplay.
var ErrSecondFactor = errors.New("new and changed elements are stored, but removed ones are not omitted yet, or the numbers do not follow the play yet: run the same import again to finish")

// Import stores the outline of a screenplay. The id of a new element is its type and a number (spokenWord-17). Its data
// is that of the outline, with its position in the whole. Without Update nothing is stored if the scope contains a
// different text, and the error is *DiffersError.
func Import(ctx context.Context, script *screenplay.Script, o Options) (*Result, error) {
	if o.BatchSize <= 0 {
		o.BatchSize = 250
	}
	o.BatchSize = min(o.BatchSize, maxBatch)
	play, err := entries(script)
	if err != nil {
		return nil, err
	}
	have, err := read(ctx, o.Client, o.Scope)
	if err != nil {
		return nil, err
	}
	for _, kind := range types {
		for i := range have[kind] {
			if err := have[kind][i].readImported(ctx, o.Client); err != nil {
				return nil, err
			}
		}
	}
	p := match(play, have)
	r := &run{Options: o, plan: p, result: &Result{Changes: sorted(p.changes), Edited: p.edited}}
	if o.DryRun {
		return r.result, nil
	}
	if !o.Update && !p.onlyAdds() {
		return r.result, &DiffersError{o.Scope, r.result}
	}
	return r.result, r.store(ctx)
}

// run is the state of one import.
type run struct {
	Options
	plan   *plan
	result *Result
	done   int
}

// store carries out the plan. It stores everything new before it omits anything.
func (r *run) store(ctx context.Context) error {
	r.done = r.plan.total - r.result.Number("new") - r.result.Number("changed")
	for _, kind := range types {
		if len(r.plan.byType[kind]) == 0 {
			continue
		}
		if err := r.add(ctx, kind); err != nil {
			return fmt.Errorf("import %s elements: %w", kind, err)
		}
	}
	for _, c := range r.result.Changes {
		if c.What != "changed" {
			continue
		}
		if err := r.change(ctx, c); err != nil {
			return fmt.Errorf("update %s (%s): %w", c.ID, c.place(), err)
		}
	}
	if !r.Update {
		return nil
	}
	if err := r.omit(ctx); err != nil {
		return err
	}
	return r.renumber(ctx)
}

// add sends the new elements of one type in batches, and counts the type.
func (r *run) add(ctx context.Context, kind string) error {
	all := r.plan.byType[kind]
	count := Count{Type: kind, Elements: len(all)}
	next := ids(kind, r.plan.stored[kind])
	var fresh []*entry
	var creates []sequence.ElementCreate
	for _, e := range all {
		if e.old != nil {
			count.Found++
			continue
		}
		data, err := e.json()
		if err != nil {
			return fmt.Errorf("line %d: %w", e.Line, err)
		}
		id := next()
		fresh = append(fresh, e)
		creates = append(creates, sequence.ElementCreate{ID: &id, Data: data})
	}
	for len(creates) > 0 {
		n := r.take(creates)
		made, err := r.create(ctx, kind, creates[:n])
		if errors.Is(err, fountain.CodeAlreadyExists) {
			return fmt.Errorf("another import into the scope %q is at work: run this one again when it is done (%w)", r.Scope, err)
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", fresh[0].Line, err)
		}
		for i := range made {
			fresh[i].old = &stored{Element: made[i], data: fresh[i].Data}
		}
		creates, fresh = creates[n:], fresh[n:]
		r.step(kind, n)
	}
	for _, e := range all {
		if count.First == 0 || e.old.Number < count.First {
			count.First = e.old.Number
		}
		count.Last = max(count.Last, e.old.Number)
	}
	r.result.Counts = append(r.result.Counts, count)
	return nil
}

func (r *run) step(kind string, n int) {
	r.done += n
	if r.Progress != nil {
		r.Progress(Progress{Type: kind, Done: r.done, Total: r.plan.total})
	}
}

// change stores a new version of a changed element.
func (r *run) change(ctx context.Context, c Change) error {
	data, err := c.item.json()
	if err != nil {
		return err
	}
	version := sequence.VersionCreate{Data: data, Comment: fountain.Ptr(comment)}
	if _, err := r.Client.Sequence.CreateVersion(ctx, r.Scope, c.Type, c.ID, fountain.IfMatch(c.old.Version), version); err != nil {
		return err
	}
	r.step(c.Type, 1)
	return nil
}

// omit omits the missing elements. The service asks a user for a second factor.
func (r *run) omit(ctx context.Context) error {
	for _, c := range r.result.Changes {
		if c.What != "gone" {
			continue
		}
		if _, err := r.Client.Sequence.OmitElement(ctx, r.Scope, c.Type, c.ID); err != nil {
			return fmt.Errorf("%w (%s: %w)", ErrSecondFactor, c.ID, err)
		}
	}
	return nil
}

// renumber brings the numbers of each type into the order of the screenplay. The service asks a user for a second
// factor.
func (r *run) renumber(ctx context.Context) error {
	for _, kind := range types {
		order := disorder(r.plan.byType[kind])
		if len(order) == 0 {
			continue
		}
		if len(order) > maxReorder {
			return fmt.Errorf("%s: %d elements would get another number, and the service accepts %d at once: %w", kind, len(order), maxReorder, ErrSecondFactor)
		}
		done, err := r.Client.Sequence.ReorderElements(ctx, r.Scope, kind, sequence.Reorder{Order: order, Comment: fountain.Ptr(comment)})
		if err != nil {
			return fmt.Errorf("%w (%s: %w)", ErrSecondFactor, kind, err)
		}
		r.result.Renumbered += len(done.Changes)
	}
	return nil
}

// disorder returns, in the order of the screenplay, the ids from the first to the last element whose number must
// change.
func disorder(all []*entry) []string {
	numbers := make([]int64, len(all))
	for i, e := range all {
		numbers[i] = e.old.Number
	}
	first, last := misplaced(numbers)
	var order []string
	for _, e := range all[first:last] {
		order = append(order, e.old.ID)
	}
	return order
}

// take returns the number of elements in the next batch.
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

// create stores a batch. Its Idempotency-Key is derived from its content, so a repeat within a day gets the first
// response.
func (r *run) create(ctx context.Context, kind string, batch []sequence.ElementCreate) ([]sequence.Element, error) {
	key, err := contentKey(r.Scope, kind, batch)
	if err != nil {
		return nil, err
	}
	result, err := r.Client.Sequence.CreateElements(ctx, r.Scope, kind, sequence.ElementBatch{Elements: batch}, fountain.WithIdempotencyKey(key))
	if err != nil {
		return nil, err
	}
	if len(result.Items) != len(batch) {
		return nil, fmt.Errorf("the service answered with %d elements for %d", len(result.Items), len(batch))
	}
	return result.Items, nil
}

// contentKey returns the Idempotency-Key of a batch.
func contentKey(scope, kind string, batch []sequence.ElementCreate) (string, error) {
	body, err := json.Marshal(batch)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", scope, kind, body))
	return "import-" + hex.EncodeToString(sum[:20]), nil
}
