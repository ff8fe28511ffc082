package searchsync

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/outbox"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Letters are the dead letters: changed elements that the search service has not taken, and that are not delivered again without a request.
type Letters struct {
	DB *database.DB
	// Retried is called when some are due for delivery again. It must not block.
	Retried func()
}

// Letter is a changed element that the search service has not taken.
type Letter struct {
	domain.Ref
	Key       string // of the element (Key), by which letters are sorted
	Reason    string // a code
	Attempts  int
	ChangedAt time.Time // of the oldest change that search does not have
	FailedAt  time.Time
}

// List returns up to limit letters whose keys follow after, in the order of their keys.
func (l Letters) List(ctx context.Context, after string, limit int) (out []Letter, err error) {
	defer tried.To(&err, "list elements that search does not have")
	letters, err := outbox.DeadLetters(ctx, l.DB.Read(ctx), topic, after, limit)
	if err != nil {
		return nil, err
	}
	out = make([]Letter, len(letters))
	for i, d := range letters {
		ref, err := ParseKey(d.Key)
		if err != nil {
			ref = domain.Ref{ID: d.Key} // written by another release; it can still be retried
		}
		out[i] = Letter{Ref: ref, Key: d.Key, Reason: d.Reason, Attempts: d.Attempts, ChangedAt: d.EnqueuedAt, FailedAt: d.FailedAt}
	}
	return out, nil
}

// Retry makes letters due for delivery again: those of refs, or with nil the first limit. It returns how many it has retried and how many letters remain.
func (l Letters) Retry(ctx context.Context, refs []domain.Ref, limit int) (retried int, remaining int64, err error) {
	defer tried.To(&err, "retry dead letters")
	var keys []string
	for _, r := range refs {
		keys = append(keys, Key(r))
	}
	err = l.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) (err error) {
		if retried, err = outbox.Retry(ctx, tx, topic, keys, limit); err != nil {
			return err
		}
		remaining, err = outbox.CountDeadLetters(ctx, tx, topic)
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	if retried > 0 {
		l.Retried()
	}
	return retried, remaining, nil
}

// Count returns how many letters there are.
func (l Letters) Count(ctx context.Context) (int64, error) {
	return outbox.CountDeadLetters(ctx, l.DB.Read(ctx), topic)
}
