// Package lease distributes work that must continue after the death of a worker. A row of the database is worked on by the holder of its
// lease, which expires at a time by the database's clock. After that anybody else may continue the work.
//
// Two rules prevent two workers from doing the same work. Each change of the row requires the lease by its name, and renews it; ErrLost
// reports that somebody else has it. Calls to other systems are made within Fenced, whose context ends before the lease does. A worker that
// is considered dead can therefore neither change the row nor have a call arrive that was made for it.
package lease

import (
	"context"
	"errors"
	"time"

	"github.com/fountainai/fountain/internal/id"
)

const (
	// Last is how long a lease lasts unless it is renewed.
	Last = 30 * time.Second
	// CallLimit limits calls to other systems that are made under a lease of Last.
	CallLimit = 20 * time.Second
)

// ErrLost reports that somebody else has the lease, or that the row is not in the expected state.
var ErrLost = errors.New("the lease is lost")

// ErrStopped reports that a piece of work ended early because the worker was told to stop.
var ErrStopped = errors.New("the work was stopped")

// Lease is the right to work on a row. Each change of the row by the holder renews it.
type Lease struct {
	Name string // unique, also over time
	Last time.Duration
}

// New returns a lease with a unique name.
func New(last time.Duration) Lease { return Lease{Name: id.New("lease"), Last: last} }

// Fenced renews a lease of Last, and returns a context for the calls that are made under it. The context ends before the lease does,
// because its time is counted from before the renewal. The error is that of renew.
func Fenced(ctx context.Context, renew func(ctx context.Context) error) (context.Context, context.CancelFunc, error) {
	limited, cancel := context.WithTimeout(ctx, CallLimit)
	if err := renew(limited); err != nil {
		cancel()
		return nil, nil, err
	}
	return limited, cancel, nil
}

// Work is one kind of shared work.
type Work[T any] struct {
	// Claim leases the item that has been due for the longest time, or returns nil.
	Claim func(ctx context.Context, l Lease) (*T, error)
	// Do works on the item until it can't continue or has used its turn. It returns ErrLost if somebody else has the lease or has ended the
	// work, or else the error that stopped it.
	Do func(ctx context.Context, t *T, l Lease) error
	// Leave releases the lease. Its context does not end with the worker's. cause is the error of Do, or ErrStopped if the context ended,
	// or nil.
	Leave func(ctx context.Context, t *T, l Lease, cause error) error
}

// Once works on one due item, and reports whether there was one.
func (w Work[T]) Once(ctx context.Context) (bool, error) {
	l := New(Last)
	t, err := w.Claim(ctx, l)
	if err != nil || t == nil {
		return false, err
	}
	err = w.Do(ctx, t, l)
	if err != nil && ctx.Err() != nil {
		err = ErrStopped
	}
	return true, w.Leave(context.WithoutCancel(ctx), t, l, err)
}
