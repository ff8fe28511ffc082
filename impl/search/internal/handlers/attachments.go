package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/problem"
)

// attachedTo returns the sets of a collection and the entity tag of that. Deleted sets are left out.
func attachedTo(a sets.Attached, byID map[string]*sets.Set, p *auth.Principal) (searchapi.CollectionSets, string) {
	names := func(ids []string) []string {
		out := []string{}
		for _, id := range ids {
			if s := byID[id]; s != nil {
				out = append(out, s.For(p))
			}
		}
		return out
	}
	out := searchapi.CollectionSets{SynonymSets: names(a.Synonyms), CurationSets: names(a.Curations), Version: a.Version}
	sum := sha256.Sum256([]byte(strings.Join(out.SynonymSets, ",") + " " + strings.Join(out.CurationSets, ",")))
	return out, etag.OfState(a.Version, hex.EncodeToString(sum[:8]))
}

// GetCollectionSets implements searchapi.StrictServerInterface.
func (h *Handlers) GetCollectionSets(ctx context.Context, r searchapi.GetCollectionSetsRequestObject) (searchapi.GetCollectionSetsResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	a, byID, err := core.Store.AttachedTo(ctx, c.Collection)
	if err != nil {
		return nil, refuse(err)
	}
	out, tag := attachedTo(a, byID, p)
	return searchapi.GetCollectionSets200JSONResponse{Body: out, Headers: searchapi.GetCollectionSets200ResponseHeaders{ETag: tag}}, nil
}

// PutCollectionSets implements searchapi.StrictServerInterface.
func (h *Handlers) PutCollectionSets(ctx context.Context, r searchapi.PutCollectionSetsRequestObject) (searchapi.PutCollectionSetsResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	if c.TenantScoped && len(r.Body.CurationSets) > 0 {
		return nil, problem.New(problem.ValidationFailed, "A tenant-scoped collection cannot have curations: pinned documents are not filtered by tenant.").WithField("body", "/curationSets", "maxItems", "must be empty")
	}
	a, byID := sets.Attached{Collection: c.Collection}, map[string]*sets.Set{}
	for _, list := range []struct {
		kind  sets.Kind
		names []string
		path  string
		into  *[]string
	}{
		{sets.Synonyms, r.Body.SynonymSets, "/synonymSets/%d", &a.Synonyms}, {sets.Curations, r.Body.CurationSets, "/curationSets/%d", &a.Curations},
	} {
		for i, name := range list.names {
			found, err := core.named(ctx, p, list.kind, name, fmt.Sprintf(list.path, i))
			if err != nil {
				return nil, err
			}
			*list.into, byID[found.ID] = append(*list.into, found.ID), found
		}
	}
	a.Version, err = core.Store.Attach(ctx, c.Collection, a.Synonyms, a.Curations, etag.ParseMatch(r.Params.IfMatch), event(ctx, p, "putCollectionSets", c.Name.Engine()))
	if err != nil {
		return nil, refuseSet(err)
	}
	core.apply(ctx)
	out, tag := attachedTo(a, byID, p)
	return searchapi.PutCollectionSets200JSONResponse{Body: out, Headers: searchapi.PutCollectionSets200ResponseHeaders{ETag: tag}}, nil
}
