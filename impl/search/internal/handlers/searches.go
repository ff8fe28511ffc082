package handlers

import (
	"context"
	"strings"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/filters"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/problem"
)

// SearchDocuments implements searchapi.StrictServerInterface.
func (h *Handlers) SearchDocuments(ctx context.Context, r searchapi.SearchDocumentsRequestObject) (searchapi.SearchDocumentsResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Read)
	if err != nil {
		return nil, err
	}
	params, err := core.params(ctx, p, r.Body, c)
	if err != nil {
		return nil, err
	}
	answers, err := core.searchEach(ctx, []asked{{held: c, params: params}})
	if err != nil {
		return nil, err
	}
	defer answers.Free()
	found := &answers.Each[0]
	if found.Err != nil {
		return nil, found.Err
	}
	return fitting(render(takeRoom(room(&found.Result)), &found.Result, c))
}

// params completes a search and converts it to Typesense's parameters. Problem: validation_failed.
func (core *Core) params(ctx context.Context, p *auth.Principal, b *searchapi.DocumentSearch, c held) (map[string]any, error) {
	stopwords, err := core.prepare(ctx, p, b)
	if err != nil {
		return nil, err
	}
	params, err := searchFrom(b, c)
	if err == nil && stopwords != "" {
		params["stopwords"] = stopwords
	}
	return params, err
}

// searchFrom converts a search to Typesense's parameters. Problem: validation_failed.
func searchFrom(b *searchapi.DocumentSearch, c held) (map[string]any, error) {
	params := map[string]any{"collection": c.Engine(), "q": b.Q, "query_by": strings.Join(b.QueryBy, ",")}
	named := b.QueryBy
	if b.SortBy != nil {
		keys := make([]string, len(*b.SortBy))
		for i, k := range *b.SortBy {
			order := searchapi.SortKeyOrderAsc
			if k.Order != nil {
				order = *k.Order
			}
			keys[i], named = k.Field+":"+string(order), append(named, k.Field)
		}
		params["sort_by"] = strings.Join(keys, ",")
	}
	if b.FacetBy != nil {
		params["facet_by"], named = strings.Join(*b.FacetBy, ","), append(named, *b.FacetBy...)
	}
	for _, field := range named {
		if reserved(field) {
			return nil, problem.New(problem.ValidationFailed, "There is no field of that name.")
		}
	}
	if b.MaxFacetValues != nil {
		params["max_facet_values"] = *b.MaxFacetValues
	}
	if b.Page != nil {
		params["page"] = *b.Page
	}
	if b.PerPage != nil {
		params["per_page"] = *b.PerPage
	}
	filter, err := filterFrom(b, c)
	if err != nil {
		return nil, err
	}
	if filter != "" {
		params["filter_by"] = filter
	}
	if c.TenantScoped {
		params["exclude_fields"] = owner.TenantField
		// Hits that an override pins are not filtered, so that they may belong to another tenant. Typesense 30 calls overrides curations.
		params["enable_overrides"], params["enable_curations"], params["filter_curated_hits"] = false, false, true
	}
	return params, nil
}

// filterFrom returns the caller's filter, restricted to what the caller reaches. A filter in the engine's language is accepted only from
// owners who reach every document, because it could break out of the filter that it would be combined with.
func filterFrom(b *searchapi.DocumentSearch, c held) (string, error) {
	if b.FilterBy != nil {
		return rawFilter(b, c)
	}
	if b.Filter == nil {
		return c.filter(), nil
	}
	return typedFilter(b.Filter, c)
}

// typedFilter returns a filter restricted to what the caller reaches.
func typedFilter(f *searchapi.Filter, c held) (string, error) {
	own, err := filters.Write(f, filters.Options{Reserved: reserved, ID: c.storedID})
	if err != nil || c.whole {
		return own, err
	}
	return c.filter() + " && " + own, nil
}

// storedID returns the ID of a document at the engine. It returns false if the ID can't be determined, because the caller reaches all
// tenants.
func (c held) storedID(id string) (string, bool) {
	if !c.TenantScoped {
		return id, true
	}
	return owner.DocumentID(c.caller.Tenant, id), !c.whole
}

func rawFilter(b *searchapi.DocumentSearch, c held) (string, error) {
	switch raw := *b.FilterBy; {
	case c.access < owner.Own || !c.whole:
		return "", problem.New(problem.Forbidden, "Only the owner of the collection can use a filter in the engine's language: use filter instead.")
	case b.Filter != nil:
		return "", problem.New(problem.ValidationFailed, "The search has two filters.").WithField("body", "/filterBy", "not", "must be absent when filter is set")
	case strings.Contains(raw, "$"): // in a Typesense it refers to another collection
		return "", problem.New(problem.UnsupportedQuery, "A filter in the engine's language must not contain `$`: joins are not supported.")
	case strings.Contains(raw, ".{"): // crashes Typesense 29 if it is empty
		return "", problem.New(problem.UnsupportedQuery, "A filter in the engine's language must not contain `.{`: nested objects are not supported.")
	default:
		return raw, nil
	}
}
