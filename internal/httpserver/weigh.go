package httpserver

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	// largeText is the size in bytes from which on a text must wait for its turn to be checked.
	largeText = 256 << 10
	// checkedAtOnce is how many bytes of large texts are checked at the same time in this process. Checking JSON takes up to some 14 times its size
	// in memory (Operation.MemoryBound), so that a few dozen of the largest bodies at once would exhaust the memory.
	checkedAtOnce = 16 << 20
)

// checking is shared by the whole process, as memory is: several services may run in it.
var checking = semaphore.NewWeighted(checkedAtOnce)

// checkingOfMembers bounds texts of adopted services separately, so that they take no capacity from the family's. memberTurns limits each adopted
// service to one text at a time.
var (
	checkingOfMembers = semaphore.NewWeighted(checkedAtOnce)
	memberTurns       = turns{of: map[string]*turn{}}
)

// InTurn runs the check of a text of this size in bytes when there is capacity for it. It returns the result of check, or overloaded when ctx ends
// first.
func InTurn(ctx context.Context, op *contract.Operation, size int, check func() error) error {
	if size < largeText {
		return check()
	}
	room := checking
	if op.Mount != "" {
		room = checkingOfMembers
		if err := memberTurns.begin(ctx, op.Word); err != nil {
			return tooMany(err)
		}
		defer memberTurns.end(op.Word)
	}
	weight := min(int64(size), checkedAtOnce)
	if err := room.Acquire(ctx, weight); err != nil {
		return tooMany(err)
	}
	defer room.Release(weight)
	return check()
}

func tooMany(err error) error {
	return problem.New(problem.Overloaded, "Too many large requests at once.").WithRetryAfter(time.Second).Wrap(err)
}

// turns is a mutex per name.
type turns struct {
	mu sync.Mutex
	of map[string]*turn
}

// turn is the mutex of a name. It exists as long as it is held or waited for.
type turn struct {
	taken chan struct{} // holds one element while the mutex is held
	users int
}

func (t *turns) begin(ctx context.Context, name string) error {
	t.mu.Lock()
	one := t.of[name]
	if one == nil {
		one = &turn{taken: make(chan struct{}, 1)}
		t.of[name] = one
	}
	one.users++
	t.mu.Unlock()
	select {
	case one.taken <- struct{}{}:
		return nil
	case <-ctx.Done():
		t.leave(name)
		return context.Cause(ctx)
	}
}

func (t *turns) end(name string) {
	t.mu.Lock()
	<-t.of[name].taken
	t.mu.Unlock()
	t.leave(name)
}

func (t *turns) leave(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[name].users--; t.of[name].users == 0 {
		delete(t.of, name)
	}
}
