package handlers

import (
	"context"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/problem"
)

// held is a collection that the caller has access to.
type held struct {
	*owner.Collection
	caller *auth.Principal
	access owner.Access
	whole  bool // the caller reaches the documents of all tenants
}

func hold(c *owner.Collection, p *auth.Principal) held {
	return held{Collection: c, caller: p, access: c.Access(p), whole: c.Whole(p)}
}

// shown returns the collection's name as the caller writes it.
func (c held) shown() string { return c.For(c.caller) }

// filter excludes the documents of other tenants. It is empty if the caller reaches all documents.
func (c held) filter() string {
	if c.whole {
		return ""
	}
	return engine.Only(c.caller.Tenant)
}

func noCollection() error { return problem.New(problem.NotFound, "There is no such collection.") }

// hold finds the collection that the caller means. It comes before all other checks of a request. A collection that the caller has no
// access to gets the same answer as one that does not exist.
//
// The cache is used for access to documents alone, and only to allow it: on PostgreSQL it may be a second old, and what another replica has
// just created or granted is not refused. An owner's requests always read the database.
func (core *Core) hold(ctx context.Context, p *auth.Principal, name string, need owner.Access) (held, error) {
	candidates, exists := owner.Candidates(name, p), func(c *owner.Collection) bool { return c.Access(p) > owner.None }
	if need < owner.Own {
		found, err := core.Store.Collection(ctx, candidates, exists)
		if err != nil {
			return held{}, err
		}
		if c, refused := reached(found, p, need); refused == nil {
			return c, nil
		}
	}
	found, err := core.Store.CollectionUncached(ctx, candidates, exists)
	if err != nil {
		return held{}, err
	}
	return reached(found, p, need)
}

// again reads the collection from the database. What hold found may be old by now, and the collection may belong to somebody else.
func (core *Core) again(ctx context.Context, c held, need owner.Access) (held, error) {
	found, err := core.Store.CollectionNow(ctx, c.Name)
	if err != nil {
		return held{}, err
	}
	return reached(found, c.caller, need)
}

// reached checks that the caller has the needed access to a collection. If it is nil or the caller has no access, the problem is not_found.
func reached(found *owner.Collection, p *auth.Principal, need owner.Access) (held, error) {
	if found.Access(p) == owner.None {
		return held{}, noCollection()
	}
	c := hold(found, p)
	switch {
	case c.access >= need:
		return c, nil
	case need == owner.Own:
		return held{}, problem.New(problem.Forbidden, "The collection belongs to another owner.")
	}
	return held{}, problem.New(problem.Forbidden, "The caller can read this collection, but not write to it.")
}
