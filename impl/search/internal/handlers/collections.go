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

// stored is the answer to a creation, either new or replayed from the first request.
type stored idempotency.Answer

// VisitCreateCollectionResponse implements the generated answer of createCollection.
func (s stored) VisitCreateCollectionResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(s.Status)
	_, err := w.Write(s.Body)
	return err
}

// CreateCollection implements searchapi.StrictServerInterface. The engine is not part of the database transaction. The owner of the
// collection, and the start of a keyed creation, are therefore recorded before the engine is called. A request that is repeated after a
// crash in between recognises the collection as its own.
func (h *Handlers) CreateCollection(ctx context.Context, r searchapi.CreateCollectionRequestObject) (searchapi.CreateCollectionResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := requestedCollection(p, r.Body)
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

// attemptBeyond is how long the lease of a creation outlives its request. Calls to the engine that the request began have arrived by then.
const attemptBeyond = 5 * time.Second

// attemptLast returns how long the lease of a creation must last.
func attemptLast(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end) + attemptBeyond
	}
	return lease.Last
}

// made creates the collection and stores the answer.
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

// requestedCollection returns the collection that a caller asks to create. Problems: forbidden, validation_failed.
func requestedCollection(p *auth.Principal, b *searchapi.CollectionCreate) (*owner.Collection, error) {
	name := owner.Candidates(b.Name, p)[0]
	if !owner.MayMake(name, p) {
		return nil, problem.New(problem.Forbidden, "Only the services of a tenant and administrators can create its collections.")
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

// create creates the collection. If an earlier attempt of the same request has already created it, create returns that one.
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

// claim is Store.Claim, but first waits until no job writes to an earlier collection of the name. Problems: already_exists;
// engine_unavailable if that takes too long.
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

// uncertain reports whether the engine may have carried out the request in spite of the error.
func uncertain(err error) bool {
	return errors.Is(err, problem.EngineUnavailable) || errors.Is(err, problem.UpstreamTimeout) || errors.Is(err, problem.BadUpstream)
}

// abandon ends a failed attempt. A creation that the engine definitely refused is deleted; any other is left for a repeated request to
// continue.
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

// refusedCreation is an error of creating the collection, as opposed to storing the answer.
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

// described is a collection that the caller has access to, with its schema.
type described struct {
	held
	schema engine.Collection
}

// visible lists the collections that a caller has access to, by the names that the caller writes. A collection of the caller's tenant hides
// the one of the same name in the default tenant.
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

// count corrects the numbers of documents of those collections of which the caller reaches only a part.
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

// DeleteCollection implements searchapi.StrictServerInterface. It also deletes a collection that the engine has lost.
func (h *Handlers) DeleteCollection(ctx context.Context, r searchapi.DeleteCollectionRequestObject) (searchapi.DeleteCollectionResponseObject, error) {
	core, p, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	c, err := core.hold(ctx, p, r.Collection, owner.Own)
	if err != nil {
		return nil, err
	}
	if c, err = core.retire(ctx, c); err != nil {
		return nil, err
	}
	if err := core.forgetKeys(ctx, c); err != nil {
		return nil, err
	}
	// This deletes both the engine collection with the collection's own name, which a reindex may still keep, and the current one. All
	// others are dropped by the reindexes.
	for _, name := range []string{c.Engine(), c.Name.Engine()} {
		if err := core.Engine.Delete(ctx, name); err != nil && !errors.Is(err, problem.NotFound) {
			return nil, err
		}
		if name == c.Name.Engine() {
			break
		}
	}
	// The collection is gone from the engine. The audit trail must record that even if the caller has disconnected.
	if err := core.Store.Remove(context.WithoutCancel(ctx), c.Collection, event(ctx, p, "deleteCollection", c.Name.Engine())); err != nil {
		return nil, err
	}
	if err := core.forgetKeys(context.WithoutCancel(ctx), c); err != nil {
		return nil, err
	}
	return searchapi.DeleteCollection204Response{}, nil
}

// retireLast is how long a deletion holds the leases of the collection's reindexes. retireLimit is how long it waits for them, and how long
// a creation waits for jobs of an earlier collection. retirePause is the pause between two attempts.
const (
	retireLast  = 2 * time.Minute
	retireLimit = 10 * time.Second
	retirePause = 20 * time.Millisecond
)

// retire ends the reindexes of a collection that is about to be deleted, and returns the collection as it is after that. Problem:
// engine_unavailable if a worker does not finish in time.
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
