package writer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	database "github.com/fountainai/fountain/internal/store"
)

const (
	// orderPause is the time between two checks whether an Order still has the order of the group.
	orderPause = 50 * time.Millisecond
	// An order that is not shown is given up when it has written nothing for stagedSilence. Other processes settle a shown one when it has written nothing for shownSilence. Each step of an order writes.
	stagedSilence = time.Minute
	shownSilence  = 5 * time.Second
	// finishWithin bounds how long the process that made an order settles or removes it. FinishOrders does the rest.
	finishWithin = 2 * time.Minute
	// closeWithin is how long Close waits for settling. The next start, or another replica, does the rest.
	closeWithin = 10 * time.Second
	leftAtOnce  = 100
)

// reorder makes a reorder or a move: a short one in a shared commit, a long one as a store.Order. While another Order has the order of the group it waits, at most Options.Wait. A short one does not wait
// for a move that is shown.
func (w *Writer) reorder(ctx context.Context, r Request) (store.Done, error) {
	over := time.NewTimer(w.Wait)
	defer over.Stop()
	for {
		done, long, err := w.tryReorder(ctx, r)
		if !errors.Is(err, domain.ErrOrdering) {
			return done, err
		}
		if err := w.awaitOrder(ctx, r.change().Group(), !long, over.C); err != nil {
			return store.Done{}, err
		}
	}
}

// awaitOrder waits until no Order has the order of the group. A short change does not wait for a move that is shown. Each check reads a row or two, and not all that a try would read.
func (w *Writer) awaitOrder(ctx context.Context, g domain.Group, short bool, over <-chan time.Time) error {
	pause := time.NewTicker(orderPause)
	defer pause.Stop()
	for n := 1; ; n++ {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-over:
			return fmt.Errorf("%w: %w", database.ErrUnavailable, domain.ErrOrdering)
		}
		if n%20 == 0 { // the process of the other order may have ended
			if err := w.finishOrdersOf(ctx, &g); err != nil && ctx.Err() == nil {
				w.Log.WarnContext(ctx, "an interrupted reorder can't be finished yet", "scope", g.Scope, "error", err)
			}
		}
		if busy, err := w.elements.Ordering(ctx, g, short); err != nil || !busy {
			return err
		}
	}
}

// tryReorder tries a reorder or a move once. long reports whether it is a long one.
func (w *Writer) tryReorder(ctx context.Context, r Request) (done store.Done, long bool, err error) {
	if r.Reorder == nil || len(r.Reorder.Order) <= store.LongOrder {
		done, err := w.commits.Do(ctx, r)
		if !errors.Is(err, store.ErrLongOrder) {
			return done, false, err
		}
	}
	if err := w.orders.enter(ctx, r.Owner(), w.Wait); err != nil {
		return store.Done{}, true, err
	}
	shown := false
	defer func() { // also after a panic
		if !shown {
			w.orders.leave(r.Owner())
		}
	}()
	o := &store.Order{Group: r.change().Group(), ID: rand.Text()}
	if done, err = w.order(ctx, o, r); err != nil {
		return store.Done{}, true, err
	}
	shown = true
	w.settling.Go(func() {
		defer w.orders.leave(r.Owner())
		w.finish(ctx, o)
	})
	return done, true, nil
}

// order stages a long reorder or move and shows it. When it returns an error no reader sees any of it, unless only the answer to the last commit was lost.
func (w *Writer) order(ctx context.Context, o *store.Order, r Request) (store.Done, error) {
	t := &try{Request: r, change: r.change()}
	if err := w.elements.Admit(ctx, t.change); err != nil { // a change that is refused must not begin an Order
		return store.Done{}, err
	}
	if err := w.step(ctx, func(ctx context.Context, tx *database.Tx, at time.Time) error {
		return store.BeginOrder(ctx, tx, o, at)
	}); err != nil {
		return store.Done{}, err
	}
	t.change = r.change()
	if err := w.stage(ctx, o, t); err != nil {
		w.giveUp(ctx, o)
		return store.Done{}, err
	}
	return t.change.Done, nil
}

func (w *Writer) stage(ctx context.Context, o *store.Order, t *try) error {
	if err := w.elements.Plan(ctx, t.change); err != nil {
		return err
	}
	for _, part := range o.Parts(t.change) {
		if err := w.step(ctx, func(ctx context.Context, tx *database.Tx, at time.Time) error { return o.Stage(ctx, tx, at, part) }); err != nil {
			return err
		}
	}
	if err := t.change.Tell(); err != nil { // encoding takes time, and others wait for the transaction below
		return err
	}
	t.detail = t.orderDetail()
	return w.step(ctx, func(ctx context.Context, tx *database.Tx, touched time.Time) error {
		at := w.now()
		if err := o.Show(ctx, tx, at, touched, t.change); err != nil {
			return err
		}
		return audit.Append(ctx, tx, t.events(at)...)
	})
}

// step runs one small transaction of an order. at is the shared time (sharedTime), from which other processes measure silence.
func (w *Writer) step(ctx context.Context, do func(ctx context.Context, tx *database.Tx, at time.Time) error) error {
	if w.between != nil {
		w.between()
	}
	if w.stepped != nil {
		defer w.stepped()
	}
	return w.DB.Write(database.Brief(ctx), func(ctx context.Context, tx *database.Tx) error {
		at, err := w.sharedTime(ctx, tx)
		if err != nil {
			return err
		}
		return do(ctx, tx, at)
	})
}

// sharedTime returns the time that silence is measured by. On PostgreSQL, which several processes can use, it is the clock of the database, because the clocks of the processes can differ.
func (w *Writer) sharedTime(ctx context.Context, q database.Querier) (time.Time, error) {
	if q.Dialect() != database.PostgreSQL {
		return w.now(), nil
	}
	var micros int64
	if err := q.Get(ctx, &micros, "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"); err != nil {
		return time.Time{}, fmt.Errorf("read the clock of the database: %w", err)
	}
	return time.UnixMicro(micros), nil
}

func (w *Writer) now() time.Time { return w.Clock.Now().UTC().Truncate(time.Microsecond) }

// finish settles an order that is shown. When it fails, FinishOrders settles the rest.
func (w *Writer) finish(ctx context.Context, o *store.Order) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin) // the caller has its answer
	defer cancel()
	defer context.AfterFunc(w.closing, cancel)()
	if err := w.settle(ctx, o); err != nil {
		w.Log.WarnContext(ctx, "numbers of a long reorder are settled later", "scope", o.Scope, "error", err)
	}
}

func (w *Writer) settle(ctx context.Context, o *store.Order) error {
	for settled := false; !settled; {
		err := w.step(ctx, func(ctx context.Context, tx *database.Tx, at time.Time) (err error) {
			settled, err = o.Settle(ctx, tx, at, w.Enqueue)
			return err
		})
		if err != nil {
			return err
		}
	}
	w.Committed(o.Scope)
	return nil
}

// giveUp ends an order that is not shown and deletes its rows, before the caller is answered. When it fails, FinishOrders deletes the rest.
func (w *Writer) giveUp(ctx context.Context, o *store.Order) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin) // the caller may be gone
	defer cancel()
	err := w.step(ctx, func(ctx context.Context, tx *database.Tx, _ time.Time) error { return o.End(ctx, tx) })
	if err == nil {
		err = w.remove(ctx, o)
	}
	if err != nil {
		w.Log.WarnContext(ctx, "rows of a reorder that failed are removed later", "scope", o.Scope, "error", err)
	}
}

func (w *Writer) remove(ctx context.Context, o *store.Order) error {
	for gone := false; !gone; {
		err := w.step(ctx, func(ctx context.Context, tx *database.Tx, _ time.Time) (err error) {
			gone, err = o.Remove(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// FinishOrders finishes long reorders and moves that have written nothing for some time, mostly because their process has ended. It settles those that are shown and removes the others.
func (w *Writer) FinishOrders(ctx context.Context) error {
	return w.finishOrdersOf(ctx, nil)
}

// finishOrdersOf is FinishOrders for one group, or with nil for all. Either way it gives up all orders that are silent and not shown.
func (w *Writer) finishOrdersOf(ctx context.Context, only *domain.Group) error {
	now, err := w.sharedTime(ctx, w.DB.Read(ctx))
	if err != nil {
		return err
	}
	if err := w.endOrders(ctx, now.Add(-stagedSilence)); err != nil {
		return err
	}
	silent := now.Add(-shownSilence)
	if only == nil {
		return w.finishLeft(ctx, silent)
	}
	left, err := w.elements.LeftOrdersOf(ctx, silent, *only)
	if err != nil {
		return err
	}
	return errors.Join(w.finishThese(ctx, left)...)
}

// FinishAllOrders is FinishOrders for a service that is the only one on its database. It is called at the start, before the first change: no order is being made, so it takes all of them for silent. When it
// returns, the orders that are not shown are given up. Settling and removing goes on in the background: it can take long, and reads have the new numbers of shown orders without it.
func (w *Writer) FinishAllOrders(ctx context.Context) error {
	late := time.UnixMicro(math.MaxInt64 / 2)
	if err := w.endOrders(ctx, late); err != nil {
		return err
	}
	w.settling.Go(func() {
		if err := w.finishLeft(w.closing, late); err != nil && w.closing.Err() == nil {
			w.Log.WarnContext(ctx, "interrupted long reorders are finished later", "error", err)
		}
	})
	return nil
}

// endOrders gives up the orders that are not shown and have written nothing since a time.
func (w *Writer) endOrders(ctx context.Context, silent time.Time) error {
	ended := int64(0)
	err := w.step(ctx, func(ctx context.Context, tx *database.Tx, _ time.Time) (err error) {
		ended, err = store.EndOrders(ctx, tx, silent)
		return err
	})
	if err != nil {
		return err
	}
	if ended > 0 {
		w.Log.WarnContext(ctx, "long reorders were abandoned before they took effect", "count", ended)
	}
	return nil
}

// finishLeft settles or removes all orders that have written nothing since a time.
func (w *Writer) finishLeft(ctx context.Context, silent time.Time) error {
	var failed []error // an order that can't be finished does not stop the others
	for behind := (domain.Group{}); ; {
		left, err := w.elements.LeftOrders(ctx, silent, behind, w.page)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		failed = append(failed, w.finishThese(ctx, left)...)
		if len(failed) > leftAtOnce { // all are logged in one line
			failed = failed[:leftAtOnce]
		}
		if len(left) < w.page || ctx.Err() != nil {
			return errors.Join(failed...)
		}
		behind = left[len(left)-1].Group
	}
}

// finishThese settles or removes orders, and returns the errors.
func (w *Writer) finishThese(ctx context.Context, left []*store.Order) (failed []error) {
	for _, o := range left {
		do := w.remove
		if o.Shown {
			do = w.settle
		}
		if err := do(ctx, o); err != nil {
			failed = append(failed, fmt.Errorf("finish reorder of %s/%s: %w", o.Scope, o.ElementType, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}
