package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
)

// stored is the answer to a creation, made now or taken from the first time.
type stored idempotency.Answer

// VisitCreateCollectionResponse implements the generated answer of createCollection.
func (s stored) VisitCreateCollectionResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(s.Status)
	_, err := w.Write(s.Body)
	return err
}

// CreateCollection implements searchapi.StrictServerInterface. The engine is not part of the database's transaction: whose the collection
// is, and that a keyed creation begins, is noted before, so that a repeat after a crash in between takes the collection as its own.
func (h *Handlers) CreateCollection(ctx context.Context, r searchapi.CreateCollectionRequestObject) (searchapi.CreateCollectionResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := wantedBy(p, r.Body)
	if err != nil {
		return nil, err
	}
	key := idempotencyKey(ctx, p, "createCollection", r.Params.IdempotencyKey)
	attempt, begun := lease.New(attemptLast(ctx)), false
	if key != nil {
		answer, known, before, err := core.Store.Begin(ctx, *key, want.Engine(), attempt)
		if err != nil || known {
			return stored(answer), err
		}
		begun = before
	}
	answer, err := h.made(ctx, core, p, want, schemaFrom(r.Body.Fields, r.Body.DefaultSortingField), key, begun)
	if err != nil {
		return nil, h.abandon(ctx, core, key, attempt, err)
	}
	return stored(answer), nil
}

// attemptBeyond is how long the lease of a creation lasts beyond its request's time: what it has begun by then has arrived.
const attemptBeyond = 5 * time.Second

// attemptLast is how long an attempt at a creation may take.
func attemptLast(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end) + attemptBeyond
	}
	return lease.Last
}

// made makes the collection, and keeps the answer.
func (h *Handlers) made(ctx context.Context, core *Core, p *auth.Principal, want *owner.Collection, schema reindex.Schema, key *idempotency.Key, begun bool) (idempotency.Answer, error) {
	made, err := h.create(ctx, core, want, schema.Collection(want.Engine(), want.TenantScoped), begun)
	if err != nil {
		return idempotency.Answer{}, refusedCreation{err}
	}
	want.TenantScoped = made.Scoped()
	body, err := json.Marshal(collectionTo(made, hold(want, p)))
	if err != nil {
		return idempotency.Answer{}, err
	}
	answer, err := core.Store.Finish(ctx, want, key, idempotency.Answer{Status: http.StatusCreated, Body: body}, event(ctx, p, "createCollection", want.Engine()))
	return answer, refuse(err)
}

// wantedBy is the collection that a caller asks to be made. Problems: forbidden, validation_failed.
func wantedBy(p *auth.Principal, b *searchapi.CollectionCreate) (*owner.Collection, error) {
	name := owner.Candidates(b.Name, p)[0]
	if !owner.MayMake(name, p) {
		return nil, problem.New(problem.Forbidden, "Collections of a tenant are made by its services and by administrators.")
	}
	c := &owner.Collection{Name: name, Owner: owner.Of(name, p), TenantScoped: b.TenantScoped != nil && *b.TenantScoped, Versioned: b.Versioned != nil && *b.Versioned}
	if err := fitsFields(b.Fields, c.TenantScoped); err != nil {
		return nil, err
	}
	text, err := schemaFrom(b.Fields, b.DefaultSortingField).Text()
	if err != nil {
		return nil, err
	}
	c.Desired = text
	return c, nil
}

// create makes the collection; one that an earlier attempt of the same request made counts as made.
func (h *Handlers) create(ctx context.Context, core *Core, c *owner.Collection, want engine.Collection, begun bool) (engine.Collection, error) {
	fresh, err := core.claim(ctx, c)
	if err != nil {
		return engine.Collection{}, err
	}
	made, err := core.Engine.Create(ctx, want)
	if begun && !fresh && errors.Is(err, problem.AlreadyExists) {
		return core.Engine.Collection(ctx, want.Name)
	}
	if err != nil && fresh && !uncertain(err) {
		err = errors.Join(err, core.Store.Release(context.WithoutCancel(ctx), c))
	}
	return made, err
}

// claim is Store.Claim, after what a job is still writing to an earlier collection of the name. Problems: already_exists; engine_unavailable, when that takes long.
func (core *Core) claim(ctx context.Context, c *owner.Collection) (fresh bool, err error) {
	for began := time.Now(); ; {
		fresh, err = core.Store.Claim(ctx, c)
		switch {
		case !errors.Is(err, owner.ErrBusy):
			return fresh, refuse(err)
		case time.Since(began) > retireLimit:
			return false, problem.New(problem.EngineUnavailable, "A job may still be writing an earlier collection of this name.").WithRetryAfter(2 * time.Second)
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(retirePause):
		}
	}
}

// uncertain reports whether the engine may have done what it was asked for.
func uncertain(err error) bool {
	return errors.Is(err, problem.EngineUnavailable) || errors.Is(err, problem.UpstreamTimeout) || errors.Is(err, problem.BadUpstream)
}

// abandon ends an attempt that has failed: a creation that the engine refused for good is forgotten, and the repeat of another goes on with it.
func (h *Handlers) abandon(ctx context.Context, core *Core, key *idempotency.Key, attempt lease.Lease, cause error) error {
	var refused refusedCreation
	byEngine := errors.As(cause, &refused)
	if byEngine {
		cause = refused.error
	}
	if key == nil {
		return cause
	}
	end := core.Store.Interrupt
	if byEngine && !uncertain(cause) {
		end = core.Store.Abandon
	}
	if err := end(context.WithoutCancel(ctx), *key, attempt); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// refusedCreation is an error of making a collection, and not of keeping the answer.
type refusedCreation struct{ error }

// Unwrap implements errors.Unwrap.
func (r refusedCreation) Unwrap() error { return r.error }

// ListCollections implements searchapi.StrictServerInterface.
func (h *Handlers) ListCollections(ctx context.Context, r searchapi.ListCollectionsRequestObject) (searchapi.ListCollectionsResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	after := ""
	if r.Params.Cursor != nil {
		if err := page.Decode("collections", *r.Params.Cursor, &after); err != nil {
			return nil, problem.BadCursor().Wrap(err)
		}
	}
	all, err := core.visible(ctx, p)
	if err != nil {
		return nil, err
	}
	shown, list := pageOf(all, after, limitFrom(r.Params.Limit))
	if err := core.count(ctx, shown); err != nil {
		return nil, err
	}
	for _, c := range shown {
		list.Items = append(list.Items, collectionTo(c.schema, c.held))
	}
	return searchapi.ListCollections200JSONResponse(list), nil
}

// described is a collection that exists for a caller, with its schema.
type described struct {
	held
	schema engine.Collection
}

// visible lists what exists for a caller, by the names that the caller writes. A collection of the caller's tenant hides the one that has its
// name in the default tenant.
func (core *Core) visible(ctx context.Context, p *auth.Principal) ([]described, error) {
	owned, err := core.Store.Collections(ctx)
	if err != nil {
		return nil, err
	}
	byName, physical := make(map[string]held, len(owned)), make(map[string]held, len(owned))
	for _, o := range owned {
		c := hold(o, p)
		if other, taken := byName[c.shown()]; c.access > owner.None && (!taken || other.Tenant == "") {
			byName[c.shown()] = c
		}
	}
	for _, c := range byName {
		physical[c.Engine()] = c
	}
	schemas, err := core.Engine.Collections(ctx)
	if err != nil {
		return nil, err
	}
	var all []described
	for _, s := range schemas {
		if c, ok := physical[s.Name]; ok {
			all = append(all, described{c, s})
		}
	}
	slices.SortFunc(all, func(a, b described) int { return strings.Compare(a.shown(), b.shown()) })
	return all, nil
}

// count replaces the numbers of documents of which the caller reaches a part.
func (core *Core) count(ctx context.Context, all []described) error {
	var parts []*described
	for i := range all {
		if !all[i].whole {
			parts = append(parts, &all[i])
		}
	}
	asks := make([]map[string]any, len(parts))
	for i, c := range parts {
		asks[i] = engine.CountSearch(c.Engine(), c.filter())
	}
	counted, err := core.Engine.Search(ctx, asks...)
	if err != nil {
		return err
	}
	for i, c := range parts {
		c.schema.Documents = counted[i].Found
	}
	return nil
}

// GetCollection implements searchapi.StrictServerInterface.
func (h *Handlers) GetCollection(ctx context.Context, r searchapi.GetCollectionRequestObject) (searchapi.GetCollectionResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Read)
	if err != nil {
		return nil, err
	}
	schema, err := core.Engine.Collection(ctx, c.Engine())
	if err != nil {
		return nil, err
	}
	one := []described{{c, schema}}
	if err := core.count(ctx, one); err != nil {
		return nil, err
	}
	return searchapi.GetCollection200JSONResponse(collectionTo(one[0].schema, c)), nil
}

// DeleteCollection implements searchapi.StrictServerInterface. A collection that the engine has lost is forgotten as well.
func (h *Handlers) DeleteCollection(ctx context.Context, r searchapi.DeleteCollectionRequestObject) (searchapi.DeleteCollectionResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	if c, err = core.again(ctx, c, owner.Own); err != nil {
		return nil, err
	}
	if c, err = core.retire(ctx, c); err != nil {
		return nil, err
	}
	if err := core.forgetKeys(ctx, c); err != nil {
		return nil, err
	}
	// Both that of its own name, which a reindex may keep, and the one in its place: the rest is dropped by the reindexes.
	for _, name := range []string{c.Engine(), c.Name.Engine()} {
		if err := core.Engine.Delete(ctx, name); err != nil && !errors.Is(err, problem.NotFound) {
			return nil, err
		}
		if name == c.Name.Engine() {
			break
		}
	}
	// It is gone: the chain must learn of it even if the caller has left.
	if err := core.Store.Remove(context.WithoutCancel(ctx), c.Collection, event(ctx, p, "deleteCollection", c.Name.Engine())); err != nil {
		return nil, err
	}
	if err := core.forgetKeys(context.WithoutCancel(ctx), c); err != nil {
		return nil, err
	}
	return searchapi.DeleteCollection204Response{}, nil
}

// How long a deletion has the reindexes of its collection for itself, how long it waits for them, and a creation for jobs of an earlier collection, and between two looks.
const (
	retireLast  = 2 * time.Minute
	retireLimit = 10 * time.Second
	retirePause = 20 * time.Millisecond
)

// retire ends the work on the reindexes of a collection that is deleted, and returns the collection as it is then. Problem: engine_unavailable, when a worker is not done.
func (core *Core) retire(ctx context.Context, c held) (held, error) {
	for began := time.Now(); ; {
		alone, err := core.Store.Retire(ctx, c.Collection, retireLast)
		switch {
		case err != nil:
			return held{}, refuse(err)
		case alone:
			return core.again(ctx, c, owner.Own)
		case time.Since(began) > retireLimit:
			return held{}, problem.New(problem.EngineUnavailable, "A reindex of the collection is under way.").WithRetryAfter(2 * time.Second)
		}
		select {
		case <-ctx.Done():
			return held{}, ctx.Err()
		case <-time.After(retirePause):
		}
	}
}
