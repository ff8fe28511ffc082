package handlers

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/page"
)

// CreateVersion gives an element a new version.
func (s *Server) CreateVersion(ctx context.Context, r sequenceapi.CreateVersionRequestObject) (sequenceapi.CreateVersionResponseObject, error) {
	revise := &domain.Revise{
		Ref: ref(r.Scope, r.ElementType, r.ElementID), Expected: etag.ParseMatch(r.Params.IfMatch),
		Comment: r.Body.Comment, Data: r.Body.Data, Actor: actor(ctx),
	}
	done, err := s.Writer.Do(ctx, writer.Request{Revise: revise, Key: idempotencyKey(ctx, "createVersion", r.Params.IdempotencyKey)})
	if err != nil {
		return nil, refuse(err, body)
	}
	return elementAnswer(http.StatusCreated, done.Elements[0]), nil
}

// ListVersions lists an element's versions, oldest first.
func (s *Server) ListVersions(ctx context.Context, r sequenceapi.ListVersionsRequestObject) (sequenceapi.ListVersionsResponseObject, error) {
	list := "versions/" + r.Scope + "/" + r.ElementType + "/" + r.ElementID
	after, limit, err := position(list, r.Params.Cursor, r.Params.Limit)
	if err != nil {
		return nil, err
	}
	versions, err := s.Store.Versions(ctx, ref(r.Scope, r.ElementType, r.ElementID), after, limit+1)
	if err != nil {
		return nil, refuse(err, nil)
	}
	out := sequenceapi.VersionList{Items: []sequenceapi.Version{}}
	if len(versions) > limit {
		versions = versions[:limit]
		out.NextCursor = new(page.Encode(list, versions[limit-1].Version))
	}
	for _, v := range versions {
		out.Items = append(out.Items, fromVersion(v))
	}
	return ok(out), nil
}

// GetVersion reads one version of an element.
func (s *Server) GetVersion(ctx context.Context, r sequenceapi.GetVersionRequestObject) (sequenceapi.GetVersionResponseObject, error) {
	version, err := s.Store.Version(ctx, ref(r.Scope, r.ElementType, r.ElementID), r.Version)
	if err != nil {
		return nil, refuse(err, nil)
	}
	return answer{status: http.StatusOK, etag: etag.Of(version.Version), body: fromVersion(version)}, nil
}

// UpdateElement gives an element a new version by a merge patch.
func (s *Server) UpdateElement(ctx context.Context, r sequenceapi.UpdateElementRequestObject) (sequenceapi.UpdateElementResponseObject, error) {
	revise := &domain.Revise{
		Ref: ref(r.Scope, r.ElementType, r.ElementID), Expected: etag.ParseMatch(r.Params.IfMatch), Merge: *r.Body, Actor: actor(ctx),
	}
	done, err := s.Writer.Do(ctx, writer.Request{Revise: revise, Key: idempotencyKey(ctx, "updateElement", r.Params.IdempotencyKey)})
	if err != nil {
		return nil, refuse(err, body)
	}
	element := done.Elements[0]
	if len(element.Data) == 0 { // a repeat: neither the request nor the receipt has the merged data
		version, err := s.Store.Version(ctx, element.Ref, element.Version)
		if err != nil {
			return nil, refuse(err, nil)
		}
		element.Data = version.Data
	}
	return elementAnswer(http.StatusOK, element), nil
}

// RestoreVersion creates a new version with the data of an old one. Versions never change, so the old one can be read before the transaction.
func (s *Server) RestoreVersion(ctx context.Context, r sequenceapi.RestoreVersionRequestObject) (sequenceapi.RestoreVersionResponseObject, error) {
	which := ref(r.Scope, r.ElementType, r.ElementID)
	old, err := s.Store.Version(ctx, which, r.Version)
	if err != nil {
		return nil, refuse(err, nil)
	}
	revise := &domain.Revise{Ref: which, Expected: etag.ParseMatch(r.Params.IfMatch), Comment: r.Body.Comment, Data: old.Data, Actor: actor(ctx)}
	done, err := s.Writer.Do(ctx, writer.Request{Revise: revise, Key: idempotencyKey(ctx, "restoreVersion", r.Params.IdempotencyKey)})
	if err != nil {
		return nil, refuse(err, body)
	}
	return elementAnswer(http.StatusCreated, done.Elements[0]), nil
}

// CompareVersions returns what changed between two versions.
func (s *Server) CompareVersions(ctx context.Context, r sequenceapi.CompareVersionsRequestObject) (sequenceapi.CompareVersionsResponseObject, error) {
	which := ref(r.Scope, r.ElementType, r.ElementID)
	from, err := s.Store.Version(ctx, which, r.Params.From)
	if err != nil {
		return nil, refuse(err, nil)
	}
	to, err := s.Store.Version(ctx, which, r.Version)
	if err != nil {
		return nil, refuse(err, nil)
	}
	compared, err := domain.Compare(from, to)
	if err != nil {
		return nil, err
	}
	return ok(fromComparison(compared)), nil
}
