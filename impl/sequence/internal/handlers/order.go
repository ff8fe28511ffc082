package handlers

import (
	"context"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
)

// MoveElement puts an element before or after another.
func (s *Server) MoveElement(ctx context.Context, r sequenceapi.MoveElementRequestObject) (sequenceapi.MoveElementResponseObject, error) {
	done, err := s.Writer.Do(ctx, writer.Request{Move: move(ctx, ref(r.Scope, r.ElementType, r.ElementID), r.Body)})
	if err != nil {
		return nil, refuse(err, body)
	}
	return ok(fromOrder(done)), nil
}

// PreviewMove returns what a move would change.
func (s *Server) PreviewMove(ctx context.Context, r sequenceapi.PreviewMoveRequestObject) (sequenceapi.PreviewMoveResponseObject, error) {
	asked := move(ctx, ref(r.Scope, r.ElementType, r.ElementID), r.Body)
	if err := asked.Check(); err != nil {
		return nil, refuse(err, body)
	}
	planned := &store.Change{Move: asked}
	if err := s.Store.Plan(ctx, planned); err != nil {
		return nil, refuse(err, body)
	}
	return ok(fromOrder(planned.Done)), nil
}

// PreviewReorder returns what a new order would change.
func (s *Server) PreviewReorder(ctx context.Context, r sequenceapi.PreviewReorderRequestObject) (sequenceapi.PreviewReorderResponseObject, error) {
	if err := s.Store.Known(ctx, r.Scope); err != nil {
		return nil, refuse(err, nil)
	}
	reorder := &domain.Reorder{Group: group(r.Scope, r.ElementType), Order: r.Body.Order}
	if err := reorder.Check(); err != nil {
		return nil, refuse(err, itemOf("order"))
	}
	planned := &store.Change{Reorder: reorder}
	if err := s.Store.Plan(ctx, planned); err != nil {
		return nil, refuse(err, itemOf("order"))
	}
	return ok(fromOrder(planned.Done)), nil
}

func move(ctx context.Context, which domain.Ref, in *sequenceapi.Move) *domain.Move {
	out := &domain.Move{Ref: which, Actor: actor(ctx)}
	if in.Before != nil {
		out.Before = *in.Before
	}
	if in.After != nil {
		out.After = *in.After
	}
	return out
}
