package handlers

import (
	"context"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/problem"
)

// held is a collection that exists for a caller.
type held struct {
	*owner.Collection
	caller *auth.Principal
	access owner.Access
	whole  bool // the caller reaches the documents of every tenant
}

func hold(c *owner.Collection, p *auth.Principal) held {
	return held{Collection: c, caller: p, access: c.Access(p), whole: c.Whole(p)}
}

// shown is the collection's name as the caller writes it.
func (c held) shown() string { return c.For(c.caller) }

// filter keeps other tenants' documents out; it is empty where there are none.
func (c held) filter() string {
	if c.whole {
		return ""
	}
	return engine.Only(c.caller.Tenant)
}

func noCollection() error { return problem.New(problem.NotFound, "There is no such collection.") }

// hold finds the collection that the caller means, before anything else of the request is looked at: one that is not the caller's, and was not
// granted, is answered as one that is not there.
func (core *Core) hold(ctx context.Context, p *auth.Principal, name string, need owner.Access) (held, error) {
	found, err := core.Store.Collection(ctx, owner.Candidates(name, p), func(c *owner.Collection) bool { return c.Access(p) > owner.None })
	if err != nil {
		return held{}, err
	}
	return reached(found, p, need)
}

// again holds the collection as the database has it now: what hold found may be a second old, and another's by now.
func (core *Core) again(ctx context.Context, c held, need owner.Access) (held, error) {
	found, err := core.Store.CollectionNow(ctx, c.Name)
	if err != nil {
		return held{}, err
	}
	return reached(found, c.caller, need)
}

// reached is a collection with the access that is needed. One that is nil, or that the caller may not know of, is not there.
func reached(found *owner.Collection, p *auth.Principal, need owner.Access) (held, error) {
	if found.Access(p) == owner.None {
		return held{}, noCollection()
	}
	c := hold(found, p)
	switch {
	case c.access >= need:
		return c, nil
	case need == owner.Own:
		return held{}, problem.New(problem.Forbidden, "The collection belongs to somebody else.")
	}
	return held{}, problem.New(problem.Forbidden, "The collection may be read, and not be written.")
}
