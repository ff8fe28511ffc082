// Package runner starts the parts of a program together and stops them together: the first part that fails stops all.
package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
)

// Group is a set of parts. The zero value is ready for use. Go and Cleanup are called before Run.
type Group struct {
	parts    []part
	cleanups []cleanup
}

type part struct {
	name string
	run  func(ctx context.Context) error
}

type cleanup struct {
	name string
	do   func() error
}

// Go adds a part. It must return soon after its context ends. A part that returns nil before that ends alone; one that returns an error or panics
// stops the group.
func (g *Group) Go(name string, run func(ctx context.Context) error) {
	g.parts = append(g.parts, part{name, run})
}

// Cleanup adds a function that runs after every part has ended; the last one added runs first.
func (g *Group) Cleanup(name string, do func() error) {
	g.cleanups = append(g.cleanups, cleanup{name, do})
}

// Run starts every part and waits until all have ended and the cleanups have run. It returns nil when ctx ended and everything closed without error;
// otherwise all errors joined, first that of the part which stopped the group.
func (g *Group) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs []error
	)
	for _, p := range g.parts {
		wg.Go(func() {
			err := guarded(ctx, p)
			if err == nil || (errors.Is(err, context.Canceled) && ctx.Err() != nil) {
				return
			}
			mu.Lock()
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
			mu.Unlock()
			cancel()
		})
	}
	wg.Wait()
	for i := len(g.cleanups) - 1; i >= 0; i-- {
		if err := g.cleanups[i].do(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", g.cleanups[i].name, err))
		}
	}
	return errors.Join(errs...)
}

// guarded runs a part and converts a panic to an error, so that the other parts still close in order.
func guarded(ctx context.Context, p part) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	return p.run(ctx)
}

// Signals returns a context that ends at the first SIGINT or SIGTERM. After that the signals have their default effect again, so that a second one
// kills a program that does not stop.
func Signals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
