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

// ErrDamaged reports that a segment is not as it was written. The index must be rebuilt from the documents.
var ErrDamaged = errors.New("the index is damaged")

// Config configures an index. The zero value is an index in memory.
type Config struct {
	// Dir is the directory of the index's files; "" for an index in memory only.
	Dir string
	// Persisted is called with the commit up to which the files contain all changes; may be nil.
	Persisted func(commit uint64) error
	// FlushChanges is the number of changes after which they are written to a file. About that many are indexed again after a crash. 0
	// means 8192.
	FlushChanges int
	// Log receives errors of the background work; nil discards them.
	Log *slog.Logger
}

// Segments is an Index of immutable segments. A search uses the view that is current when it starts. A change creates a new view and
// replaces the current one, so that searches never wait. See docs/decisions/0038-segments.md.
type Segments struct {
	config Config
	view   atomic.Pointer[view]

	mu      sync.Mutex // held while a new view is made
	calm    *sync.Cond // of mu; signalled when the background work makes progress or ends
	working bool
	closed  bool
	// complete reports that the index contains all documents up to the view's commit. Only then is a manifest written.
	complete bool
	unsaved  int // changes since the last manifest
	// resting reports that a file could not be written. No further attempt is made until there are enough changes.
	resting bool
	current *job // being carried out
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
	// commit is the store's commit up to which the view contains all changes.
	commit uint64
}

// Costs of the memory estimate, in bytes.
const (
	segmentBytes = 1 << 10 // cost of a segment in addition to its documents
	mappedShare  = 64      // the fraction of a mapped segment that is counted as memory
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

// New returns an empty index. It does not read existing files; Open does.
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

// errUnsound reports that work on parts ended in a run-time error. Either their pages have changed since they were verified, or the program
// has an error.
var errUnsound = errors.New("the index could not be worked on")

// guard runs fn on parts. It turns a page fault in a mapped file, or a run-time error caused by pages that have changed, into ErrDamaged.
func guard(parts []part, fn func() error) error {
	err := caught(fn)
	if errors.Is(err, errUnsound) {
		for _, p := range parts {
			if p.seg.file == nil {
				continue
			}
			// The file of a part that was merged in the meantime is gone, and its pages can't be verified.
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
		case interface{ Addr() uintptr }: // a runtime.Error for a missing page
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

// Holds reports whether the index contains the document.
func (x *Segments) Holds(seq uint64) (ok bool, err error) {
	v := x.view.Load()
	err = guard(v.parts, func() error {
		_, _, ok = v.find(seq)
		return nil
	})
	return ok, err
}

// find returns the location of a live document.
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

// Commit returns the store's commit up to which the index contains all changes.
func (x *Segments) Commit() uint64 { return x.view.Load().commit }

// Apply implements Index. It fails only if the changes contradict the contents of the index, or if the index is damaged.
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

// changed returns the view after a batch.
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
	// mergeParts is how many parts of similar size in memory are merged into a larger one, and mergeFiles the same for files. Every search
	// looks into every part.
	mergeParts = 8
	mergeFiles = 4
	// smallDocs is the size up to which parts are merged immediately, by the writer.
	smallDocs = 512
	// mostParts is the number of parts at which writers wait for the background work.
	mostParts = 48
)

// size returns the size class of a part: the magnitude of its number of documents.
func size(p part, base int) (class int) {
	for n := p.documents(); n >= base; n /= base {
		class++
	}
	return class
}

// alike returns many parts of the same size class, the smallest class first, among those that may be merged.
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

// mergeSmall merges small parts in memory, except those that the background work is merging. Otherwise their documents would be in two
// parts, one of which is written to a file independently of the other.
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

// wake starts the background work if there is any. The caller holds mu.
func (x *Segments) wake() {
	if x.working || x.closed || x.damage != nil || x.next(x.view.Load()) == nil {
		return
	}
	x.working = true
	go x.work()
}
