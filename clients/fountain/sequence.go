package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/sequence"
)

// Sequence calls the sequence service: gap-free numbers and immutable versions for the elements of a scope.
type Sequence struct{ client *Client }

// CreateElement appends an element, which gets the next number of its type in the scope. Errors: ErrConflict if the
// scope has an element with that id and type, ErrInvalid.
func (s *Sequence) CreateElement(ctx context.Context, scope, elementType string, body sequence.ElementCreate, opts ...CallOption) (*sequence.Element, error) {
	return send[sequence.Element](ctx, s.client, opCreateElement, opts, func(server string) (*http.Request, error) {
		return sequence.NewCreateElementRequest(server, scope, elementType, nil, body)
	})
}

// CreateElements appends up to 1,000 elements in the given order as one block of numbers. It appends all or none.
func (s *Sequence) CreateElements(ctx context.Context, scope, elementType string, body sequence.ElementBatch, opts ...CallOption) (*sequence.ElementBatchResult, error) {
	return send[sequence.ElementBatchResult](ctx, s.client, opCreateElements, opts, func(server string) (*http.Request, error) {
		return sequence.NewCreateElementsRequest(server, scope, elementType, nil, body)
	})
}

// ListElements reads one page of a scope's elements of a type, in order of their numbers; Elements reads all.
func (s *Sequence) ListElements(ctx context.Context, scope, elementType string, params *sequence.ListElementsParams, opts ...CallOption) (*sequence.ElementList, error) {
	return send[sequence.ElementList](ctx, s.client, opListElements, opts, func(server string) (*http.Request, error) {
		return sequence.NewListElementsRequest(server, scope, elementType, params)
	})
}

// Elements yields a scope's elements of a type in the order of their numbers. WithQuery("status", "omitted") filters
// them. If a reorder moves elements during the iteration, an element may come twice or not at all. With
// WithQuery("consistent", "true") the iteration then ends with CodeOrderChanged.
func (s *Sequence) Elements(ctx context.Context, scope, elementType string, opts ...CallOption) iter.Seq2[sequence.Element, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]sequence.Element, *string, error) {
		page, err := s.ListElements(ctx, scope, elementType, &sequence.ListElementsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetElement reads the current version of an element.
func (s *Sequence) GetElement(ctx context.Context, scope, elementType, elementID string, opts ...CallOption) (*sequence.Element, error) {
	return send[sequence.Element](ctx, s.client, opGetElement, opts, func(server string) (*http.Request, error) {
		return sequence.NewGetElementRequest(server, scope, elementType, elementID, nil)
	})
}

// RestoreElement restores an omitted element. Users need a second factor. Repeating is safe.
func (s *Sequence) RestoreElement(ctx context.Context, scope, elementType, elementID string, opts ...CallOption) (*sequence.Element, error) {
	return send[sequence.Element](ctx, s.client, opRestoreElement, opts, func(server string) (*http.Request, error) {
		return sequence.NewRestoreElementRequest(server, scope, elementType, elementID)
	})
}

// OmitElement marks an element as omitted. It keeps its number and gets no new version until it is restored. Users need
// a second factor. Repeating is safe.
func (s *Sequence) OmitElement(ctx context.Context, scope, elementType, elementID string, opts ...CallOption) (*sequence.Element, error) {
	return send[sequence.Element](ctx, s.client, opOmitElement, opts, func(server string) (*http.Request, error) {
		return sequence.NewOmitElementRequest(server, scope, elementType, elementID)
	})
}

// CreateVersion adds a new version to an element if tag names its current version: IfMatch(element.Version). Error:
// ErrStale if another version was added meanwhile.
func (s *Sequence) CreateVersion(ctx context.Context, scope, elementType, elementID string, tag ETag, body sequence.VersionCreate, opts ...CallOption) (*sequence.Element, error) {
	return send[sequence.Element](ctx, s.client, opCreateVersion, opts, func(server string) (*http.Request, error) {
		return sequence.NewCreateVersionRequest(server, scope, elementType, elementID, &sequence.CreateVersionParams{IfMatch: string(tag)}, body)
	})
}

// ListVersions reads one page of an element's versions, oldest first; Versions reads all.
func (s *Sequence) ListVersions(ctx context.Context, scope, elementType, elementID string, params *sequence.ListVersionsParams, opts ...CallOption) (*sequence.VersionList, error) {
	return send[sequence.VersionList](ctx, s.client, opListVersions, opts, func(server string) (*http.Request, error) {
		return sequence.NewListVersionsRequest(server, scope, elementType, elementID, params)
	})
}

// Versions yields an element's versions, oldest first.
func (s *Sequence) Versions(ctx context.Context, scope, elementType, elementID string, opts ...CallOption) iter.Seq2[sequence.Version, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]sequence.Version, *string, error) {
		page, err := s.ListVersions(ctx, scope, elementType, elementID, &sequence.ListVersionsParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetVersion reads one version of an element.
func (s *Sequence) GetVersion(ctx context.Context, scope, elementType, elementID string, version int64, opts ...CallOption) (*sequence.Version, error) {
	return send[sequence.Version](ctx, s.client, opGetVersion, opts, func(server string) (*http.Request, error) {
		return sequence.NewGetVersionRequest(server, scope, elementType, elementID, version, nil)
	})
}

// ReorderElements redistributes the current numbers of the listed elements among them, in the order of the list. Users
// need a second factor.
func (s *Sequence) ReorderElements(ctx context.Context, scope, elementType string, body sequence.Reorder, opts ...CallOption) (*sequence.ReorderResult, error) {
	return send[sequence.ReorderResult](ctx, s.client, opReorderElements, opts, func(server string) (*http.Request, error) {
		return sequence.NewReorderElementsRequest(server, scope, elementType, body)
	})
}

// SearchElements finds a scope's elements by words in their data. It tolerates typing errors.
func (s *Sequence) SearchElements(ctx context.Context, scope string, body sequence.ElementSearch, opts ...CallOption) (*sequence.ElementSearchResult, error) {
	return send[sequence.ElementSearchResult](ctx, s.client, opSearchElements, opts, func(server string) (*http.Request, error) {
		return sequence.NewSearchElementsRequest(server, scope, body)
	})
}

// GetSequenceHealth reports that the service's process is alive.
func (s *Sequence) GetSequenceHealth(ctx context.Context, opts ...CallOption) (*common.Health, error) {
	return send[common.Health](ctx, s.client, opGetSequenceHealth, opts, sequence.NewGetSequenceHealthRequest)
}

// GetSequenceReadiness reports whether the service can serve requests. Error: ErrUnavailable if it cannot.
func (s *Sequence) GetSequenceReadiness(ctx context.Context, opts ...CallOption) (*common.Readiness, error) {
	return send[common.Readiness](ctx, s.client, opGetSequenceReadiness, opts, sequence.NewGetSequenceReadinessRequest)
}

// ListDeadLetters reads one page of the elements that the search service has refused; DeadLetters reads all.
func (s *Sequence) ListDeadLetters(ctx context.Context, params *sequence.ListDeadLettersParams, opts ...CallOption) (*sequence.DeadLetterList, error) {
	return send[sequence.DeadLetterList](ctx, s.client, opListDeadLetters, opts, func(server string) (*http.Request, error) {
		return sequence.NewListDeadLettersRequest(server, params)
	})
}

// DeadLetters yields the elements that the search service has refused, in the order of scope, type and id.
func (s *Sequence) DeadLetters(ctx context.Context, opts ...CallOption) iter.Seq2[sequence.DeadLetter, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]sequence.DeadLetter, *string, error) {
		page, err := s.ListDeadLetters(ctx, &sequence.ListDeadLettersParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// RetryDeadLetters sends elements to the search service again: up to 1,000 named ones, or without names the first
// 10,000. Repeating is safe.
func (s *Sequence) RetryDeadLetters(ctx context.Context, body sequence.DeadLetterRetry, opts ...CallOption) (*sequence.DeadLetterRetryResult, error) {
	return send[sequence.DeadLetterRetryResult](ctx, s.client, opRetryDeadLetters, opts, func(server string) (*http.Request, error) {
		return sequence.NewRetryDeadLettersRequest(server, body)
	})
}
