package history

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
)

// follower reads the change feed while the recorder makes its calls.
type follower struct {
	cancel context.CancelFunc
	more   chan struct{} // holds one value if a change was seen since the last check
	ended  chan struct{}

	mu   sync.Mutex
	seen []Change
	err  error // that ended the follower
}

// follow starts a follower. After a failed request it continues where it was, unless the refusal is permanent.
func follow(ctx context.Context, c *fountain.Client, scope string) *follower {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{cancel: cancel, more: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(f.ended)
		place := &fountain.FeedPlace{}
		for {
			err := f.read(ctx, c, scope, place)
			if ctx.Err() != nil {
				return
			}
			if permanent(err) {
				f.mu.Lock()
				f.err = err
				f.mu.Unlock()
				return
			}
			select {
			case <-time.After(pauseAfterFailure):
			case <-ctx.Done():
			}
		}
	}()
	return f
}

func (f *follower) read(ctx context.Context, c *fountain.Client, scope string, place *fountain.FeedPlace) error {
	for change, err := range c.Sequence.FollowChanges(ctx, scope, place) {
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.seen = append(f.seen, changeOf(change))
		f.mu.Unlock()
		select {
		case f.more <- struct{}{}:
		default: // until has not looked yet
		}
	}
	return nil
}

// until waits until the follower has seen this many changes, at most followerPatience. It then stops the follower and
// returns what it saw.
func (f *follower) until(changes int) ([]Change, error) {
	over := time.NewTimer(followerPatience)
	defer over.Stop()
	for waiting := f.count() < changes; waiting; {
		select {
		case <-f.more:
			waiting = f.count() < changes
		case <-f.ended:
			waiting = false
		case <-over.C:
			waiting = false
		}
	}
	f.cancel()
	<-f.ended
	if f.err != nil {
		return nil, fmt.Errorf("follow changes: %w", f.err)
	}
	return f.seen, nil
}

func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.seen)
}
