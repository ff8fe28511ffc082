package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/filters"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	"github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

// applyLimit is how long a request waits for the engine to take a change of a set. After that the change is applied in the background.
const applyLimit = 10 * time.Second

// apply synchronises the engine with the stored sets. A failure does not fail the request: the change is stored, and is applied in the
// background.
func (core *Core) apply(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyLimit)
	defer cancel()
	if err := core.Sets.Apply(ctx); err != nil {
		core.Unapplied(ctx, err)
	}
}

func refuseSet(err error) error {
	switch {
	case errors.Is(err, sets.ErrGone):
		return problem.New(problem.NotFound, "There is no such set.")
	case errors.Is(err, sets.ErrTaken):
		return problem.New(problem.AlreadyExists, "There is a set with this name already.")
	case errors.Is(err, sets.ErrStale):
		return problem.New(problem.PreconditionFailed, "The precondition names a state that is not the current one.")
	case errors.Is(err, sets.ErrMany):
		return problem.New(problem.LimitReached, "The owner has the maximum number of sets.")
	}
	return refuse(err)
}

// set finds the set that the caller means. If the caller may not read it, the problem is not_found. Problems: not_found, forbidden.
func (core *Core) set(ctx context.Context, p *auth.Principal, kind sets.Kind, name string, need owner.Access) (*sets.Set, error) {
	found, err := core.Store.Set(ctx, kind, owner.Candidates(name, p), func(s *sets.Set) bool { return s.Access(p) > owner.None })
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, refuseSet(sets.ErrGone)
	case found.Access(p) < need:
		return nil, problem.New(problem.Forbidden, "The set belongs to another owner.")
	}
	return found, nil
}

// named finds a set that is named in a request body. Problem: validation_failed.
func (core *Core) named(ctx context.Context, p *auth.Principal, kind sets.Kind, name, pointer string) (*sets.Set, error) {
	found, err := core.set(ctx, p, kind, name, owner.Read)
	if errors.Is(err, problem.NotFound) {
		return nil, problem.New(problem.ValidationFailed, "There is no such set.").WithField("body", pointer, "enum", "must be the name of a set that you may read")
	}
	return found, err
}

// contentOf returns the content of a set as it is stored. Problem: validation_failed.
func contentOf(kind sets.Kind, b *searchapi.SearchSetPut) (string, error) {
	given := map[sets.Kind]any{}
	if b.Synonyms != nil {
		given[sets.Synonyms] = *b.Synonyms
	}
	if b.Curations != nil {
		given[sets.Curations] = *b.Curations
	}
	if b.Stopwords != nil {
		given[sets.Stopwords] = *b.Stopwords
	}
	if b.Preset != nil {
		given[sets.Presets] = *b.Preset
	}
	content, ok := given[kind]
	if !ok || len(given) != 1 {
		member := strings.TrimSuffix(string(kind), "s")
		if kind != sets.Presets {
			member = string(kind)
		}
		return "", problem.New(problem.ValidationFailed, "A set must have the content of its kind, and no other.").WithField("body", "/"+member, "required", "must be the only content")
	}
	if err := fitsSet(b); err != nil {
		return "", err
	}
	text, err := json.Marshal(content)
	return string(text), err
}

// fitsSet checks what a JSON schema can't express. Problem: validation_failed.
func fitsSet(b *searchapi.SearchSetPut) error {
	if b.Synonyms != nil {
		for i, s := range *b.Synonyms {
			if s.Root == nil && len(s.Words) < 2 {
				return problem.New(problem.ValidationFailed, "A synonym needs two or more words, or a root.").WithField("body", fmt.Sprintf("/synonyms/%d/words", i), "minItems", "must be two or more, or there must be a root")
			}
		}
	}
	if b.Curations != nil {
		for i, c := range *b.Curations {
			if c.Pinned == nil && c.Hidden == nil && c.ReplaceQuery == nil {
				return problem.New(problem.ValidationFailed, "A curation must pin, hide or replace something.").WithField("body", fmt.Sprintf("/curations/%d", i), "minProperties", "must have pinned, hidden or replaceQuery")
			}
		}
	}
	if b.Preset != nil && b.Preset.Filter != nil {
		if _, err := filters.Write(b.Preset.Filter, filters.Options{Reserved: reserved, ID: func(id string) (string, bool) { return id, true }}); err != nil {
			return below(err, "/preset")
		}
	}
	return nil
}

// setTo returns a set in the contract's form, with its content if that was read.
func (core *Core) setTo(s *sets.Set, p *auth.Principal) (out searchapi.SearchSet, err error) {
	access := s.Access(p)
	out = searchapi.SearchSet{
		Kind: searchapi.SearchSetKind(s.Kind), Name: s.For(p), Owner: s.Owner, Access: searchapi.SearchSetAccess(accessNames[access]), Version: s.Version, ChangedAt: s.Changed,
	}
	if told := core.Sets.Status(s); told.State != "" {
		out.Engine = &searchapi.SearchSetStatus{State: searchapi.SearchSetStatusState(told.State)}
		if told.State == sets.Failed {
			out.Engine.Code, out.Engine.Message = &told.Code, &told.Message
		}
	}
	if access == owner.Own && len(s.Readers) > 0 {
		readers := slices.Sorted(slices.Values(s.Readers))
		out.Readers = &readers
	}
	if s.Body == "" {
		return out, nil
	}
	into := map[sets.Kind]any{sets.Synonyms: &out.Synonyms, sets.Curations: &out.Curations, sets.Stopwords: &out.Stopwords, sets.Presets: &out.Preset}
	if err := json.Unmarshal([]byte(s.Body), into[s.Kind]); err != nil {
		return out, fmt.Errorf("read set: %w", err)
	}
	return out, nil
}

// setTag returns the entity tag of a set. It includes the state at the engine, which changes without a new version.
func setTag(s searchapi.SearchSet) string {
	if s.Engine == nil {
		return etag.Of(s.Version)
	}
	return etag.OfState(s.Version, string(s.Engine.State))
}

// ListSearchSets implements searchapi.StrictServerInterface.
func (h *Handlers) ListSearchSets(ctx context.Context, r searchapi.ListSearchSetsRequestObject) (searchapi.ListSearchSetsResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	after, list := "", "sets/"+string(r.Kind)
	if r.Params.Cursor != nil {
		if err := page.Decode(list, *r.Params.Cursor, &after); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
	}
	all, err := core.Store.Sets(ctx, sets.Kind(r.Kind))
	if err != nil {
		return nil, err
	}
	byName := map[string]*sets.Set{}
	for _, s := range all { // the caller's own set hides that of the default tenant
		if other := byName[s.For(p)]; s.Access(p) > owner.None && (other == nil || other.Tenant == "") {
			byName[s.For(p)] = s
		}
	}
	out, limit := searchapi.SearchSetList{Items: []searchapi.SearchSet{}}, limitFrom(r.Params.Limit)
	for _, name := range sortedNames(byName) {
		if name <= after {
			continue
		}
		if len(out.Items) == limit {
			next := page.Encode(list, out.Items[limit-1].Name)
			out.NextCursor = &next
			break
		}
		item, err := core.setTo(byName[name], p)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, item)
	}
	return searchapi.ListSearchSets200JSONResponse(out), nil
}

func sortedNames(of map[string]*sets.Set) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// GetSearchSet implements searchapi.StrictServerInterface.
func (h *Handlers) GetSearchSet(ctx context.Context, r searchapi.GetSearchSetRequestObject) (searchapi.GetSearchSetResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	found, err := core.set(ctx, p, sets.Kind(r.Kind), r.Set, owner.Read)
	if err != nil {
		return nil, err
	}
	body, err := core.setTo(found, p)
	return searchapi.GetSearchSet200JSONResponse{Body: body, Headers: searchapi.GetSearchSet200ResponseHeaders{ETag: setTag(body)}}, err
}

// PutSearchSet implements searchapi.StrictServerInterface.
func (h *Handlers) PutSearchSet(ctx context.Context, r searchapi.PutSearchSetRequestObject) (searchapi.PutSearchSetResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	over := store.SetOver{Absent: r.Params.IfNoneMatch != nil}
	if r.Params.IfMatch != nil {
		if over.Absent {
			return nil, problem.New(problem.InvalidRequest, "If-Match and If-None-Match exclude each other.")
		}
		match := etag.ParseMatch(*r.Params.IfMatch)
		over.Match = &match
	}
	want, err := core.requestedSet(ctx, p, sets.Kind(r.Kind), r.Set)
	if err != nil {
		return nil, err
	}
	if want.Body, err = contentOf(want.Kind, r.Body); err != nil {
		return nil, err
	}
	if r.Body.Readers != nil {
		want.Readers = *r.Body.Readers
	}
	put, err := core.Store.PutSet(ctx, want, over, event(ctx, p, "putSearchSet", string(want.Kind)+"/"+want.Engine()))
	if err != nil {
		return nil, refuseSet(err)
	}
	if put.Kind != sets.Presets {
		core.apply(ctx)
	}
	body, err := core.setTo(put, p)
	if put.Version == 1 {
		return searchapi.PutSearchSet201JSONResponse{Body: body, Headers: searchapi.PutSearchSet201ResponseHeaders{ETag: setTag(body)}}, err
	}
	return searchapi.PutSearchSet200JSONResponse{Body: body, Headers: searchapi.PutSearchSet200ResponseHeaders{ETag: setTag(body)}}, err
}

// requestedSet returns the set that a caller asks to create or replace, with its owner. Problem: forbidden.
func (core *Core) requestedSet(ctx context.Context, p *auth.Principal, kind sets.Kind, text string) (sets.Set, error) {
	name := owner.Candidates(text, p)[0]
	want := sets.Set{Kind: kind, Name: name, Owner: owner.Of(name, p)}
	before, err := core.Store.Set(ctx, kind, []owner.Name{name}, func(s *sets.Set) bool { return s.Access(p) > owner.None })
	switch {
	case err != nil:
		return want, err
	case before != nil && before.Access(p) == owner.Own: // an administrator's change does not change the owner
		want.Owner = before.Owner
	case before != nil:
		return want, problem.New(problem.Forbidden, "The set belongs to another owner.")
	case !owner.MayMake(name, p):
		return want, problem.New(problem.Forbidden, "Only the services of a tenant and administrators can create its sets.")
	}
	return want, nil
}

// DeleteSearchSet implements searchapi.StrictServerInterface.
func (h *Handlers) DeleteSearchSet(ctx context.Context, r searchapi.DeleteSearchSetRequestObject) (searchapi.DeleteSearchSetResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	found, err := core.set(ctx, p, sets.Kind(r.Kind), r.Set, owner.Own)
	if err != nil {
		return nil, err
	}
	if err := core.Store.DeleteSet(ctx, found, event(ctx, p, "deleteSearchSet", string(found.Kind)+"/"+found.Engine())); err != nil {
		return nil, refuseSet(err)
	}
	if found.Kind != sets.Presets {
		core.apply(ctx)
	}
	return searchapi.DeleteSearchSet204Response{}, nil
}
