package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/problem"
)

func fieldsFrom(fields []searchapi.Field) []engine.Field {
	out := make([]engine.Field, len(fields))
	for i, f := range fields {
		out[i] = engine.Field{Name: f.Name, Type: string(f.Type), Facet: f.Facet, Optional: f.Optional, Index: f.Index, Sort: f.Sort}
	}
	return out
}

func schemaFrom(fields []searchapi.Field, sorting *string) reindex.Schema {
	s := reindex.Schema{Fields: fieldsFrom(fields)}
	if sorting != nil {
		s.DefaultSortingField = *sorting
	}
	return s
}

// fitsFields refuses reserved field names, and, in a tenant-scoped collection, fields whose names or types depend on documents: they would
// reveal documents of one tenant to the others through the schema. Problem: validation_failed.
func fitsFields(fields []searchapi.Field, tenantScoped bool) error {
	names := make(map[string]bool, len(fields))
	for i, f := range fields {
		pointer := fmt.Sprintf("/fields/%d", i)
		switch {
		case names[f.Name]:
			return problem.New(problem.ValidationFailed, "Two fields have the same name.").WithField("body", pointer+"/name", "uniqueItems", "must be unique")
		case reserved(f.Name):
			return problem.New(problem.ValidationFailed, "Names with this prefix are reserved for the service.").
				WithField("body", pointer+"/name", "pattern", "must not begin with "+owner.ReservedPrefix)
		case tenantScoped && (strings.Contains(f.Name, "*") || f.Type == searchapi.FieldTypeAuto):
			return problem.New(problem.ValidationFailed, "A tenant-scoped collection must declare its fields with types: fields that documents add are visible to every tenant.").
				WithField("body", pointer, "tenantScoped", "must be a name without a pattern, with a type other than auto")
		}
		names[f.Name] = true
	}
	return nil
}

// fieldTo returns a field, or nil if the contract does not know its type: another program has created such a field in the engine.
func fieldTo(f *engine.Field) *searchapi.Field {
	if f == nil || !searchapi.FieldType(f.Type).Valid() {
		return nil
	}
	return &searchapi.Field{Name: f.Name, Type: searchapi.FieldType(f.Type), Facet: f.Facet, Optional: f.Optional, Index: f.Index, Sort: f.Sort}
}

func fieldsTo(fields []engine.Field) []searchapi.Field {
	out := make([]searchapi.Field, 0, len(fields))
	for i := range fields {
		if f := fieldTo(&fields[i]); f != nil && !reserved(f.Name) {
			out = append(out, *f)
		}
	}
	return out
}

// schemaTo returns a comparison and its entity tag.
func schemaTo(p reindex.Comparison, c held) (searchapi.CollectionSchema, string) {
	out := searchapi.CollectionSchema{
		Collection: c.shown(), Version: p.Version, Fields: fieldsTo(p.Fields), Changes: make([]searchapi.SchemaChange, 0, len(p.Changes)),
		Remedy: searchapi.CollectionSchemaRemedyNone,
	}
	if p.DefaultSortingField != "" {
		out.DefaultSortingField = &p.DefaultSortingField
	}
	for _, change := range p.Changes {
		out.Changes = append(out.Changes, searchapi.SchemaChange{
			Field: change.Field, Change: searchapi.SchemaChangeChange(change.Kind), Wanted: fieldTo(change.Wanted), Actual: fieldTo(change.Actual),
		})
	}
	switch {
	case len(p.Changes) > 0 && reindex.Alterable(p.Changes):
		out.Remedy = searchapi.CollectionSchemaRemedyAlter
	case len(p.Changes) > 0:
		out.Remedy = searchapi.CollectionSchemaRemedyReindex
	}
	if p.Reindex != "" && c.access == owner.Own {
		out.ReindexID = &p.Reindex
	}
	return out, tagOf(out)
}

// tagOf returns an entity tag that covers the version and everything else in the answer.
func tagOf(s searchapi.CollectionSchema) string {
	text, err := json.Marshal(s)
	if err != nil {
		return etag.Of(s.Version)
	}
	sum := sha256.Sum256(text)
	return etag.OfState(s.Version, hex.EncodeToString(sum[:8]))
}

// GetCollectionSchema implements searchapi.StrictServerInterface.
func (h *Handlers) GetCollectionSchema(ctx context.Context, r searchapi.GetCollectionSchemaRequestObject) (searchapi.GetCollectionSchemaResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Read)
	if err != nil {
		return nil, err
	}
	compared, err := core.Schemas.Compare(ctx, c.Collection)
	if err != nil {
		return nil, refuse(err)
	}
	out, tag := schemaTo(compared, c)
	return searchapi.GetCollectionSchema200JSONResponse{Body: out, Headers: searchapi.GetCollectionSchema200ResponseHeaders{ETag: tag}}, nil
}

// PutCollectionSchema implements searchapi.StrictServerInterface.
func (h *Handlers) PutCollectionSchema(ctx context.Context, r searchapi.PutCollectionSchemaRequestObject) (searchapi.PutCollectionSchemaResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	if err := fitsFields(r.Body.Fields, c.TenantScoped); err != nil {
		return nil, err
	}
	plan, err := core.Schemas.Plan(ctx, c.Collection, schemaFrom(r.Body.Fields, r.Body.DefaultSortingField))
	if err != nil {
		return nil, refuse(err)
	}
	if !etag.ParseMatch(r.Params.IfMatch).Holds(plan.Version) {
		return nil, problem.New(problem.PreconditionFailed, "If-Match names a state that is not the current one.")
	}
	mode := searchapi.CollectionSchemaPutModeAuto
	if r.Body.Mode != nil {
		mode = *r.Body.Mode
	}
	reindexing := mode == searchapi.CollectionSchemaPutModeReindex || mode == searchapi.CollectionSchemaPutModeAuto && !reindex.Alterable(plan.Changes)
	out := searchapi.CollectionSchemaOutcome{}
	switch e := event(ctx, p, "putCollectionSchema", c.Name.Engine()); {
	case !reindexing && !reindex.Alterable(plan.Changes):
		return nil, refuse(reindex.ErrAlter)
	case r.Body.DryRun != nil && *r.Body.DryRun:
		out.Outcome = searchapi.CollectionSchemaOutcomeOutcomePlanned
	case reindexing:
		begun, err := core.Schemas.Reindex(ctx, c.Collection, plan, keepDuration(r.Body.KeepOldSeconds), e)
		if err != nil {
			return nil, refuse(err)
		}
		one := reindexTo(begun, c)
		plan.Version, plan.Reindex, out.Outcome, out.Reindex = begun.SchemaVersion, begun.ID, searchapi.CollectionSchemaOutcomeOutcomeReindexing, &one
	default:
		if plan.Version, err = core.Schemas.Alter(ctx, c.Collection, plan, e); err != nil {
			return nil, refuse(err)
		}
		out.Outcome = searchapi.CollectionSchemaOutcomeOutcomeAltered
		if len(plan.Changes) == 0 {
			out.Outcome = searchapi.CollectionSchemaOutcomeOutcomeUnchanged
		}
		plan.Changes = nil
	}
	var tag string
	out.Schema, tag = schemaTo(plan, c)
	return searchapi.PutCollectionSchema200JSONResponse{Body: out, Headers: searchapi.PutCollectionSchema200ResponseHeaders{ETag: tag}}, nil
}

// keepDuration returns how long the old collection is kept after a swap.
func keepDuration(seconds *int64) time.Duration {
	if seconds == nil {
		return time.Hour
	}
	return time.Duration(*seconds) * time.Second
}
