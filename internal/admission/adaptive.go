package admission

import (
	"context"
	"sync"
	"time"
)

const (
	// firstLimit is the limit of a class before anything was measured.
	firstLimit = 64
	// quiet is how many pieces of work, of all classes, may run while the duration of work that does not queue is measured.
	quiet = 2
	// gain is the factor by which work may take longer than its quiet duration. Work that runs on c processors is then limited to gain*c at once;
	// work that gets faster when more of it runs, as commits that share a flush do, is not limited at all.
	gain = 1.5
	// mostLimit is the maximum of a class's limit.
	mostLimit = 4096
	// burstWait is the maximum expected wait while work has been queueing for less than burst: many requests arrive at once and are soon done. A
	// queue that lasts longer is overload; then the expected wait may be at most shortWait, or half of the quiet duration, until nothing has had to
	// wait for as long again (compare the controlled delay of CoDel, RFC 8289, with a standing queue).
	burst     = time.Second
	burstWait = time.Second / 2
	shortWait = 10 * time.Millisecond
	// waitMost is the maximum actual wait: the running work may have stalled.
	waitMost = 2 * time.Second
	// windowLeast and windowWork are the minimum duration and the minimum number of completed pieces of work of the window after which a limit is
	// adjusted.
	windowLeast = 50 * time.Millisecond
	windowWork  = 20
	// probeEvery is the maximum age of the quiet measurement while the limit makes work wait. probeMost bounds the duration of a probe, probeWork its
	// number of measurements.
	probeEvery = 10 * time.Second
	probeMost  = time.Second
	probeWork  = 10
	// firstProbes is how many probes a new class gets in quick succession. A probe without a measurement halves the limits of the classes that kept
	// more than quiet running.
	firstProbes = 6
)

// Outcome is the result of admitted work.
type Outcome int

// Outcomes of work.
const (
	Done    Outcome = iota // it succeeded: its duration is measured
	Failed                 // it failed, perhaps early: its duration is ignored
	Refused                // the server refused it because it is overloaded
	TooLate                // it was given up after a long time: it counts as load, but its duration is not a quiet one
)

// Adaptive limits the concurrency of work at a server that does not report its capacity, such as a service behind a network. Work has classes with
// limits of their own, because their durations differ; all classes share the server.
//
// A class's limit follows the gradient limit <- limit * gain * (quiet duration / current duration) while work has to wait for it (compare Netflix's
// concurrency-limits and TCP Vegas). By Little's law it settles where work takes gain times its quiet duration. The quiet duration is measured
// whenever little runs; under constant load a probe now and then holds back all but a few for a moment to measure it again.
//
// It is safe for concurrent use.
type Adaptive struct {
	now func() time.Time

	mu       sync.Mutex
	classes  map[string]*class
	running  int       // of all classes
	busy     time.Time // when more than quiet were running last
	learned  time.Time // when a quiet duration was measured or a probe ended last
	probing  bool
	probe    time.Time // start of the current probe
	learning int       // quiet durations measured in it
}

// class is a kind of work.
type class struct {
	limit   float64
	running int
	waiting []chan struct{} // in order of arrival; closed when admitted
	since   time.Time       // since when the queue has not been empty
	felt    time.Time       // when work had to wait last
	strict  bool            // the queue is no burst any more
	quiet   float64         // seconds; 0: not known yet
	recent  float64         // moving average of the duration, in seconds
	probes  int             // probes started for it, up to firstProbes

	window struct {
		began time.Time
		work  int
		took  float64 // seconds, of all work
		felt  bool    // work had to wait
	}
}

// NewAdaptive returns an Adaptive without measurements.
func NewAdaptive() *Adaptive { return &Adaptive{now: time.Now, classes: map[string]*class{}} }

// Place is the slot of admitted work.
type Place struct {
	of    *Adaptive
	class string
	began time.Time
}

// Leave ends the work with its outcome. It must be called once.
func (p Place) Leave(o Outcome) { p.of.leave(p.class, p.began, o) }

// Enter returns when the work is admitted, at once or after a short wait. It returns ErrBusy when too much is waiting, or the context's error when
// that ends first. Class names must come from a bounded set.
func (a *Adaptive) Enter(ctx context.Context, name string) (Place, error) {
	turn, err := a.arrive(name)
	if err != nil {
		return Place{}, err
	}
	if turn != nil {
		if err := a.await(ctx, name, turn); err != nil {
			return Place{}, err
		}
	}
	return Place{a, name, a.now()}, nil
}

// await waits for admission.
func (a *Adaptive) await(ctx context.Context, name string, turn chan struct{}) error {
	err := ErrBusy
	half := time.NewTicker(waitMost / 2)
	defer half.Stop()
wait:
	for range 2 {
		select {
		case <-turn:
			return nil
		case <-half.C:
			a.endProbe() // nothing else may end it
		case <-ctx.Done():
			err = context.Cause(ctx)
			break wait
		}
	}
	if a.abandon(name, turn) {
		return err
	}
	return nil // admitted meanwhile
}

// endProbe ends a probe that has run its time.
func (a *Adaptive) endProbe() {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.probeOver(now) {
		a.admitAll(now)
	}
}

// probeOver ends a probe that has measured enough or taken too long, and reports whether it did.
func (a *Adaptive) probeOver(now time.Time) bool {
	if !a.probing || a.learning < probeWork && now.Sub(a.probe) < probeMost {
		return false
	}
	a.probing, a.learned = false, now
	if a.learning == 0 { // the server was too busy, or too slow, for a measurement
		for _, c := range a.classes {
			if c.running > quiet {
				c.limit = max(c.limit/2, quiet)
			}
		}
	}
	return true
}

// Limits returns the current limit of each class.
func (a *Adaptive) Limits() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]int, len(a.classes))
	for name, c := range a.classes {
		out[name] = int(c.limit)
	}
	return out
}

// arrive takes a slot, or a place in the queue: turn is then closed on admission.
func (a *Adaptive) arrive(name string) (turn chan struct{}, err error) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.classes[name]
	if c == nil {
		c = &class{limit: firstLimit}
		c.window.began = now
		a.classes[name] = c
	}
	if a.probeOver(now) {
		a.admitAll(now)
	}
	if len(c.waiting) == 0 && a.room(c) {
		a.start(c, now)
		return nil, nil
	}
	c.window.felt = true
	a.considerProbe(c, now)
	c.judge(now)
	if !a.mayWait(c) {
		return nil, ErrBusy
	}
	turn = make(chan struct{})
	c.waiting = append(c.waiting, turn)
	return turn, nil
}

// room reports whether one more piece of work of the class may run.
func (a *Adaptive) room(c *class) bool {
	if a.probing && a.running >= quiet {
		return false
	}
	return c.running < int(c.limit)
}

// judge distinguishes a burst from overload, when one more piece of work has to wait.
func (c *class) judge(now time.Time) {
	if len(c.waiting) == 0 {
		c.since = now
	}
	if c.strict {
		c.strict = now.Sub(c.felt) < burst
	} else {
		c.strict = now.Sub(c.since) >= burst
	}
	c.felt = now
}

// mayWait reports whether one more may wait, within the expected wait for a burst or for overload.
func (a *Adaptive) mayWait(c *class) bool {
	if c.recent == 0 {
		return len(c.waiting) < 8*int(c.limit) // no work has ended yet
	}
	expected := float64(len(c.waiting)+1) / c.limit * c.recent
	if a.probing && c.quiet > 0 { // no more than these run until the probe ends
		expected = float64(len(c.waiting)+1) / quiet * c.quiet
	}
	if !c.strict {
		return expected <= burstWait.Seconds()
	}
	return expected <= max(shortWait.Seconds(), c.quiet/2)
}

func (a *Adaptive) start(c *class, now time.Time) {
	c.running++
	a.running++
	if a.running > quiet {
		a.busy = now
	}
}

// abandon removes a waiter from the queue. It returns false when it was admitted meanwhile.
func (a *Adaptive) abandon(name string, turn chan struct{}) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.classes[name]
	for i, other := range c.waiting {
		if other == turn {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// leave ends work that began at the given time, records its duration, and admits waiting work.
func (a *Adaptive) leave(name string, began time.Time, o Outcome) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.classes[name]
	if a.running > quiet {
		a.busy = now
	}
	c.running--
	a.running--
	a.learn(c, now, began, o)
	if a.probing { // the free slot may go to any class
		a.probeOver(now)
		a.admitAll(now)
		return
	}
	a.admitWaiting(c, now)
}

func (a *Adaptive) admitAll(now time.Time) {
	for _, c := range a.classes {
		a.admitWaiting(c, now)
	}
}

// admitWaiting admits waiting work while there is room.
func (a *Adaptive) admitWaiting(c *class, now time.Time) {
	for len(c.waiting) > 0 && a.room(c) {
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		a.start(c, now)
		close(next)
	}
}

// learn records a duration.
func (a *Adaptive) learn(c *class, now, began time.Time, o Outcome) {
	took := now.Sub(began).Seconds()
	switch o {
	case Failed:
		return
	case Refused: // what else is running is the server's capacity; the refusal counts as waiting, so that the limit rises again when it can
		c.limit = max(min(c.limit, float64(c.running)), quiet)
		c.window.felt = true
		c.strict, c.felt = true, now
		return
	}
	if o == Done && began.After(a.busy) { // only quiet work ran during all of its time
		c.quiet = blend(c.quiet, took)
		a.learned = now
		a.learning++
	}
	c.recent = blend(c.recent, took)
	if a.probing && began.After(a.probe) {
		return // work that began in the probe was not admitted by the limit
	}
	w := &c.window
	w.work++
	w.took += took
	if w.work < windowWork || now.Sub(w.began) < windowLeast {
		return
	}
	if w.felt && c.quiet > 0 {
		factor := gain * c.quiet / (w.took / float64(w.work))
		c.limit *= min(max(factor, 0.5), 2)
		c.limit = min(max(c.limit, quiet), mostLimit)
	}
	w.began, w.work, w.took, w.felt = now, 0, 0, false
}

// considerProbe starts a probe, which holds back all but a few, when work has to wait and the quiet duration is unknown or old. A class whose quiet
// duration never becomes known, because none of its work succeeds, is probed soon after it appears and then no more often than others.
func (a *Adaptive) considerProbe(c *class, now time.Time) {
	age := now.Sub(a.learned)
	unknown := c.quiet == 0 && c.probes < firstProbes
	if a.probing || age < probeMost || !unknown && age < probeEvery {
		return
	}
	c.probes = min(c.probes+1, firstProbes)
	a.probing, a.probe, a.learning = true, now, 0
}

// blend moves a moving average towards the latest value.
func blend(average, latest float64) float64 {
	if average == 0 {
		return latest
	}
	return average + weight*(latest-average)
}
