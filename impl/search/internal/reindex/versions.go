package reindex

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/problem"
)

// ErrWriting reports that somebody else is writing one of the documents.
var ErrWriting = errors.New("a document is being written")

// Conflict is the outcome of a change that requires another version of its document than the current one.
type Conflict struct{ Current int64 }

// Error implements error.
func (c *Conflict) Error() string {
	return fmt.Sprintf("the document has version %d", c.Current)
}

// conflict returns a result with a Conflict.
func conflict(current int64) Result {
	text := fmt.Sprintf("The document has version %d.", current)
	if current == 0 {
		text = "The document has no version: it does not exist."
	}
	return Result{Outcome: problem.New(problem.VersionConflict, text).Wrap(&Conflict{current}), Version: current}
}

// Standing is what is known of a document before it is written. Version is 0 if the document does not exist. Writer is the mark of the
// writer of that version, if that writer may repeat the write. Doubt reports that the same writer is back and it is unknown whether its
// earlier write was carried out.
type Standing struct {
	Version int64
	Writer  string
	Doubt   bool
}

// Decide returns which of the documents are to be written, given what is known of them.
type Decide func(known map[string]Standing) (claims []string)

// Fate is what became of a document that was to be written.
type Fate int

// The fates.
const (
	Written Fate = iota
	Deleted
	Refused // it is unchanged
	Unknown // it is unchanged or written: it gets a new version that nobody has seen
)

// VersionRows stores the versions of documents. A version is never given twice in a collection.
type VersionRows interface {
	// ClaimVersions leases the documents that decide returns, and returns the versions that they will get. documents maps each document to
	// the mark of its writer, or "". On an error nothing is leased. Errors: ErrWriting, owner.ErrGone.
	ClaimVersions(ctx context.Context, c *owner.Collection, l lease.Lease, documents map[string]string, decide Decide) (next map[string]int64, err error)
	// SettleVersions ends the lease. Error: lease.ErrLost if somebody else has leased one of the documents in the meantime.
	SettleVersions(ctx context.Context, c *owner.Collection, l lease.Lease, fates map[string]Fate) error
	// VersionOf returns the version of a document, or 0 if it does not exist.
	VersionOf(ctx context.Context, c *owner.Collection, document string) (int64, error)
	// LastVersion returns the last version that was given in a collection.
	LastVersion(ctx context.Context, c *owner.Collection) (int64, error)
}

// writingLimit is how long a write waits for other writes of the same documents, and writingPause the pause between two attempts.
// leaseItems and leaseBytes limit what is written under one lease.
const (
	writingLimit = 10 * time.Second
	writingPause = 20 * time.Millisecond
	leaseItems   = engine.ImportDocuments
	leaseBytes   = engine.ImportBytes
)

// Result is the outcome of an Item.
type Result struct {
	Outcome engine.Outcome // nil is success
	Version int64          // the current version of the document, if the collection keeps versions; 0 if it does not exist
}

// send writes items, each for a different document. An error means that the outcome of all items is unknown, unless it is an
// engine.Untouched.
type send func(ctx context.Context, items []engine.Item) ([]engine.Outcome, error)

// versioned writes items in batches. If a batch fails after others were written, the remaining items have that error as their outcome.
func (w *Writer) versioned(ctx context.Context, c *owner.Collection, items []engine.Item, do send) ([]Result, error) {
	results := make([]Result, 0, len(items))
	for len(results) < len(items) {
		some := items[len(results):]
		n, size := 0, 0
		for n < len(some) && n < leaseItems && (n == 0 || size+len(some[n].Document) <= leaseBytes) {
			size += len(some[n].Document)
			n++
		}
		part, err := w.leased(ctx, c, some[:n], do)
		if err != nil && len(results) == 0 {
			return nil, err
		}
		if err != nil {
			return append(results, failedAll(len(some), err)...), nil
		}
		results = append(results, part...)
	}
	return results, nil
}

func failedAll(n int, err error) []Result {
	all := make([]Result, n)
	for i := range all {
		all[i].Outcome = err
	}
	return all
}

// leased writes items under one lease. The write ends before the lease does. It waits while somebody else writes one of the documents.
func (w *Writer) leased(ctx context.Context, c *owner.Collection, items []engine.Item, do send) ([]Result, error) {
	for began := time.Now(); ; {
		results, err := w.lease(ctx, c, items, do)
		if !errors.Is(err, ErrWriting) {
			return results, err
		}
		if time.Since(began) > writingLimit || !rest(ctx, writingPause, nil) {
			return nil, problem.New(problem.ConcurrencyLimited, "Other writes of the same documents are under way.").WithRetryAfter(time.Second)
		}
	}
}

func (w *Writer) lease(ctx context.Context, c *owner.Collection, items []engine.Item, do send) ([]Result, error) {
	limited, cancel := context.WithTimeout(ctx, lease.CallLimit) // from before the lease, so that no call arrives once another writer may have the lease
	defer cancel()
	l, plan := lease.New(lease.Last), newPlan(items)
	next, err := w.rows.ClaimVersions(limited, c, l, plan.writers, plan.decide)
	switch {
	case errors.Is(err, owner.ErrGone):
		return nil, problem.New(problem.NotFound, "There is no such collection.").Wrap(err)
	case err != nil:
		return nil, err
	case len(next) == 0:
		return plan.results, nil
	}
	sent := plan.sent()
	outcomes, failed := do(limited, sent)
	fates := make(map[string]Fate, len(sent))
	for i, item := range sent {
		fates[item.Stored()] = plan.outcomeOf(item, outcomes, i, failed)
	}
	settling, done := context.WithTimeout(context.WithoutCancel(ctx), lease.CallLimit)
	defer done()
	settled := w.rows.SettleVersions(settling, c, l, fates)
	if failed != nil {
		return nil, errors.Join(failed, settled)
	}
	if settled != nil { // what was written has a version that this process does not know
		return nil, problem.New(problem.EngineUnavailable, "The write took too long to report its versions.").WithRetryAfter(2 * time.Second).Wrap(settled)
	}
	plan.settle(sent, outcomes, next, fates)
	return plan.results, nil
}

func (p *plan) outcomeOf(item engine.Item, outcomes []engine.Outcome, i int, failed error) Fate {
	untouched := failed != nil && engine.Untouched(failed) || failed == nil && outcomes[i] != nil
	switch {
	case untouched && p.known[item.Stored()].Doubt: // this attempt changed nothing, but the outcome of the earlier one is unknown
		return Unknown
	case untouched:
		return Refused
	case failed != nil:
		return Unknown
	case item.Document == nil:
		return Deleted
	}
	return Written
}

// plan decides the outcomes of items in their order. A later item of a document is decided after the earlier ones of it.
type plan struct {
	items   []engine.Item
	writers map[string]string
	results []Result
	counts  map[string]int // the item of each document that is written: the last permitted one
	known   map[string]Standing
	after   []int // items that require a version that an earlier item changes
	open    []int // items that may be written
}

func newPlan(items []engine.Item) *plan {
	p := &plan{items: items, writers: make(map[string]string, len(items))}
	for _, item := range items {
		if p.writers[item.Stored()] == "" {
			p.writers[item.Stored()] = item.Mark
		}
	}
	return p
}

// decide implements Decide. It may be called more than once.
func (p *plan) decide(known map[string]Standing) (claims []string) {
	p.results, p.counts, p.known, p.after, p.open = make([]Result, len(p.items)), map[string]int{}, known, nil, nil
	for i, item := range p.items {
		of := item.Stored()
		now := known[of]
		_, taken := p.counts[of]
		switch {
		case !item.Conditional():
		case taken:
			p.after = append(p.after, i)
			continue
		case item.Mark != "" && item.Mark == now.Writer: // it was written, and that was not recorded
			p.results[i].Version = now.Version
			continue
		case !item.Holds(now.Version):
			p.results[i] = conflict(now.Version)
			continue
		}
		if !taken {
			claims = append(claims, of)
		}
		p.counts[of] = i
		p.open = append(p.open, i)
	}
	return claims
}

// sent returns the items that are written.
func (p *plan) sent() []engine.Item {
	out := make([]engine.Item, 0, len(p.counts))
	for i, item := range p.items {
		if last, ok := p.counts[item.Stored()]; ok && last == i {
			out = append(out, item)
		}
	}
	return out
}

// settle sets the results of what was written.
func (p *plan) settle(sent []engine.Item, outcomes []engine.Outcome, next map[string]int64, fates map[string]Fate) {
	became := make(map[string]Result, len(sent))
	for i, item := range sent {
		r := Result{Outcome: outcomes[i]}
		switch of := item.Stored(); fates[of] {
		case Written:
			r.Version = next[of]
		case Refused, Unknown:
			r.Version = p.known[of].Version
		}
		became[item.Stored()] = r
	}
	for _, i := range p.open {
		p.results[i] = became[p.items[i].Stored()]
	}
	for _, i := range p.after {
		p.results[i] = conflict(became[p.items[i].Stored()].Version)
	}
}

// one adapts a write of a single document. A refusal that changed nothing becomes an outcome.
func one(do func(ctx context.Context, item engine.Item) error) send {
	return func(ctx context.Context, items []engine.Item) ([]engine.Outcome, error) {
		err := do(ctx, items[0])
		if err != nil && engine.Passing(err) {
			return nil, err
		}
		return []engine.Outcome{err}, nil
	}
}

// deleteRounds limits how often deleteVersioned searches again for documents that changed while others were being deleted.
const deleteRounds = 5

// deleteVersioned deletes the documents that match a filter, as far as they have not been written since they were found. For those that
// have, it searches again.
func (w *Writer) deleteVersioned(ctx context.Context, c *owner.Collection, m Mapping, filter string) (n int64, err error) {
	for range deleteRounds {
		last, err := w.rows.LastVersion(ctx, c)
		if err != nil {
			return n, err
		}
		found, err := w.fitting(ctx, m.Physical, filter)
		if err != nil {
			return n, err
		}
		deleted, changed, err := w.deleteUnchanged(ctx, c, m, found, last)
		if n += deleted; err != nil || changed == 0 {
			return n, err
		}
	}
	return n, problem.New(problem.ConcurrencyLimited, "Documents that match the filter are being changed continuously.").WithRetryAfter(time.Second)
}

func (w *Writer) deleteUnchanged(ctx context.Context, c *owner.Collection, m Mapping, found []string, last int64) (deleted, changed int64, err error) {
	for len(found) > 0 {
		some := found[:min(len(found), leaseItems)]
		found = found[len(some):]
		if m.Noting != "" {
			if err := w.rows.Note(ctx, m.Noting, some); err != nil {
				return deleted, changed, fmt.Errorf("note what is deleted: %w", err)
			}
		}
		items := make([]engine.Item, len(some))
		for i, d := range some {
			items[i] = engine.Item{ID: d, If: func(version int64) bool { return version <= last }}
		}
		results, err := w.leased(ctx, c, items, func(ctx context.Context, items []engine.Item) ([]engine.Outcome, error) {
			return w.engine.Sync(ctx, m.Physical, items)
		})
		if err != nil {
			return deleted, changed, err
		}
		for _, r := range results {
			if r.Outcome == nil {
				deleted++
			} else {
				changed++
			}
		}
	}
	return deleted, changed, nil
}
