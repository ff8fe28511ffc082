package searchsync

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/outbox"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Letters are the dead letters: elements that search does not have, and does not get by itself.
type Letters struct {
	DB *database.DB
	// Retried is told when some are to be delivered again. It must not block.
	Retried func()
}

// Letter is an element that search does not have.
type Letter struct {
	domain.Ref
	Key       string // its place in a list
	Reason    string // a code
	Attempts  int
	ChangedAt time.Time // of the oldest change that search does not have
	FailedAt  time.Time
}

// List returns up to limit letters behind one with the given key, in the order of their keys (Key).
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
			ref = domain.Ref{ID: d.Key} // of another release; it can be retried all the same
		}
		out[i] = Letter{Ref: ref, Key: d.Key, Reason: d.Reason, Attempts: d.Attempts, ChangedAt: d.EnqueuedAt, FailedAt: d.FailedAt}
	}
	return out, nil
}

// Retry delivers letters again: those of refs, or with nil the first limit. It returns how many, and how many letters are left.
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
