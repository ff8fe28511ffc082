// Package importer stores a screenplay through the SDK as FountainAI's elements, in batches that may be repeated: what is
// there already is not stored twice, whenever and however often an import is run again. Export gives it back.
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
	maxReorder    = 10_000  // elements, the most that reorderElements takes
)

// types is the order in which an import goes through the element types.
var types = []string{screenplay.TypeScript, screenplay.TypeSection, screenplay.TypeCharacter, screenplay.TypeAction, screenplay.TypeSpokenWord,
	screenplay.TypeNote}

// Options says where an import goes, and what it does with a play that differs from what is stored.
type Options struct {
	Client    *fountain.Client
	Scope     string
	BatchSize int            // at most; 0 is 250
	Progress  func(Progress) // called after each step, in order; may be nil
	DryRun    bool           // only compare
	Update    bool           // store the differences: new elements, new versions, what is gone is omitted, the numbers follow the play
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
	Found       int   // of these, already stored
	First, Last int64 // their numbers
}

// Result tells what an import did, or would do.
type Result struct {
	Counts  []Count
	Changes []Change
	// Edited is how many elements somebody changed in the service since they were imported: they stay as they are, but for those that changed in the
	// play too.
	Edited int
	// Renumbered is how many elements got another number, so that the numbers follow the play.
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

// DiffersError says that a scope holds another text than the play, by the play's first line that differs.
type DiffersError struct {
	Scope  string
	Result *Result
}

// Error names the first difference.
func (e *DiffersError) Error() string {
	r := e.Result
	first := r.Changes[0]
	where := fmt.Sprintf("line %d is %s", first.Line, first.What)
	if first.What == "gone" {
		where = first.ID + " is in no line"
	} else if first.ID != "" {
		where += " (" + first.ID + ")"
	}
	return fmt.Sprintf("the scope %q holds another text: %s; in all %d elements are new, %d changed, %d gone: --dry-run shows them, --update stores them, "+
		"another --scope keeps both", e.Scope, where, r.Number("new"), r.Number("changed"), r.Number("gone"))
}

// ErrSecondFactor says that all that is new or changed was stored, and that what asks for a second factor is left: elements that are gone are not omitted, or the
// numbers are not in the play's order.
var ErrSecondFactor = errors.New("what is new or changed is stored, but what is gone is not omitted, or the numbers do not follow the play yet: run the same again to finish")

// Import stores the outline of a screenplay. Each new element's id is its type and a number (spokenWord-17), its data the outline's and its position in
// the whole. Without Update nothing is stored where the scope holds another text: *DiffersError.
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

// run is one import under way.
type run struct {
	Options
	plan   *plan
	result *Result
	done   int
}

// store does what the plan says: nothing is taken away before all that is new is there.
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

// add sends one type's new elements, batch after batch, and counts the type.
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

// change gives an element that changed a new version.
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

// omit omits the elements that are gone. The service asks a person for a second factor.
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

// renumber lets the numbers of each type follow the play. The service asks a person for a second factor.
func (r *run) renumber(ctx context.Context) error {
	for _, kind := range types {
		order := disorder(r.plan.byType[kind])
		if len(order) == 0 {
			continue
		}
		if len(order) > maxReorder {
			return fmt.Errorf("%s: %d elements would get another number, the service takes %d at once: %w", kind, len(order), maxReorder, ErrSecondFactor)
		}
		done, err := r.Client.Sequence.ReorderElements(ctx, r.Scope, kind, sequence.Reorder{Order: order, Comment: fountain.Ptr(comment)})
		if err != nil {
			return fmt.Errorf("%w (%s: %w)", ErrSecondFactor, kind, err)
		}
		r.result.Renumbered += len(done.Changes)
	}
	return nil
}

// disorder lists, in the play's order, the elements from the first to the last whose number is not the one that the order gives them.
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

// create stores a batch. Its key comes from its content, so a repeat within a day gets the first answer.
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

// contentKey is the Idempotency-Key of a batch.
func contentKey(scope, kind string, batch []sequence.ElementCreate) (string, error) {
	body, err := json.Marshal(batch)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", scope, kind, body))
	return "import-" + hex.EncodeToString(sum[:20]), nil
}
