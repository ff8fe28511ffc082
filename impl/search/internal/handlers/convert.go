package handlers

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/rawjson"
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

// reserved reports whether a field name is reserved for the service.
func reserved(field string) bool { return strings.HasPrefix(field, owner.ReservedPrefix) }

// collectionTo omits the service's own fields. It also omits fields whose type the contract does not know: another program has created
// those in the engine.
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
	if c.Physical != "" { // the engine's time is that of the reindex
		out.CreatedAt = c.Claimed
	}
	return out
}

// ownName matches the collection names that this contract allows. Other collections in the engine are not shown.
var ownName = regexp.MustCompile(`^([a-z0-9][a-z0-9-]{0,62}[.])?[a-z][a-z0-9_-]{0,62}$`)

// pageOf returns at most limit collections with names after after, and the list for the answer.
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

// place is the position of an item in a body: its index, from 0, or its line, from 1.
type place struct{ item, line int }

// pointer is the place of a member of the item.
func (p place) pointer(member string) string {
	if p.line > 0 {
		return "/" + member
	}
	return fmt.Sprintf("/items/%d/%s", p.item, member)
}

// words names the line for a message. It is empty for a position in an array.
func (p place) words() string {
	if p.line > 0 {
		return fmt.Sprintf(" in line %d", p.line)
	}
	return ""
}

// itemsFrom reads the items of a sync. The items of a caller who reaches one tenant only belong to that tenant.
func itemsFrom(items []searchapi.SyncItem, c held) ([]engine.Item, error) {
	out := make([]engine.Item, len(items))
	for i := range items {
		var err error
		if out[i], err = itemFrom(&items[i], c, place{item: i}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// itemFrom reads one item.
func itemFrom(item *searchapi.SyncItem, c held, at place) (engine.Item, error) {
	var out engine.Item
	if item.Tenant == nil {
		out = c.ownItem(item.ID)
	} else {
		var err error
		if out, err = c.item(item.ID, item.Tenant, "body", at.pointer("tenant")); err != nil {
			return out, err
		}
	}
	switch {
	case item.Op == searchapi.SyncItemOpUpsert && item.Document == nil:
		return out, problem.New(problem.ValidationFailed, "An upsert needs a document"+at.words()+".").WithField("body", at.pointer("document"), "required", "is required to upsert")
	case item.Op == searchapi.SyncItemOpDelete && item.Document != nil:
		return out, problem.New(problem.ValidationFailed, "A deletion must not have a document"+at.words()+".").WithField("body", at.pointer("document"), "not", "must be absent to delete")
	case item.IfVersion != nil && !c.Versioned:
		return out, problem.New(problem.ValidationFailed, "The collection keeps no versions of its documents"+at.words()+".").WithField("body", at.pointer("ifVersion"), "not", "must be absent, in a collection that is not versioned")
	case item.Document != nil:
		out.Document = *item.Document
	}
	out.IfVersion = item.IfVersion
	return out, nil
}

// outcomesTo writes DocumentSyncResult.
func outcomesTo(items []engine.Item, results []reindex.Result, versioned bool) written {
	failed := 0
	for i := range results {
		if results[i].Outcome != nil {
			failed++
		}
	}
	out := append(takeRoom(64+32*len(items)), `{"succeeded":`...)
	out = strconv.AppendInt(out, int64(len(items)-failed), 10)
	out = strconv.AppendInt(append(out, `,"failed":`...), int64(failed), 10)
	out = append(out, `,"results":[`...)
	for i := range items {
		out = outcomeTo(comma(out, i), items[i].ID, &results[i], versioned)
	}
	return append(out, `]}`...)
}

// outcomeTo writes SyncOutcome.
func outcomeTo(out []byte, id string, r *reindex.Result, versioned bool) []byte {
	out = rawjson.AppendString(append(out, `{"id":`...), id)
	if r.Outcome == nil {
		out = append(out, `,"status":"ok"`...)
	} else {
		p := problem.From(r.Outcome)
		out = rawjson.AppendString(append(out, `,"status":"error","code":`...), string(p.Code))
		out = rawjson.AppendString(append(out, `,"message":`...), p.Detail)
		out = strconv.AppendBool(append(out, `,"retryable":`...), engine.Passing(r.Outcome))
	}
	if versioned && (r.Version > 0 || errors.Is(r.Outcome, problem.VersionConflict)) {
		out = strconv.AppendInt(append(out, `,"version":`...), r.Version, 10)
	}
	return append(out, '}')
}
