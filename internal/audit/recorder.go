package audit

import (
	"context"
	"log/slog"
	"sync"

	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/store"
)

// Recorder appends events that belong to no other change of the database, many in one commit. It is safe for concurrent use.
type Recorder struct {
	DB  *store.DB
	Log *slog.Logger

	start     sync.Once
	committer *groupcommit.Committer[Event, struct{}]
}

// Record appends one event and returns when it is durable. After an error the caller must not perform the action, since it was not recorded.
func (r *Recorder) Record(ctx context.Context, e Event) error {
	r.start.Do(r.open)
	_, err := r.committer.Do(ctx, e)
	return err
}

// Close writes the waiting events and ends the recorder. It must be called before the database is closed.
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
