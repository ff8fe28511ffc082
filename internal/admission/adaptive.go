package admission

import (
	"context"
	"sync"
	"time"
)

const (
	// firstLimit is how many of a class run at once before anything is known of it.
	firstLimit = 64
	// quiet is how many run at once, of all classes, while it is measured how long work takes that does not wait for other work.
	quiet = 2
	// gain is by how many times work may take longer than when it is quiet. What runs on c processors is then limited to gain*c at once; what
	// gets faster in company, as commits that share a flush do, is not limited at all.
	gain = 1.5
	// mostLimit bounds a class's limit.
	mostLimit = 4096
	// burstWait is how long work may be expected to wait while work has waited for less than burst: a crowd that comes at once, and is soon done. What
	// waits for longer than that is no burst but too much work, and nothing is let wait for longer than shortWait, or half of its quiet duration, until
	// nothing had to wait for as long again (compare the controlled delay of CoDel, RFC 8289, with a standing queue).
	burst     = time.Second
	burstWait = time.Second / 2
	shortWait = 10 * time.Millisecond
	// waitMost is how long work really waits at most: what runs may have come to a standstill.
	waitMost = 2 * time.Second
	// windowLeast and windowWork bound the window after which a limit is reconsidered: it has this length and this much ended work.
	windowLeast = 50 * time.Millisecond
	windowWork  = 20
	// probeEvery is how old the quiet measurement may be while a limit is felt. probeMost bounds how long one takes, probeWork how much work.
	probeEvery = 10 * time.Second
	probeMost  = time.Second
	probeWork  = 10
	// firstProbes is how many probes a class gets soon, one after the other: each halves limits that it could not get below quiet.
	firstProbes = 6
)

// Outcome is how admitted work ended.
type Outcome int

// The outcomes.
const (
	Done    Outcome = iota // it was done: its duration counts
	Failed                 // it failed, perhaps early: its duration says nothing
	Refused                // what does the work said that it has too much to do
	TooLate                // it was given up after a long time: it counts as busy, and teaches nothing of quiet times
)

// Adaptive lets in as much work at once as something can do that tells nothing of itself, such as a service behind a network. Work has
// classes, each with a limit of its own, for they take times of their own; but all share what does the work.
//
// A class's limit follows the gradient limit <- limit * gain * (its quiet duration / its duration now) while the limit is felt (compare Netflix's
// concurrency-limits and TCP Vegas). By Little's law this settles where the work takes gain times its quiet duration. The quiet duration is learned
// whenever little runs; under a load that never ends all but a few are held back for a moment, now and then, to learn it anew.
//
// It is safe for concurrent use.
type Adaptive struct {
	now func() time.Time

	mu       sync.Mutex
	classes  map[string]*class
	running  int       // of all classes
	busy     time.Time // when more than quiet ran last
	learned  time.Time // when a quiet duration was learned last, or a probe has ended
	probing  bool
	probe    time.Time // its begin
	learning int       // quiet durations learned in it
}

// class is one kind of work.
type class struct {
	limit   float64
	running int
	waiting []chan struct{} // in their order; closed when it is their turn
	since   time.Time       // when the first of those who wait now, without a break, began to
	felt    time.Time       // when one had to wait last
	strict  bool            // there is more than a burst
	quiet   float64         // seconds; 0: not known yet
	recent  float64         // duration now, a moving average in seconds
	probes  int             // begun for it, up to firstProbes

	window struct {
		began time.Time
		work  int
		took  float64 // seconds, of all
		felt  bool    // something had to wait
	}
}

// NewAdaptive returns an Adaptive that knows nothing yet.
func NewAdaptive() *Adaptive { return &Adaptive{now: time.Now, classes: map[string]*class{}} }

// Place is that of work which was let in.
type Place struct {
	of    *Adaptive
	class string
	began time.Time
}

// Leave ends the work. It must be called once.
func (p Place) Leave(o Outcome) { p.of.leave(p.class, p.began, o) }

// Enter waits for its turn for a moment, or returns ErrBusy at once, or the context's error when that ends first. Names of classes must come from
// a bounded set.
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

// await waits for the turn.
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
			a.endProbe() // nothing else may happen that ends it
		case <-ctx.Done():
			err = context.Cause(ctx)
			break wait
		}
	}
	if a.abandon(name, turn) {
		return err
	}
	return nil // the turn has come meanwhile
}

// endProbe ends a probe whose time is over.
func (a *Adaptive) endProbe() {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.probeOver(now) {
		a.letAllIn(now)
	}
}

// probeOver ends a probe that has learned enough or took too long, and reports whether it did.
func (a *Adaptive) probeOver(now time.Time) bool {
	if !a.probing || a.learning < probeWork && now.Sub(a.probe) < probeMost {
		return false
	}
	a.probing, a.learned = false, now
	if a.learning == 0 { // so much runs, or so slowly, that it did not come to an end
		for _, c := range a.classes {
			if c.running > quiet {
				c.limit = max(c.limit/2, quiet)
			}
		}
	}
	return true
}

// Limits returns how many of each class may run at once now.
func (a *Adaptive) Limits() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]int, len(a.classes))
	for name, c := range a.classes {
		out[name] = int(c.limit)
	}
	return out
}

// arrive takes a place to run, or one to wait: a channel that is closed when the turn has come.
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
		a.letAllIn(now)
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

// room reports whether one more of the class may run.
func (a *Adaptive) room(c *class) bool {
	if a.probing && a.running >= quiet {
		return false
	}
	return c.running < int(c.limit)
}

// judge tells a burst from too much work, when one more has to wait.
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

// mayWait reports whether one more may wait: for a moment only, or as long as a burst lasts.
func (a *Adaptive) mayWait(c *class) bool {
	if c.recent == 0 {
		return len(c.waiting) < 8*int(c.limit) // nothing has ended yet
	}
	expected := float64(len(c.waiting)+1) / c.limit * c.recent
	if a.probing && c.quiet > 0 { // no more than that run until it is over
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

// abandon gives a place among those who wait up; it reports false when the turn has come meanwhile.
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

// leave ends work that began then, learns from it, and lets others in.
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
	if a.probing { // the place that is free is anybody's
		a.probeOver(now)
		a.letAllIn(now)
		return
	}
	a.letIn(c, now)
}

func (a *Adaptive) letAllIn(now time.Time) {
	for _, c := range a.classes {
		a.letIn(c, now)
	}
}

// letIn starts what waits, as far as there is room.
func (a *Adaptive) letIn(c *class, now time.Time) {
	for len(c.waiting) > 0 && a.room(c) {
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		a.start(c, now)
		close(next)
	}
}

// learn takes a duration into account.
func (a *Adaptive) learn(c *class, now, began time.Time, o Outcome) {
	took := now.Sub(began).Seconds()
	switch o {
	case Failed:
		return
	case Refused: // what else runs is what can be done at once; that there is more to do is felt, so that the limit rises again when it can
		c.limit = max(min(c.limit, float64(c.running)), quiet)
		c.window.felt = true
		c.strict, c.felt = true, now
		return
	}
	if o == Done && began.After(a.busy) { // it ran in quiet all the time
		c.quiet = blend(c.quiet, took)
		a.learned = now
		a.learning++
	}
	c.recent = blend(c.recent, took)
	if a.probing && began.After(a.probe) {
		return // what began in the probe is not what the limit let in
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

// considerProbe begins to hold all but a few back when a limit is felt and it is not known, or not lately, how long the work takes in quiet. Work of
// which that never gets known, because none of it is done, holds the others back soon after it has come and then no more often than any.
func (a *Adaptive) considerProbe(c *class, now time.Time) {
	age := now.Sub(a.learned)
	unknown := c.quiet == 0 && c.probes < firstProbes
	if a.probing || age < probeMost || !unknown && age < probeEvery {
		return
	}
	c.probes = min(c.probes+1, firstProbes)
	a.probing, a.probe, a.learning = true, now, 0
}

// blend moves an average towards the latest value.
func blend(average, latest float64) float64 {
	if average == 0 {
		return latest
	}
	return average + weight*(latest-average)
}
