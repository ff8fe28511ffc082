package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/sequence"
)

// changesWait is how long one request of FollowChanges is held open while there are no changes.
const changesWait = "wait=20"

// ListChanges reads one page of a scope's changes in commit order; Changes and FollowChanges read on. Error: ErrInvalid
// if Feed is not the current feed or After is beyond its end, because a backup was restored. Start from the beginning
// then.
func (s *Sequence) ListChanges(ctx context.Context, scope string, params *sequence.ListChangesParams, opts ...CallOption) (*sequence.ChangeList, error) {
	return send[sequence.ChangeList](ctx, s.client, opListChanges, opts, func(server string) (*http.Request, error) {
		return sequence.NewListChangesRequest(server, scope, params)
	})
}

// FeedPlace is the position up to which a program has read the changes of a scope. The zero value is the beginning.
// Store both fields: after a restore of the service's database, the same positions are used again for other changes, in
// a feed with another name.
type FeedPlace struct {
	Feed     string `json:"feed"`     // the feed's name; empty: the current feed
	Position int64  `json:"position"` // position of the last change that was read
}

// Changes yields the changes of a scope after place up to now; with a nil place, all of them. It advances place to each
// change before it yields it. Error: ErrInvalid if place belongs to a feed from before a restore.
func (s *Sequence) Changes(ctx context.Context, scope string, place *FeedPlace, opts ...CallOption) iter.Seq2[sequence.Change, error] {
	return s.changes(ctx, scope, place, nil, opts)
}

// FollowChanges yields the changes of a scope after place, and from the beginning with a nil place. It waits for more
// until ctx ends and then yields the error of ctx. It advances place to each change before it yields it; store place to
// continue later. Error: ErrInvalid if place belongs to a feed from before a restore. Then read the scope again and
// start with an empty place.
func (s *Sequence) FollowChanges(ctx context.Context, scope string, place *FeedPlace, opts ...CallOption) iter.Seq2[sequence.Change, error] {
	return s.changes(ctx, scope, place, new(changesWait), opts)
}

func (s *Sequence) changes(ctx context.Context, scope string, place *FeedPlace, wait *string, opts []CallOption) iter.Seq2[sequence.Change, error] {
	if place == nil {
		place = &FeedPlace{}
	}
	return func(yield func(sequence.Change, error) bool) {
		for {
			params := &sequence.ListChangesParams{After: &place.Position, Prefer: wait}
			if place.Feed != "" {
				params.Feed = &place.Feed
			}
			page, err := s.ListChanges(ctx, scope, params, opts...)
			if err != nil {
				yield(sequence.Change{}, err)
				return
			}
			place.Feed = page.Feed
			for _, change := range page.Items {
				place.Position = change.Position
				if !yield(change, nil) {
					return
				}
			}
			if len(page.Items) == 0 && wait == nil {
				return
			}
			place.Position = page.Position
		}
	}
}

// StreamChanges reads changes as server-sent events and returns their text when the stream ends, after params.Limit
// events or an hour. FollowChanges has no such limit.
func (s *Sequence) StreamChanges(ctx context.Context, scope string, params *sequence.StreamChangesParams, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, s.client, opStreamChanges, opts, func(server string) (*http.Request, error) {
		return sequence.NewStreamChangesRequest(server, scope, params)
	}, "text/event-stream")
}
