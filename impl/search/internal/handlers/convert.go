package handlers

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	defaultPage = 50
	largestPage = 200
)

func limitFrom(wanted *int32) int {
	if wanted == nil {
		return page.Limit(nil, defaultPage, largestPage)
	}
	n := int(*wanted)
	return page.Limit(&n, defaultPage, largestPage)
}

func collectionFrom(b *searchapi.CollectionCreate) engine.Collection {
	c := engine.Collection{Name: b.Name, Fields: make([]engine.Field, len(b.Fields))}
	if b.DefaultSortingField != nil {
		c.DefaultSortingField = *b.DefaultSortingField
	}
	for i, f := range b.Fields {
		c.Fields[i] = engine.Field{Name: f.Name, Type: string(f.Type), Facet: f.Facet, Optional: f.Optional, Index: f.Index, Sort: f.Sort}
	}
	return c
}

// collectionTo leaves out fields of types that the contract does not know: another program made them in the engine.
func collectionTo(c engine.Collection) searchapi.Collection {
	out := searchapi.Collection{
		Name: c.Name, Documents: c.Documents, CreatedAt: time.Unix(c.CreatedAt, 0).UTC(), Fields: make([]searchapi.Field, 0, len(c.Fields)),
	}
	if c.DefaultSortingField != "" {
		out.DefaultSortingField = &c.DefaultSortingField
	}
	for _, f := range c.Fields {
		if kind := searchapi.FieldType(f.Type); kind.Valid() {
			out.Fields = append(out.Fields, searchapi.Field{Name: f.Name, Type: kind, Facet: f.Facet, Optional: f.Optional, Index: f.Index, Sort: f.Sort})
		}
	}
	return out
}

// ownName fits the collections that this contract can name; others in the engine are not shown.
var ownName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// listTo makes a page of at most limit collections with names after after.
func listTo(all []engine.Collection, after string, limit int) searchapi.CollectionList {
	list := searchapi.CollectionList{Items: []searchapi.Collection{}}
	for _, c := range all {
		if c.Name <= after || !ownName.MatchString(c.Name) {
			continue
		}
		if len(list.Items) == limit {
			next := page.Encode("collections", list.Items[limit-1].Name)
			list.NextCursor = &next
			break
		}
		list.Items = append(list.Items, collectionTo(c))
	}
	return list
}

func itemsFrom(items []searchapi.SyncItem) ([]engine.Item, error) {
	out := make([]engine.Item, len(items))
	for i, item := range items {
		out[i].ID = item.ID
		pointer := fmt.Sprintf("/items/%d/document", i)
		switch {
		case item.Op == searchapi.SyncItemOpUpsert && item.Document == nil:
			return nil, problem.New(problem.ValidationFailed, "An upsert needs a document.").WithField("body", pointer, "required", "is required to upsert")
		case item.Op == searchapi.SyncItemOpDelete && item.Document != nil:
			return nil, problem.New(problem.ValidationFailed, "A deletion takes no document.").WithField("body", pointer, "not", "must be absent to delete")
		case item.Document != nil:
			out[i].Document = *item.Document
		}
	}
	return out, nil
}

func outcomesTo(items []engine.Item, outcomes []engine.Outcome) searchapi.DocumentSyncResult {
	out := searchapi.DocumentSyncResult{Results: make([]searchapi.SyncOutcome, len(items))}
	for i, item := range items {
		out.Results[i] = searchapi.SyncOutcome{ID: item.ID, Status: searchapi.SyncOutcomeStatusOk}
		if outcomes[i] == nil {
			out.Succeeded++
			continue
		}
		out.Failed++
		p := problem.From(outcomes[i])
		code, message, again := string(p.Code), p.Detail, false
		out.Results[i].Status, out.Results[i].Code, out.Results[i].Message, out.Results[i].Retryable = searchapi.SyncOutcomeStatusError, &code, &message, &again
	}
	return out
}

// searchFrom names the parameters as Typesense does.
func searchFrom(b *searchapi.DocumentSearch) map[string]any {
	params := map[string]any{"q": b.Q, "query_by": strings.Join(b.QueryBy, ",")}
	if b.FilterBy != nil {
		params["filter_by"] = *b.FilterBy
	}
	if b.SortBy != nil {
		keys := make([]string, len(*b.SortBy))
		for i, k := range *b.SortBy {
			order := searchapi.SortKeyOrderAsc
			if k.Order != nil {
				order = *k.Order
			}
			keys[i] = k.Field + ":" + string(order)
		}
		params["sort_by"] = strings.Join(keys, ",")
	}
	if b.FacetBy != nil {
		params["facet_by"] = strings.Join(*b.FacetBy, ",")
	}
	for name, v := range map[string]*int32{"max_facet_values": b.MaxFacetValues, "page": b.Page, "per_page": b.PerPage} {
		if v != nil {
			params[name] = *v
		}
	}
	return params
}

func resultTo(r *tsclient.SearchResult) searchapi.DocumentSearchResult {
	out := searchapi.DocumentSearchResult{
		Found: r.Found, OutOf: r.OutOf, Page: int32(r.Page), TookMs: r.TookMs, Engine: searchapi.DocumentSearchResultEngineTypesense,
		Hits: make([]searchapi.DocumentHit, len(r.Hits)), Facets: make([]searchapi.FieldFacet, len(r.Facets)),
	}
	if r.Embedded {
		out.Engine = searchapi.DocumentSearchResultEngineEmbedded
	}
	for i, h := range r.Hits {
		out.Hits[i] = hitTo(h)
	}
	for i, f := range r.Facets {
		counts := make([]searchapi.FieldFacetCount, len(f.Counts))
		for k, c := range f.Counts {
			counts[k] = searchapi.FieldFacetCount{Value: c.Value, Count: c.Count}
		}
		out.Facets[i] = searchapi.FieldFacet{Field: f.Field, Counts: counts}
	}
	return out
}

func hitTo(h tsclient.Hit) searchapi.DocumentHit {
	out := searchapi.DocumentHit{Document: h.Document}
	if score := h.TextMatch.String(); score != "" {
		out.TextMatch = &score
	}
	var marks []searchapi.Highlight
	for _, m := range h.Highlights {
		if m.Snippet != "" {
			marks = append(marks, searchapi.Highlight{Field: m.Field, Snippet: m.Snippet})
		}
		for _, s := range m.Snippets {
			marks = append(marks, searchapi.Highlight{Field: m.Field, Snippet: s})
		}
	}
	if marks != nil {
		out.Highlights = &marks
	}
	return out
}
