// Package lease shares work that must go on after the death of whoever does it. A row of the database is worked on by whoever has its lease, until a time by the database's clock; then anybody else may
// go on with it.
//
// What keeps two from doing one thing: each change of the row asks for the lease by its name, and renews it (ErrLost says that it is another's by now); and what is sent elsewhere is sent within Fenced,
// whose time ends before the lease does. So whoever is taken for dead can neither change the row nor have anything arrive that was sent for it.
package lease

import (
	"context"
	"errors"
	"time"

	"github.com/fountainai/fountain/internal/id"
)

const (
	// Last is how long a lease lasts that nothing renews.
	Last = 30 * time.Second
	// CallLimit bounds what is sent elsewhere by a lease of Last.
	CallLimit = 20 * time.Second
)

// ErrLost says that the lease is another's by now, or that the row is in another state than it was taken for.
var ErrLost = errors.New("the lease is lost")

// ErrStopped says that a piece of work ended before it was done because whoever did it was told to end.
var ErrStopped = errors.New("the work was stopped")

// Lease is what a row is held by. Each change of the row by its holder renews it.
type Lease struct {
	Name string // nobody else's, and no earlier one
	Last time.Duration
}

// New returns a lease of its own.
func New(last time.Duration) Lease { return Lease{Name: id.New("lease"), Last: last} }

// Fenced renews a lease of Last, and returns the context of what is sent by it, which ends before the lease does: its time goes from before it is renewed. An error is that of renew.
func Fenced(ctx context.Context, renew func(ctx context.Context) error) (context.Context, context.CancelFunc, error) {
	limited, cancel := context.WithTimeout(ctx, CallLimit)
	if err := renew(limited); err != nil {
		cancel()
		return nil, nil, err
	}
	return limited, cancel, nil
}

// Work is a kind of work that is shared.
type Work[T any] struct {
	// Claim leases what is due for the longest time, or returns nil.
	Claim func(ctx context.Context, l Lease) (*T, error)
	// Do goes on with it as long as it can, or it is its turn. Its errors are ErrLost, where somebody else has it or has ended it, and what keeps it from going on.
	Do func(ctx context.Context, t *T, l Lease) error
	// Leave gives the lease back, whatever became of the context. cause is the error of Do, ErrStopped in place of it when the context ended, or nil.
	Leave func(ctx context.Context, t *T, l Lease, cause error) error
}

// Once does a piece of work that is due, and reports whether there was one.
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
