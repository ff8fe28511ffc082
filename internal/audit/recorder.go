package audit

import (
	"context"
	"log/slog"
	"sync"

	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/store"
)

// Recorder appends events that no change of the database goes with, many in one commit. It is safe for concurrent use.
type Recorder struct {
	DB  *store.DB
	Log *slog.Logger

	start     sync.Once
	committer *groupcommit.Committer[Event, struct{}]
}

// Record appends one event and returns when it is durable. What cannot be recorded must not happen: the caller goes on only without an error.
func (r *Recorder) Record(ctx context.Context, e Event) error {
	r.start.Do(r.open)
	_, err := r.committer.Do(ctx, e)
	return err
}

// Close ends the recorder after what waits is written; call it before the database is closed.
func (r *Recorder) Close() error {
	r.start.Do(r.open)
	r.committer.Close()
	return nil
}

func (r *Recorder) open() {
	r.committer = groupcommit.New(r.DB, groupcommit.Options{Log: r.Log}, func(ctx context.Context, tx *store.Tx, batch []Event) ([]groupcommit.Result[struct{}], error) {
		return make([]groupcommit.Result[struct{}], len(batch)), Append(ctx, tx, batch...)
	})
}
