package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/sequence"
)

// changesWait is how long one request of FollowChanges is held while there is nothing.
const changesWait = "wait=20"

// ListChanges reads one page of a scope's changes, in the order of their commits; Changes and FollowChanges read on. ErrInvalid: Feed is not the
// present feed or After is beyond it, because a backup was restored: begin again.
func (s *Sequence) ListChanges(ctx context.Context, scope string, params *sequence.ListChangesParams, opts ...CallOption) (*sequence.ChangeList, error) {
	return send[sequence.ChangeList](ctx, s.client, opListChanges, opts, func(server string) (*http.Request, error) {
		return sequence.NewListChangesRequest(server, scope, params)
	})
}

// FeedPlace is up to where a program knows the changes of a scope. The zero value is the beginning. Keep both parts: after a restore of the service's
// database positions are given again, for other changes, under another name of the feed.
type FeedPlace struct {
	Feed     string `json:"feed"`     // the feed's name; empty: whichever it is now
	Position int64  `json:"position"` // of the last change that is known
}

// Changes yields what has changed in a scope behind a place, nil for all, up to now. It moves the place to each change before it yields it.
// ErrInvalid: the place is of a feed from before a restore.
func (s *Sequence) Changes(ctx context.Context, scope string, place *FeedPlace, opts ...CallOption) iter.Seq2[sequence.Change, error] {
	return s.changes(ctx, scope, place, nil, opts)
}

// FollowChanges yields what changes in a scope behind a place, nil for the beginning, and waits for more until ctx ends, whose error is its last. It
// moves the place to each change before it yields it: keep it to go on later. ErrInvalid: the place is of a feed from before a restore; read the
// scope again, and begin with an empty place.
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

// StreamChanges reads changes as server-sent events, as text; it returns when the stream ends, after params.Limit of them or an hour. FollowChanges needs no such end.
func (s *Sequence) StreamChanges(ctx context.Context, scope string, params *sequence.StreamChangesParams, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, s.client, opStreamChanges, opts, func(server string) (*http.Request, error) {
		return sequence.NewStreamChangesRequest(server, scope, params)
	}, "text/event-stream")
}
