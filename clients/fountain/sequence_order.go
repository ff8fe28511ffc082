package fountain

import (
	"context"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/sequence"
)

// MoveElement moves an element to the place before or after another. Users need a second factor.
func (s *Sequence) MoveElement(ctx context.Context, scope, elementType, elementID string, body sequence.Move, opts ...CallOption) (*sequence.ReorderResult, error) {
	return send[sequence.ReorderResult](ctx, s.client, opMoveElement, opts, func(server string) (*http.Request, error) {
		return sequence.NewMoveElementRequest(server, scope, elementType, elementID, body)
	})
}

// PreviewMove reports which numbers MoveElement would change now. It changes nothing.
func (s *Sequence) PreviewMove(ctx context.Context, scope, elementType, elementID string, body sequence.Move, opts ...CallOption) (*sequence.ReorderResult, error) {
	return send[sequence.ReorderResult](ctx, s.client, opPreviewMove, opts, func(server string) (*http.Request, error) {
		return sequence.NewPreviewMoveRequest(server, scope, elementType, elementID, body)
	})
}

// PreviewReorder reports which numbers ReorderElements would change now. It changes nothing.
func (s *Sequence) PreviewReorder(ctx context.Context, scope, elementType string, body sequence.Reorder, opts ...CallOption) (*sequence.ReorderResult, error) {
	return send[sequence.ReorderResult](ctx, s.client, opPreviewReorder, opts, func(server string) (*http.Request, error) {
		return sequence.NewPreviewReorderRequest(server, scope, elementType, body)
	})
}

// ListElementScopes reads one page of the scopes that have an element, by name; ElementScopes reads all.
func (s *Sequence) ListElementScopes(ctx context.Context, params *sequence.ListElementScopesParams, opts ...CallOption) (*sequence.ScopeList, error) {
	return send[sequence.ScopeList](ctx, s.client, opListElementScopes, opts, func(server string) (*http.Request, error) {
		return sequence.NewListElementScopesRequest(server, params)
	})
}

// ElementScopes yields the scopes that have an element, by name.
func (s *Sequence) ElementScopes(ctx context.Context, opts ...CallOption) iter.Seq2[sequence.ScopeSummary, error] {
	return pages(ctx, opts, func(ctx context.Context, limit *common.Limit, cursor *common.Cursor) ([]sequence.ScopeSummary, *string, error) {
		page, err := s.ListElementScopes(ctx, &sequence.ListElementScopesParams{Limit: limit, Cursor: cursor}, opts...)
		if err != nil {
			return nil, nil, err
		}
		return page.Items, page.NextCursor, nil
	})
}

// GetElementScope counts a scope's elements by type, and previews the next number of each type. It reserves nothing.
func (s *Sequence) GetElementScope(ctx context.Context, scope string, opts ...CallOption) (*sequence.ScopeCounts, error) {
	return send[sequence.ScopeCounts](ctx, s.client, opGetElementScope, opts, func(server string) (*http.Request, error) {
		return sequence.NewGetElementScopeRequest(server, scope)
	})
}

// UpdateElement adds a new version to an element by a merge patch (RFC 7396) of its data, if tag names its current
// version: IfMatch(element.Version). Error: ErrStale.
func (s *Sequence) UpdateElement(ctx context.Context, scope, elementType, elementID string, tag ETag, patch sequence.Data, opts ...CallOption) (*sequence.Element, error) {
	return send[sequence.Element](ctx, s.client, opUpdateElement, opts, func(server string) (*http.Request, error) {
		return sequence.NewUpdateElementRequestWithApplicationMergePatchPlusJSONBody(server, scope, elementType, elementID, &sequence.UpdateElementParams{IfMatch: string(tag)}, patch)
	})
}

// RestoreVersion adds a new version to an element with the data of an old one, if tag names its current version. Error:
// ErrStale if another version was added meanwhile.
func (s *Sequence) RestoreVersion(ctx context.Context, scope, elementType, elementID string, version int64, tag ETag, body sequence.VersionRestore, opts ...CallOption) (*sequence.Element, error) {
	return send[sequence.Element](ctx, s.client, opRestoreVersion, opts, func(server string) (*http.Request, error) {
		return sequence.NewRestoreVersionRequest(server, scope, elementType, elementID, version, &sequence.RestoreVersionParams{IfMatch: string(tag)}, body)
	})
}

// CompareVersions returns the JSON patch (RFC 6902) that turns the data of version from into the data of version to.
func (s *Sequence) CompareVersions(ctx context.Context, scope, elementType, elementID string, from, to int64, opts ...CallOption) (*sequence.VersionComparison, error) {
	return send[sequence.VersionComparison](ctx, s.client, opCompareVersions, opts, func(server string) (*http.Request, error) {
		return sequence.NewCompareVersionsRequest(server, scope, elementType, elementID, to, &sequence.CompareVersionsParams{From: from})
	})
}
