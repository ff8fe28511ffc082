package httpserver

import (
	"context"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/fountainai/fountain/internal/problem"
)

const (
	// largeText is from which size on, in bytes, a text must wait for its turn to be checked.
	largeText = 256 << 10
	// checkedAtOnce is how many bytes of large texts are checked at a time in this process. While JSON is checked it takes up to some
	// 14 times its size in memory (Operation.MemoryBound), so that a few dozen of the largest bodies at once would take all there is.
	checkedAtOnce = 16 << 20
)

// checking belongs to the process, as its memory does: several services may live in it.
var checking = semaphore.NewWeighted(checkedAtOnce)

// InTurn runs the check of a text of this size, in bytes, when there is room for it beside the others. It returns what check returns, and
// overloaded when ctx ends first.
func InTurn(ctx context.Context, size int, check func() error) error {
	if size < largeText {
		return check()
	}
	weight := min(int64(size), checkedAtOnce)
	if err := checking.Acquire(ctx, weight); err != nil {
		return problem.New(problem.Overloaded, "Too many large requests at once.").WithRetryAfter(time.Second).Wrap(err)
	}
	defer checking.Release(weight)
	return check()
}
