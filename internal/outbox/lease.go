package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
)

// thisProcess is the prefix of this process's lease names, which distinguishes them from those of an earlier process.
var thisProcess = id.New("lease")

// errLeaseLost ends a delivery whose lease could not be renewed: another worker may hold its messages by now.
var errLeaseLost = errors.New("the lease of the delivery is lost")

// freeAbandoned ends the leases of an earlier process on SQLite. That process is dead, because this one holds the lock on the file.
func (w *Worker) freeAbandoned(ctx context.Context) error {
	if w.db.Dialect() != store.SQLite {
		return nil // another process may be at work
	}
	err := w.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE outbox SET lease = '', due_at = 0 WHERE lease <> '' AND SUBSTR(lease, 1, ?) <> ?", len(thisProcess), thisProcess)
		return err
	})
	if err != nil {
		return fmt.Errorf("end leases of an earlier process: %w", err)
	}
	return nil
}

// now returns the time that leases and pauses are compared with.
func (w *Worker) now(ctx context.Context, tx *store.Tx) (time.Time, error) {
	if w.o.Clock != clock.System || tx.Dialect() != store.PostgreSQL {
		return w.o.Clock.Now(), nil
	}
	var micros int64
	if err := tx.Get(ctx, &micros, "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"); err != nil {
		return time.Time{}, fmt.Errorf("read the clock of the database: %w", err)
	}
	return time.UnixMicro(micros), nil
}

// lease returns how long a lease lasts before it must be renewed. On SQLite leases are not renewed, because renewals would cost commits: a lease
// lasts as long as a delivery may take, and the leases of a dead process are ended at the next start.
func (w *Worker) lease() time.Duration {
	if w.db.Dialect() == store.SQLite {
		return max(w.o.Lease, w.o.Timeout+settleTime)
	}
	return w.o.Lease
}

// hold renews a lease until letGo is called, which returns errLeaseLost when a renewal failed. The returned context ends then, too.
func (w *Worker) hold(ctx context.Context, lease string) (held context.Context, letGo func() error) {
	held, end := context.WithCancelCause(ctx)
	if w.db.Dialect() == store.SQLite {
		return held, func() error { end(nil); return nil }
	}
	done, lost := make(chan struct{}), make(chan error, 1)
	go func() {
		step := time.NewTicker(w.o.Lease / 3)
		defer step.Stop()
		for {
			select {
			case <-step.C:
				if err := w.renew(held, lease); err != nil && held.Err() == nil {
					end(errLeaseLost)
					lost <- fmt.Errorf("%w: %w", errLeaseLost, err)
					return
				}
			case <-done:
				lost <- nil
				return
			case <-held.Done():
				lost <- nil
				return
			}
		}
	}()
	return held, func() error {
		close(done)
		defer end(nil)
		return <-lost // a renewal must not come after the lease was settled
	}
}

// renew extends a lease to its full length from now. A renewal that takes longer than the lease has failed.
func (w *Worker) renew(ctx context.Context, lease string) error {
	ctx, cancel := context.WithTimeout(ctx, w.o.Lease/2)
	defer cancel()
	return w.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := leased(lease).Lock(ctx, tx); err != nil {
			return err
		}
		now, err := w.now(ctx, tx)
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, "UPDATE outbox SET due_at = ? WHERE lease = ? AND lease <> ''", now.Add(w.o.Lease).UnixMicro(), lease)
		if err != nil {
			return fmt.Errorf("renew lease: %w", err)
		}
		if n == 0 {
			return errors.New("renew lease: another worker has its messages")
		}
		return nil
	})
}
