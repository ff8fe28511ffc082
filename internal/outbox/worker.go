package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
)

// Options bound a Worker. Zero values take the defaults.
type Options struct {
	Batch   int           // messages delivered together; default 100
	Lease   time.Duration // how long a lease lasts, equal for all workers: after that another worker takes the messages of a dead one. A running worker renews it; default 5 s
	Timeout time.Duration // how long a delivery may take; default 20 s
	Poll    time.Duration // how often to look without a Notify; default 1 s
	// Gather is how long a delivery waits after a Notify for further messages to send along: a delivery costs more than a message in it. Default 0.
	Gather time.Duration
	// Attempts is how often a message may fail by itself before it becomes a dead letter; default 20, which takes more than an hour. Failures of the
	// other system as a whole do not count.
	Attempts int
	Clock    clock.Clock  // default clock.System; with that, workers on PostgreSQL use the database's clock, since they may run on several machines
	Log      *slog.Logger // default slog.Default
}

func (o Options) withDefaults() Options {
	if o.Batch <= 0 {
		o.Batch = 100
	}
	if o.Lease <= 0 {
		o.Lease = 5 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 20
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}

const (
	firstPause  = 50 * time.Millisecond
	longPause   = 30 * time.Second // after a failure of the other system or the database as a whole
	longestWait = 10 * time.Minute // of one message that fails alone
	settleTime  = 5 * time.Second

	// quietFailures is how many failures in a row, which last about 3 s, are not logged as a warning: at a start the other system often follows a
	// moment later.
	quietFailures = 6
)

// Deliver sends a batch. A message may be delivered again after a crash, a lost lease, or a change meanwhile. The context ends after Options.Timeout
// or when the lease is lost; Deliver must then return. An error fails the whole batch, except a *PartialError.
type Deliver func(ctx context.Context, batch []Message) error

// Worker delivers messages. Several workers may share one outbox, in one or several processes.
type Worker struct {
	db      *store.DB
	o       Options
	deliver Deliver
	wake    chan struct{}

	after    func(time.Duration) (<-chan time.Time, func() bool)
	limit    int  // of the next batch: halved when a whole batch failed, so that one bad message is found and set aside
	failures int  // consecutive batches that failed as a whole
	answers  bool // the other system accepted, or refused by name, the last thing sent: the next failure is then that of the message
}

// New returns a Worker. It works while Run runs.
func New(db *store.DB, o Options, deliver func(ctx context.Context, batch []Message) error) *Worker {
	o = o.withDefaults()
	return &Worker{db: db, o: o, deliver: deliver, wake: make(chan struct{}, 1), limit: o.Batch, after: after}
}

// Notify makes the worker look for messages now. Call it after the commit of an Enqueue; without it the message waits for the next poll.
func (w *Worker) Notify() {
	select {
	case w.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Run delivers until ctx ends; then it settles the current batch and returns nil. Failures are logged and retried.
func (w *Worker) Run(ctx context.Context) error {
	poll := time.NewTicker(w.o.Poll)
	defer poll.Stop()
	for abandoned := false; ctx.Err() == nil; {
		if !abandoned {
			if err := w.freeAbandoned(ctx); err != nil {
				w.pause(ctx, err)
				continue
			}
			abandoned = true
		}
		asked := w.limit
		n, err := w.once(ctx)
		switch {
		case err != nil:
			w.pause(ctx, err)
		case n == asked:
			// There may be more messages.
		default:
			select {
			case <-w.wake:
				w.gather(ctx)
			case <-poll.C:
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// gather waits for more messages.
func (w *Worker) gather(ctx context.Context) {
	if w.o.Gather <= 0 {
		return
	}
	over, stop := w.after(w.o.Gather)
	defer stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
	select {
	case <-w.wake: // its messages are claimed by the next round anyway
	default:
	}
}

// after returns a channel that receives when d has passed, and a function that stops the timer.
func after(d time.Duration) (<-chan time.Time, func() bool) {
	timer := time.NewTimer(d)
	return timer.C, timer.Stop
}

// pause waits after a failure of the other system or of our database as a whole.
func (w *Worker) pause(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	w.failures++
	d := backoff(w.failures, longPause)
	level := slog.LevelWarn
	if w.failures <= quietFailures {
		level = slog.LevelDebug
	}
	w.o.Log.Log(ctx, level, "outbox delivery failed", "error", err, "failures", w.failures, "pause", d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// backoff doubles from firstPause up to most, minus a random part of up to a quarter.
func backoff(failures int, most time.Duration) time.Duration {
	d := most
	if shift := failures - 1; shift < 20 {
		d = min(most, firstPause<<shift)
	}
	return d - rand.N(d/4+1)
}

// once claims a batch, delivers it and settles it. It returns how many messages it claimed, and an error when the other system or our database seems
// to be down.
func (w *Worker) once(ctx context.Context) (int, error) {
	lease := id.New(thisProcess)
	var batch []Message
	err := w.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		now, err := w.now(ctx, tx)
		if err != nil {
			return err
		}
		batch, err = claim(ctx, tx, lease, due{
			now: now, until: now.Add(w.lease()), lease: now.Add(w.lease() + clock.Slack), pause: now.Add(longestWait + clock.Slack),
		}, w.limit)
		return err
	})
	if err != nil || len(batch) == 0 {
		return 0, err
	}
	held, letGo := w.hold(ctx, lease)
	o := w.send(held, batch)
	if lost := letGo(); lost != nil {
		o.err = errors.Join(o.err, lost)
	}
	if o.err == nil {
		w.limit, w.failures = min(w.o.Batch, w.limit*2), 0
	} else {
		w.limit = max(1, len(batch)/2)
	}
	// Settle the batch even when ctx has ended: otherwise it is delivered again.
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	return len(batch), errors.Join(o.err, w.settle(settling, lease, o))
}

// outcome is the result of a batch. Messages in no list were not tried, or their result is unknown.
type outcome struct {
	delivered []Message
	failed    []Message // by their own fault
	aside     []Message // perhaps by their own fault: they are postponed, so that others are tried
	dead      []dead
	err       error // a failure that is not known to be one message's fault
}

// send delivers the batch, with messages that have failed before apart from the others: one of them must not fail the rest again.
func (w *Worker) send(ctx context.Context, batch []Message) (o outcome) {
	bounded, cancel := context.WithTimeout(ctx, w.o.Timeout)
	defer cancel()
	for _, group := range groups(batch) {
		if bounded.Err() != nil {
			break
		}
		err := w.deliverSafely(bounded, group)
		if err != nil && ctx.Err() != nil {
			break // interrupted by the end of Run
		}
		w.judge(ctx, &o, group, err)
	}
	return o
}

// judge sorts the messages of a group into the outcome by the error of its delivery.
func (w *Worker) judge(ctx context.Context, o *outcome, group []Message, err error) {
	var partial *PartialError
	switch {
	case err == nil:
		w.answers = true
		o.delivered = append(o.delivered, group...)
	case errors.As(err, &partial):
		w.answers = true
		w.o.Log.WarnContext(ctx, "outbox messages failed", "failed", len(partial.Failed), "batch", len(group), "error", err)
		for i, m := range group {
			if cause := partial.Failed[i]; cause != nil {
				w.fail(ctx, o, m, cause)
			} else {
				o.delivered = append(o.delivered, m)
			}
		}
	case len(group) == 1 && (w.answers || errors.Is(err, errPanic)):
		w.answers = false // as long as nothing else was taken, it may be the other system
		w.o.Log.WarnContext(ctx, "outbox message failed", "topic", group[0].Topic, "attempts", group[0].Attempts+1, "error", err)
		w.fail(ctx, o, group[0], err)
	case len(group) == 1:
		o.aside, o.err = append(o.aside, group...), err
	default:
		w.answers, o.err = false, err
	}
}

// fail postpones a message until its next attempt, or makes it a dead letter.
func (w *Worker) fail(ctx context.Context, o *outcome, m Message, cause error) {
	var final *FinalError
	reason := ""
	switch {
	case errors.As(cause, &final):
		reason = final.Reason
	case m.Attempts+1 >= w.o.Attempts:
		reason = TooManyAttempts
	default:
		o.failed = append(o.failed, m)
		return
	}
	w.o.Log.DebugContext(ctx, "outbox message became a dead letter", "topic", m.Topic, "key", m.Key, "reason", reason, "error", cause)
	o.dead = append(o.dead, dead{m, reason})
}

// groups separates messages that have not failed yet from the others.
func groups(batch []Message) (groups [][]Message) {
	var fresh, again []Message
	for _, m := range batch {
		if m.Attempts > 0 {
			again = append(again, m)
		} else {
			fresh = append(fresh, m)
		}
	}
	for _, group := range [][]Message{fresh, again} {
		if len(group) > 0 {
			groups = append(groups, group)
		}
	}
	return groups
}

var errPanic = errors.New("panic in the deliverer")

func (w *Worker) deliverSafely(ctx context.Context, batch []Message) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.o.Log.Error("panic while an outbox batch was delivered", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return w.deliver(ctx, batch)
}

// settle ends the lease: delivered messages are deleted, failed ones wait or become dead letters, and all others are due again.
func (w *Worker) settle(ctx context.Context, lease string, o outcome) error {
	err := w.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := leased(lease).Lock(ctx, tx); err != nil {
			return err
		}
		delivered, err := held(ctx, tx, lease, o.delivered)
		if err != nil {
			return err
		}
		if err := remove(ctx, tx, lease, delivered); err != nil {
			return err
		}
		now, err := w.now(ctx, tx)
		if err != nil {
			return err
		}
		if err := insertDeadLetters(ctx, tx, lease, now, o.dead); err != nil {
			return err
		}
		for _, m := range o.failed {
			if err := postpone(ctx, tx, lease, m, now.Add(backoff(m.Attempts+1, longestWait)), 1); err != nil {
				return err
			}
		}
		for _, m := range o.aside { // its first failure separates a message from those that have not failed
			if err := postpone(ctx, tx, lease, m, now.Add(backoff(w.failures+1, longPause)), max(0, 1-m.Attempts)); err != nil {
				return err
			}
		}
		if err := release(ctx, tx, lease); err != nil {
			return err
		}
		return deleteDeadLetters(ctx, tx, delivered)
	})
	if err == nil && len(o.dead) > 0 {
		w.o.Log.WarnContext(ctx, "outbox messages became dead letters", "messages", len(o.dead), "reason", o.dead[0].reason)
	}
	return err
}

// Lag returns how many messages are pending or being delivered, and the age of the oldest.
func (w *Worker) Lag(ctx context.Context) (count int64, oldest time.Duration, err error) {
	var row struct {
		Count  int64
		Oldest int64
	}
	err = w.db.Read(ctx).Get(ctx, &row, "SELECT COUNT(*) AS count, COALESCE(MIN(enqueued_at), 0) AS oldest FROM outbox")
	if err != nil {
		return 0, 0, fmt.Errorf("read outbox lag: %w", err)
	}
	if row.Count == 0 {
		return 0, 0, nil
	}
	return row.Count, max(0, w.o.Clock.Now().Sub(time.UnixMicro(row.Oldest))), nil
}
