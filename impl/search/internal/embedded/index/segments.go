package index

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
)

// ErrDamaged says that a segment is not what was written. The index must be made anew from the documents.
var ErrDamaged = errors.New("the index is damaged")

// Config says where an index lies and whom it tells. The zero value is an index in memory.
type Config struct {
	// Dir holds the files of the index; empty: it lies in memory alone.
	Dir string
	// Persisted is told the commit up to which the files hold all changes; nil tells nobody.
	Persisted func(commit uint64) error
	// FlushChanges is the number of changes at which they are written to a file: about as many are indexed again after a crash. 0: 8192.
	FlushChanges int
	// Log takes what went wrong in the background; nil discards it.
	Log *slog.Logger
}

// Segments is an Index of immutable segments. A search reads the view that is there when it begins; who changes the index makes another
// view and puts it in its place, so that no search waits. See docs/decisions/0038-segments.md.
type Segments struct {
	config Config
	view   atomic.Pointer[view]

	mu      sync.Mutex // held by who makes a new view
	calm    *sync.Cond // of mu: told when the background work rests
	working bool
	closed  bool
	// complete says that the index holds all documents up to the view's commit: only then is it worth a manifest.
	complete bool
	unsaved  int // changes since the last manifest
	// resting says that a file could not be written: no more are until there are changes enough.
	resting bool
	current *job // under way
	files   fileNames
	damage  error // found in the background
}

// view is the state of the index at one moment.
type view struct {
	parts     []part
	documents int
	dead      int
	terms     int
	bytes     int64
	// commit is the store's commit up to which all changes are in the view.
	commit uint64
}

// Costs of the memory estimate, in bytes.
const (
	segmentBytes = 1 << 10 // what a segment costs beside its documents
	mappedShare  = 64      // of a mapped segment so much is taken for memory of its own
)

func newView(parts []part, commit uint64) *view {
	v := &view{commit: commit}
	for _, p := range parts {
		if p.documents() == 0 {
			continue
		}
		v.parts = append(v.parts, p)
		v.documents += p.documents()
		v.dead += p.deadCount()
		v.bytes += segmentBytes
		if p.seg.file == nil {
			v.bytes += p.seg.size
		} else {
			v.bytes += p.seg.size / mappedShare
		}
		if p.dead != nil {
			v.bytes += int64(p.dead.GetSizeInBytes())
		}
		for _, f := range p.seg.fields {
			if f.words != nil {
				v.terms += f.words.terms.len()
			}
		}
	}
	return v
}

var _ Index = (*Segments)(nil)

// New returns an empty index. Its files, if it has any, begin with nothing: Open reads what is there.
func New(c Config) *Segments {
	x := &Segments{config: c, complete: true}
	if x.config.Log == nil {
		x.config.Log = slog.New(slog.DiscardHandler)
	}
	if x.config.FlushChanges == 0 {
		x.config.FlushChanges = flushChanges
	}
	x.calm = sync.NewCond(&x.mu)
	x.view.Store(newView(nil, 0))
	return x
}

// errUnsound says that work on parts ended in a run-time error: their pages have changed since they were checked, or it is a fault of ours.
var errUnsound = errors.New("the index could not be worked on")

// guard runs fn on parts and turns a fault of a mapped file, or a run-time error over pages that have changed, into ErrDamaged.
func guard(parts []part, fn func() error) error {
	err := caught(fn)
	if errors.Is(err, errUnsound) {
		for _, p := range parts {
			if p.seg.file == nil {
				continue
			}
			// One that was merged meanwhile is not there any more, and nothing is known of its pages.
			if found := checkFile(p.seg.file.path); found != nil && !errors.Is(found, fs.ErrNotExist) {
				err = fmt.Errorf("%w: %w", ErrDamaged, found)
			}
		}
	}
	runtime.KeepAlive(parts) // their files stay mapped until here
	return err
}

func caught(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }: // of runtime.Error: a page that is not there
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		case runtime.Error:
			err = fmt.Errorf("%w: %w: %s", errUnsound, p, debug.Stack())
		default:
			panic(p)
		}
	}()
	return fn()
}

// Search implements Index.
func (x *Segments) Search(ctx context.Context, plan Plan) (res Result, err error) {
	v := x.view.Load()
	err = guard(v.parts, func() (err error) {
		res, err = newSearch(ctx, &plan, v).result(v.documents)
		return err
	})
	return res, err
}

// Holds says whether the index has the document.
func (x *Segments) Holds(seq uint64) (ok bool, err error) {
	v := x.view.Load()
	err = guard(v.parts, func() error {
		_, _, ok = v.find(seq)
		return nil
	})
	return ok, err
}

// find returns where a living document is.
func (v *view) find(seq uint64) (at int, doc uint32, ok bool) {
	for i, p := range v.parts {
		if doc, ok := p.seg.find(seq); ok && p.alive(doc) {
			return i, doc, true
		}
	}
	return 0, 0, false
}

// Stats implements Index.
func (x *Segments) Stats() Stats {
	v := x.view.Load()
	return Stats{Documents: v.documents, Dead: v.dead, Terms: v.terms, Bytes: v.bytes}
}

// Commit is the store's commit up to which all changes are in the index.
func (x *Segments) Commit() uint64 { return x.view.Load().commit }

// Apply implements Index. It fails only when the changes contradict what the index holds, or when the index is damaged.
func (x *Segments) Apply(batch Batch) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.damage != nil {
		return x.damage
	}
	x.holdBack()
	old := x.view.Load()
	err := guard(old.parts, func() error {
		v, err := x.changed(old, batch)
		if err == nil {
			x.view.Store(v)
			x.unsaved += len(batch)
		}
		return err
	})
	x.wake()
	return err
}

// changed makes the view after a batch.
func (x *Segments) changed(v *view, batch Batch) (*view, error) {
	commit := v.commit
	latest := make(map[uint64]Change, len(batch))
	dead := make(map[int][]uint32)
	for _, c := range batch {
		commit = max(commit, c.Commit)
		before, again := latest[c.Seq]
		at, doc, known := v.find(c.Seq)
		if again {
			known = before.New != nil
		}
		if known != (c.Old != nil) {
			return nil, errors.New("index and store disagree about a document")
		}
		if known && !again {
			dead[at] = append(dead[at], doc)
		}
		latest[c.Seq] = c
	}
	parts := slices.Clone(v.parts)
	for at, docs := range dead {
		parts[at] = parts[at].without(docs)
	}
	var docs []document
	for seq, c := range latest {
		if c.New != nil {
			docs = append(docs, document{seq, c.Schema, c.New})
		}
	}
	if len(docs) > 0 {
		parts = append(parts, part{seg: build(docs)})
	}
	return newView(x.mergeSmall(parts), commit), nil
}

const (
	// mergeParts is how many parts of about one size in memory make a larger one, mergeFiles how many in files: every part is looked into by
	// every search.
	mergeParts = 8
	mergeFiles = 4
	// smallDocs is the size up to which parts are merged at once, by who writes.
	smallDocs = 512
	// mostParts is the number of parts at which writers wait for the background.
	mostParts = 48
)

// size sorts parts by the magnitude of their documents.
func size(p part, base int) (class int) {
	for n := p.documents(); n >= base; n /= base {
		class++
	}
	return class
}

// alike finds that many parts of one size, the smallest first, among those that may be merged.
func alike(parts []part, many int, may func(p part) bool) []int {
	classes := make(map[int][]int)
	smallest := -1
	for i, p := range parts {
		if !may(p) {
			continue
		}
		class := size(p, many)
		classes[class] = append(classes[class], i)
		if len(classes[class]) >= many && (smallest < 0 || class < smallest) {
			smallest = class
		}
	}
	if smallest < 0 {
		return nil
	}
	return classes[smallest]
}

// mergeSmall merges small parts in memory, but for those that the background merges at this time: their documents must not be in two
// parts, of which one goes to a file as if the other were not there.
func (x *Segments) mergeSmall(parts []part) []part {
	small := func(p part) bool {
		busy := x.current != nil && slices.ContainsFunc(x.current.parts, func(old part) bool { return old.seg == p.seg })
		return !busy && p.seg.file == nil && p.documents() <= smallDocs/mergeParts
	}
	for {
		found := alike(parts, mergeParts, small)
		if found == nil {
			return parts
		}
		m := merge(pick(parts, found))
		parts = append(leave(parts, found), part{seg: m.seg})
	}
}

func pick(parts []part, at []int) (picked []part) {
	for _, i := range at {
		picked = append(picked, parts[i])
	}
	return picked
}

func leave(parts []part, at []int) (left []part) {
	for i, p := range parts {
		if !slices.Contains(at, i) {
			left = append(left, p)
		}
	}
	return left
}

// holdBack waits while there are too many parts. The caller holds mu.
func (x *Segments) holdBack() {
	for x.working && len(x.view.Load().parts) >= mostParts {
		x.calm.Wait()
	}
}

// wake starts the background work if there is some. The caller holds mu.
func (x *Segments) wake() {
	if x.working || x.closed || x.damage != nil || x.next(x.view.Load()) == nil {
		return
	}
	x.working = true
	go x.work()
}
