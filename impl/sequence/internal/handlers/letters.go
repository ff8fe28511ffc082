package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	lettersList = "dead-letters" // the list that cursors belong to
	mostRetried = 10_000         // letters that one call without element names retries
)

// DeadLetters are the changed elements that the search service has not taken, and that are not delivered again without a request.
type DeadLetters interface {
	List(ctx context.Context, after string, limit int) ([]searchsync.Letter, error)
	Retry(ctx context.Context, refs []domain.Ref, limit int) (retried int, remaining int64, err error)
}

// ListDeadLetters lists elements that the search service has refused.
func (s *Server) ListDeadLetters(ctx context.Context, r sequenceapi.ListDeadLettersRequestObject) (sequenceapi.ListDeadLettersResponseObject, error) {
	after, limit := "", defaultPage
	if r.Params.Cursor != nil {
		if err := page.Decode(lettersList, *r.Params.Cursor, &after); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
	}
	if r.Params.Limit != nil {
		limit = page.Limit(new(int(*r.Params.Limit)), defaultPage, largestPage)
	}
	letters, err := s.DeadLetters.List(ctx, after, limit+1)
	if err != nil {
		return nil, refuse(err, nil)
	}
	out := sequenceapi.DeadLetterList{}
	if len(letters) > limit {
		letters = letters[:limit]
		out.NextCursor = new(page.Encode(lettersList, letters[limit-1].Key))
	}
	out.Items = fromLetters(letters)
	return ok(out), nil
}

// RetryDeadLetters sends dead letters to the search service again.
func (s *Server) RetryDeadLetters(ctx context.Context, r sequenceapi.RetryDeadLettersRequestObject) (sequenceapi.RetryDeadLettersResponseObject, error) {
	var refs []domain.Ref
	if r.Body.Elements != nil {
		for _, e := range *r.Body.Elements {
			refs = append(refs, ref(e.Scope, e.ElementType, e.ElementID))
		}
	}
	retried, remaining, err := s.DeadLetters.Retry(ctx, refs, mostRetried)
	if err != nil {
		return nil, refuse(err, nil)
	}
	return ok(sequenceapi.DeadLetterRetryResult{Retried: int64(retried), Remaining: remaining}), nil
}

func fromLetters(letters []searchsync.Letter) []sequenceapi.DeadLetter {
	out := make([]sequenceapi.DeadLetter, len(letters))
	for i, l := range letters {
		out[i] = sequenceapi.DeadLetter{
			Scope: l.Scope, ElementType: l.ElementType, ElementID: l.ID, Reason: l.Reason, Attempts: int64(l.Attempts), ChangedAt: l.ChangedAt, FailedAt: l.FailedAt,
		}
	}
	return out
}
