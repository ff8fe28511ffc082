package handlers

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	defaultPage = 50 // Limit of common.yaml
	largestPage = 200
)

// CreateElement appends an element.
func (s *Server) CreateElement(ctx context.Context, r sequenceapi.CreateElementRequestObject) (sequenceapi.CreateElementResponseObject, error) {
	create := s.create(ctx, r.Scope, r.ElementType, []sequenceapi.ElementCreate{*r.Body})
	done, err := s.Writer.Do(ctx, writer.Request{Create: create, Key: idempotencyKey(ctx, "createElement", r.Params.IdempotencyKey)})
	if err != nil {
		return nil, refuse(err, body)
	}
	return elementAnswer(http.StatusCreated, done.Elements[0]), nil
}

// CreateElements appends several elements, all or none.
func (s *Server) CreateElements(ctx context.Context, r sequenceapi.CreateElementsRequestObject) (sequenceapi.CreateElementsResponseObject, error) {
	create := s.create(ctx, r.Scope, r.ElementType, r.Body.Elements)
	done, err := s.Writer.Do(ctx, writer.Request{Create: create, Key: idempotencyKey(ctx, "createElements", r.Params.IdempotencyKey)})
	if err != nil {
		return nil, refuse(err, itemOf("elements"))
	}
	return answer{status: http.StatusCreated, body: sequenceapi.ElementBatchResult{Items: fromElements(done.Elements)}}, nil
}

func (s *Server) create(ctx context.Context, scope, elementType string, elements []sequenceapi.ElementCreate) *domain.Create {
	create := &domain.Create{Group: group(scope, elementType), Drafts: toDrafts(elements), Actor: actor(ctx)}
	create.Name(s.NewID)
	return create
}

// ListElements lists a type's elements in order of their numbers.
func (s *Server) ListElements(ctx context.Context, r sequenceapi.ListElementsRequestObject) (sequenceapi.ListElementsResponseObject, error) {
	status := domain.Status("")
	if r.Params.Status != nil {
		status = domain.Status(*r.Params.Status)
	}
	list := "elements/" + r.Scope + "/" + r.ElementType + "/" + string(status)
	if r.Params.Consistent != nil && *r.Params.Consistent {
		return s.listAt(ctx, r, status, list+"/consistent")
	}
	after, limit, err := position(list, r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	elements, err := s.Store.List(ctx, group(r.Scope, r.ElementType), status, after, limit+1)
	if err != nil {
		return nil, refuse(err, nil)
	}
	out := sequenceapi.ElementList{}
	if len(elements) > limit {
		elements = elements[:limit]
		out.NextCursor = new(page.Encode(list, elements[limit-1].Number))
	}
	out.Items = fromElements(elements)
	return ok(out), nil
}

// listAt is ListElements with the elements and the order as of the first page (store.Moment), which the cursor carries.
func (s *Server) listAt(ctx context.Context, r sequenceapi.ListElementsRequestObject, status domain.Status, list string) (sequenceapi.ListElementsResponseObject, error) {
	var after int64
	var moment store.Moment
	if r.Params.Cursor != nil {
		if err := page.Decode(list, *r.Params.Cursor, &after, &moment.Feed, &moment.Orders, &moment.Last); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
	}
	_, limit, err := position(list, nil, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	elements, err := s.Store.ListAt(ctx, group(r.Scope, r.ElementType), status, after, limit+1, &moment)
	if err != nil {
		return nil, refuse(err, nil)
	}
	out := sequenceapi.ElementList{}
	if len(elements) > limit {
		elements = elements[:limit]
		out.NextCursor = new(page.Encode(list, elements[limit-1].Number, moment.Feed, moment.Orders, moment.Last))
	}
	out.Items = fromElements(elements)
	return ok(out), nil
}

// position decodes the position after which a page begins, and the size of the page.
func position(list string, cursor *string, limit *int32) (after int64, size int, err error) {
	if cursor != nil {
		if err := page.Decode(list, *cursor, &after); err != nil {
			return 0, 0, problem.BadCursor().Wrap(err)
		}
	}
	size = defaultPage
	if limit != nil {
		size = page.Limit(new(int(*limit)), defaultPage, largestPage)
	}
	return after, size, nil
}

// GetElement reads an element's current version.
func (s *Server) GetElement(ctx context.Context, r sequenceapi.GetElementRequestObject) (sequenceapi.GetElementResponseObject, error) {
	element, err := s.Store.Get(ctx, ref(r.Scope, r.ElementType, r.ElementID))
	if err != nil {
		return nil, refuse(err, nil)
	}
	return elementAnswer(http.StatusOK, element), nil
}

// OmitElement takes an element out of use.
func (s *Server) OmitElement(ctx context.Context, r sequenceapi.OmitElementRequestObject) (sequenceapi.OmitElementResponseObject, error) {
	return s.restate(ctx, ref(r.Scope, r.ElementType, r.ElementID), domain.Omitted)
}

// RestoreElement takes an omitted element into use again.
func (s *Server) RestoreElement(ctx context.Context, r sequenceapi.RestoreElementRequestObject) (sequenceapi.RestoreElementResponseObject, error) {
	return s.restate(ctx, ref(r.Scope, r.ElementType, r.ElementID), domain.Active)
}

func (s *Server) restate(ctx context.Context, which domain.Ref, status domain.Status) (answer, error) {
	done, err := s.Writer.Do(ctx, writer.Request{Restate: &domain.Restate{Ref: which, Status: status, Actor: actor(ctx)}})
	if err != nil {
		return answer{}, refuse(err, nil)
	}
	return elementAnswer(http.StatusOK, done.Elements[0]), nil
}

// ReorderElements redistributes the numbers of the listed elements among them.
func (s *Server) ReorderElements(ctx context.Context, r sequenceapi.ReorderElementsRequestObject) (sequenceapi.ReorderElementsResponseObject, error) {
	if err := s.Store.Known(ctx, r.Scope); err != nil {
		return nil, refuse(err, nil)
	}
	reorder := &domain.Reorder{Group: group(r.Scope, r.ElementType), Order: r.Body.Order, Comment: r.Body.Comment, Actor: actor(ctx)}
	done, err := s.Writer.Do(ctx, writer.Request{Reorder: reorder})
	if err != nil {
		return nil, refuse(err, itemOf("order"))
	}
	return ok(fromOrder(done)), nil
}
