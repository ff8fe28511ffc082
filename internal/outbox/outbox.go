// Package outbox carries what a transaction changed to another system, at least once.
package outbox

import (
	"context"
	"io/fs"
	"log/slog"
	"time"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

// Migrations creates the outbox table (00012).
var Migrations fs.FS

// Message is one due row.
type Message struct {
	Topic, Key string
	Payload    []byte
	Attempts   int // failed deliveries so far
	EnqueuedAt time.Time
}

// Options bound a Worker. Zero values take the defaults.
type Options struct {
	Batch int           // messages delivered together; default 100
	Lease time.Duration // how long a delivery may take before another worker takes over; default 30 s
	Poll  time.Duration // how often to look without a Notify; default 1 s
	Clock clock.Clock   // default clock.System
	Log   *slog.Logger
}

// PartialError says which messages of a batch failed, by index; the others are delivered.
type PartialError struct{ Failed map[int]error }

func (e *PartialError) Error() string { return "some messages were not delivered" }

// Enqueue adds a message to the transaction; a waiting message with the same topic and key is replaced.
func Enqueue(ctx context.Context, tx *store.Tx, topic, key string, payload []byte) error {
	panic("being built")
}

// Worker delivers.
type Worker struct{}

// New returns a Worker.
func New(db *store.DB, o Options, deliver func(ctx context.Context, batch []Message) error) *Worker {
	panic("being built")
}

// Run delivers until ctx ends.
func (w *Worker) Run(ctx context.Context) error { panic("being built") }

// Notify wakes the worker: call it after the commit that enqueued.
func (w *Worker) Notify() { panic("being built") }

// Lag returns how many messages wait, and for how long the oldest has.
func (w *Worker) Lag(ctx context.Context) (count int64, oldest time.Duration, err error) {
	panic("being built")
}
