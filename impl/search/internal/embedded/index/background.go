package index

import (
	"errors"
	"fmt"
	"slices"
)

// flushChanges is the default of Config.FlushChanges.
const flushChanges = 8192

// job is one piece of background work: it merges parts of a view.
type job struct {
	view  *view
	parts []part
	// file reports that the result is written to a file. all reports that everything in the view up to its commit is in files after that.
	file, all bool
}

// next returns the next job, or nil if there is nothing to do. The caller holds mu.
func (x *Segments) next(v *view) *job {
	inMemory := func(p part) bool { return p.seg.file == nil }
	if x.config.Dir != "" && x.unsaved >= x.config.FlushChanges {
		return x.flush(v)
	}
	if found := alike(v.parts, mergeParts, inMemory); found != nil {
		return &job{view: v, parts: pick(v.parts, found)}
	}
	if x.resting {
		return nil
	}
	for _, p := range v.parts {
		if dead := p.deadCount(); dead > p.seg.n/2 && p.seg.n >= smallDocs {
			return &job{view: v, parts: []part{p}, file: !inMemory(p)}
		}
	}
	if found := alike(v.parts, mergeFiles, func(p part) bool { return !inMemory(p) }); found != nil {
		return &job{view: v, parts: pick(v.parts, found), file: true}
	}
	return nil
}

// flush returns the job that writes everything to files.
func (x *Segments) flush(v *view) *job {
	j := &job{view: v, file: true, all: true}
	for _, p := range v.parts {
		if p.seg.file == nil {
			j.parts = append(j.parts, p)
		}
	}
	return j
}

// work carries out jobs until none is left. Only one goroutine runs it at a time.
func (x *Segments) work() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.closed && x.damage == nil {
		j := x.next(x.view.Load())
		if j == nil {
			break
		}
		if err := x.do(j); err != nil {
			x.config.Log.Error("embedded engine: index segments can't be merged", "error", err)
			break
		}
		x.calm.Broadcast()
	}
	x.working = false
	x.calm.Broadcast()
}

// do carries out a job. The caller holds mu, which do releases while it works.
func (x *Segments) do(j *job) error {
	pending := x.unsaved
	x.current = j
	x.mu.Unlock()
	result, err := x.result(j)
	x.mu.Lock()
	x.current = nil
	if err != nil {
		if errors.Is(err, ErrDamaged) {
			x.damage = err
		}
		x.unsaved, x.resting = x.unsaved-pending, true // files are tried again after as many further changes
		return err
	}
	x.install(j, result)
	if j.all {
		x.unsaved -= pending
	}
	if !j.file || !x.complete {
		return nil
	}
	return x.save(j, result)
}

// result merges the parts of a job, into a file if the job says so.
func (x *Segments) result(j *job) (m merged, err error) {
	err = guard(j.parts, func() error {
		if m = merge(j.parts); !j.file || m.seg.n == 0 {
			return nil
		}
		path := x.files.next(x.config.Dir)
		if err := writeSegment(path, m.seg); err != nil {
			return fmt.Errorf("write segment: %w", err)
		}
		m.seg, err = openSegment(path)
		return err
	})
	return m, err
}

// install replaces the job's parts by the result. Documents that have died during the merge are marked as dead in the result.
func (x *Segments) install(j *job, m merged) {
	v := x.view.Load()
	var parts []part
	var dead []uint32
	for _, p := range v.parts {
		i := slices.IndexFunc(j.parts, func(old part) bool { return old.seg == p.seg })
		if i < 0 {
			parts = append(parts, p)
			continue
		}
		if p.dead == j.parts[i].dead {
			continue
		}
		for it := p.dead.Iterator(); it.HasNext(); {
			if n := m.number[i][it.Next()]; n != gone {
				dead = append(dead, n)
			}
		}
	}
	// A part all of whose documents have died during the merge is no longer in the view. Nothing else removes the parts of a job from the
	// view (see mergeSmall). All its documents are dead in the result.
	for i, old := range j.parts {
		if !slices.ContainsFunc(v.parts, func(p part) bool { return p.seg == old.seg }) {
			for _, n := range m.number[i] {
				if n != gone {
					dead = append(dead, n)
				}
			}
		}
	}
	made := part{seg: m.seg}
	if len(dead) > 0 {
		made = made.without(dead)
	}
	x.view.Store(newView(append(parts, made), v.commit))
}

// save writes the manifest after a job. The caller holds mu, which save releases while it works.
func (x *Segments) save(j *job, m merged) error {
	parts := []part{}
	for _, p := range j.view.parts {
		if p.seg.file != nil && !slices.ContainsFunc(j.parts, func(old part) bool { return old.seg == p.seg }) {
			parts = append(parts, p)
		}
	}
	if m.seg.n > 0 {
		parts = append(parts, part{seg: m.seg})
	}
	commit := x.files.saved
	if j.all {
		commit = j.view.commit
	}
	x.mu.Unlock()
	err := x.files.save(x.config.Dir, parts, commit)
	if err == nil && x.config.Persisted != nil && j.all {
		err = x.config.Persisted(commit)
	}
	x.mu.Lock()
	if x.resting = err != nil; err != nil {
		return fmt.Errorf("save the list of segments: %w", err)
	}
	return nil
}

// Complete declares that the rebuilt index contains all documents up to a commit.
func (x *Segments) Complete(commit uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	v := *x.view.Load()
	v.commit = max(v.commit, commit)
	x.view.Store(&v)
	x.complete = true
	x.unsaved = max(x.unsaved, x.config.FlushChanges)
	x.wake()
}

// Rest waits until the background work is done.
func (x *Segments) Rest() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.working {
		x.calm.Wait()
	}
}

// Stop ends the background work and leaves the files as they are. Another index may own the files after that, so that a stopped index never
// saves a manifest again. Searches may continue.
func (x *Segments) Stop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.complete = false
	x.stop()
}

func (x *Segments) stop() {
	x.closed = true
	for x.working {
		x.calm.Wait()
	}
}

// Close ends the background work and writes everything to files. Searches may continue.
func (x *Segments) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stop()
	if x.config.Dir == "" || !x.complete || x.unsaved == 0 || x.damage != nil {
		return nil
	}
	if err := x.do(x.flush(x.view.Load())); err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}
