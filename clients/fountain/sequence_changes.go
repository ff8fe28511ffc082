package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/sequence"
)

// changesWait is how long one request of FollowChanges is held while there is nothing.
const changesWait = "wait=20"

// ListChanges reads one page of a scope's changes, in the order of their commits; Changes and FollowChanges read on. ErrInvalid: After is beyond
// the feed, because a backup was restored.
func (s *Sequence) ListChanges(ctx context.Context, scope string, params *sequence.ListChangesParams, opts ...CallOption) (*sequence.ChangeList, error) {
	return send[sequence.ChangeList](ctx, s.client, opListChanges, opts, func(server string) (*http.Request, error) {
		return sequence.NewListChangesRequest(server, scope, params)
	})
}

// Changes yields what has changed in a scope behind a position, 0 for all, up to now.
func (s *Sequence) Changes(ctx context.Context, scope string, after int64, opts ...CallOption) iter.Seq2[sequence.Change, error] {
	return s.changes(ctx, scope, after, nil, opts)
}

// FollowChanges yields what changes in a scope behind a position, and waits for more until ctx ends, whose error is its last. To go on later,
// keep the position of the last change.
func (s *Sequence) FollowChanges(ctx context.Context, scope string, after int64, opts ...CallOption) iter.Seq2[sequence.Change, error] {
	return s.changes(ctx, scope, after, new(changesWait), opts)
}

func (s *Sequence) changes(ctx context.Context, scope string, after int64, wait *string, opts []CallOption) iter.Seq2[sequence.Change, error] {
	return func(yield func(sequence.Change, error) bool) {
		for {
			page, err := s.ListChanges(ctx, scope, &sequence.ListChangesParams{After: &after, Prefer: wait}, opts...)
			if err != nil {
				yield(sequence.Change{}, err)
				return
			}
			for _, change := range page.Items {
				if !yield(change, nil) {
					return
				}
			}
			if len(page.Items) == 0 && wait == nil {
				return
			}
			after = page.Position
		}
	}
}

// StreamChanges reads changes as server-sent events, as text; it returns when the stream ends, after params.Limit of them or an hour. FollowChanges needs no such end.
func (s *Sequence) StreamChanges(ctx context.Context, scope string, params *sequence.StreamChangesParams, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, s.client, opStreamChanges, opts, func(server string) (*http.Request, error) {
		return sequence.NewStreamChangesRequest(server, scope, params)
	}, "text/event-stream")
}
