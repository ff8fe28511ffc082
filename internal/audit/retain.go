package audit

import (
	"context"
	"errors"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// archivePause is the interval of checks for orders of another service, and for removals that a killed process has not finished.
const archivePause = time.Minute

// archives follows orders to remove archived events, at the start, after each order and every minute.
func (k *Keeper) archives(ctx context.Context) {
	ticker := time.NewTicker(archivePause)
	defer ticker.Stop()
	for {
		k.takeOrder(ctx)
		k.remove(ctx)
		k.measure(ctx)
		select {
		case <-ctx.Done():
			return
		case <-k.chain.ordered:
		case <-ticker.C:
		}
	}
}

// takeOrder records an order of another service in the chain. An order that is refused is reported once, not every minute.
func (k *Keeper) takeOrder(ctx context.Context) {
	if k.Archive == nil {
		return
	}
	order, found, err := k.Archive(ctx)
	if err == nil && found {
		err = k.chain.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := k.chain.Archive(ctx, tx, order)
			return err
		})
	}
	switch {
	case err == nil || ctx.Err() != nil || errors.Is(err, ErrArchived): // events that are already removed need no order
	case found && k.refused == order.End.Seq:
	case found:
		k.refused = order.End.Seq
		k.Log.ErrorContext(ctx, "events of the audit trail that are in an archive are not removed", "error", err, "event", order.End.Seq)
		k.Failed("remove archived audit events")
	default:
		k.Log.WarnContext(ctx, "the archive order of the audit trail could not be fetched from the kms", "error", err)
		k.Failed("ask for orders to the audit trail")
	}
}

// remove removes the ordered events in small transactions.
func (k *Keeper) remove(ctx context.Context) {
	for more := true; more && ctx.Err() == nil; {
		var err error
		more, err = k.chain.removeSome(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		k.Log.ErrorContext(ctx, "archived events of the audit trail could not be removed", "error", err)
		k.Failed("remove archived audit events")
		if errors.Is(err, ErrTampered) {
			k.intact.Set(0)
		}
		return
	}
}

// measure updates the metrics of the first stored event.
func (k *Keeper) measure(ctx context.Context) {
	q := k.chain.db.Read(ctx)
	from, err := StoredFrom(ctx, q)
	var at time.Time
	if err == nil {
		at, err = Oldest(ctx, q)
	}
	switch {
	case err == nil:
		k.archived.Set(float64(from.Seq))
		if !at.IsZero() {
			k.oldest.Set(float64(at.UnixMicro()) / 1e6)
		}
	case ctx.Err() == nil:
		k.Log.ErrorContext(ctx, "the audit trail could not be measured", "error", err)
		k.Failed("measure the audit trail")
	}
}
