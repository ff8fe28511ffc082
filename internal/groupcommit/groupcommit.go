// Package groupcommit lets many small durable writes share one commit.
package groupcommit

import (
	"context"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// Options bound a Committer. Zero values take the defaults.
type Options struct {
	MaxBatch int           // requests in one transaction; default 512
	MaxWait  time.Duration // how long to wait for company before a commit begins; default 0: none
	Queue    int           // requests that may wait; default 4096
}

// Result is the outcome of one request of a batch.
type Result[Res any] struct {
	Value Res
	Err   error // fails this request alone; apply must have written nothing for it
}

// Committer collects requests and applies them in batches, one transaction each.
type Committer[Req, Res any] struct{}

// New starts a Committer.
func New[Req, Res any](db *store.DB, o Options, apply func(ctx context.Context, tx *store.Tx, batch []Req) ([]Result[Res], error)) *Committer[Req, Res] {
	panic("being built")
}

// Do applies one request and returns when it is durable or has failed.
func (c *Committer[Req, Res]) Do(ctx context.Context, req Req) (Res, error) { panic("being built") }

// Close drains the queue.
func (c *Committer[Req, Res]) Close() { panic("being built") }
