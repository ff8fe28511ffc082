package handlers

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
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

// reserved reports whether a field is the service's own.
func reserved(field string) bool { return strings.HasPrefix(field, owner.ReservedPrefix) }

// collectionTo leaves out fields of types that the contract does not know, since another program made them in the engine, and the service's own.
func collectionTo(s engine.Collection, c held) searchapi.Collection {
	out := searchapi.Collection{
		Name: c.shown(), Documents: s.Documents, CreatedAt: time.Unix(s.CreatedAt, 0).UTC(), Fields: fieldsTo(s.Fields),
		Owner: c.Owner, Access: searchapi.CollectionAccess(accessNames[c.access]), TenantScoped: c.TenantScoped,
	}
	if c.Versioned {
		out.Versioned = &c.Versioned
	}
	if s.DefaultSortingField != "" {
		out.DefaultSortingField = &s.DefaultSortingField
	}
	if c.Physical != "" { // the engine's time is that of its reindex
		out.CreatedAt = c.Claimed
	}
	return out
}

// ownName fits the collections that this contract can name; others in the engine are not shown.
var ownName = regexp.MustCompile(`^([a-z0-9][a-z0-9-]{0,62}[.])?[a-z][a-z0-9_-]{0,62}$`)

// pageOf is at most limit collections with names after after, and the list that they go into.
func pageOf(all []described, after string, limit int) ([]described, searchapi.CollectionList) {
	var shown []described
	list := searchapi.CollectionList{Items: []searchapi.Collection{}}
	for _, c := range all {
		name := c.shown()
		if name <= after || !ownName.MatchString(name) {
			continue
		}
		if len(shown) == limit {
			next := page.Encode("collections", shown[limit-1].shown())
			list.NextCursor = &next
			break
		}
		shown = append(shown, c)
	}
	return shown, list
}

// itemsFrom reads the items of a sync. Whoever reaches one tenant alone writes for that one.
func itemsFrom(items []searchapi.SyncItem, c held) ([]engine.Item, error) {
	out := make([]engine.Item, len(items))
	for i, item := range items {
		var err error
		if out[i], err = itemFrom(item, c, fmt.Sprintf("/items/%d", i), ""); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// itemFrom reads one item, whose faults are told below pointer, and in which place of the body.
func itemFrom(item searchapi.SyncItem, c held, pointer, place string) (engine.Item, error) {
	out, err := c.item(item.ID, item.Tenant, "body", pointer+"/tenant")
	switch {
	case err != nil:
		return out, err
	case item.Op == searchapi.SyncItemOpUpsert && item.Document == nil:
		return out, problem.New(problem.ValidationFailed, "An upsert needs a document"+place+".").WithField("body", pointer+"/document", "required", "is required to upsert")
	case item.Op == searchapi.SyncItemOpDelete && item.Document != nil:
		return out, problem.New(problem.ValidationFailed, "A deletion takes no document"+place+".").WithField("body", pointer+"/document", "not", "must be absent to delete")
	case item.IfVersion != nil && !c.Versioned:
		return out, problem.New(problem.ValidationFailed, "The collection keeps no versions of its documents"+place+".").WithField("body", pointer+"/ifVersion", "not", "must be absent, in a collection that is not versioned")
	case item.Document != nil:
		out.Document = *item.Document
	}
	out.IfVersion = item.IfVersion
	return out, nil
}

func outcomesTo(items []engine.Item, results []reindex.Result, versioned bool) searchapi.DocumentSyncResult {
	out := searchapi.DocumentSyncResult{Results: make([]searchapi.SyncOutcome, len(items))}
	for i, item := range items {
		out.Results[i] = searchapi.SyncOutcome{ID: item.ID, Status: searchapi.SyncOutcomeStatusOk}
		outcome := results[i].Outcome
		if versioned && (results[i].Version > 0 || errors.Is(outcome, problem.VersionConflict)) {
			out.Results[i].Version = &results[i].Version
		}
		if outcome == nil {
			out.Succeeded++
			continue
		}
		out.Failed++
		p := problem.From(outcome)
		code, message, again := string(p.Code), p.Detail, engine.Passing(outcome)
		out.Results[i].Status, out.Results[i].Code, out.Results[i].Message, out.Results[i].Retryable = searchapi.SyncOutcomeStatusError, &code, &message, &again
	}
	return out
}
