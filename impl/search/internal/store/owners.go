package store

import (
	"context"
	"slices"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// ownerRow is a collection joined with one of its grants, or with none.
type ownerRow struct {
	Tenant, Name, Owner string
	Scoped              int64   `db:"tenant_scoped"`
	Versioned           int64   `db:"versioned"`
	ClaimedAt           int64   `db:"claimed_at"`
	Physical            string  `db:"physical"`
	Held                int64   `db:"held"`
	Grantee             *string `db:"grantee"`
	Access              *int64  `db:"access"`
	GrantedAt           *int64  `db:"granted_at"`
}

const selectOwners = `SELECT c.tenant, c.name, c.owner, c.tenant_scoped, c.versioned, c.claimed_at, c.physical, c.held, g.grantee, g.access, g.granted_at
	FROM collections c LEFT JOIN collection_grants g ON g.tenant = c.tenant AND g.name = c.name WHERE c.made = 1`

// Collections returns every collection that was created, in no particular order.
func (s *Store) Collections(ctx context.Context) (all []*owner.Collection, err error) {
	defer tried.To(&err, "list owners of collections")
	var rows []ownerRow
	if err := s.db.Read(ctx).Select(ctx, &rows, selectOwners+" ORDER BY c.tenant, c.name"); err != nil {
		return nil, err
	}
	return collectionsOf(rows), nil
}

// Collection returns the nearest of the candidates for which exists returns true, or nil. A collection that the caller has no access to
// takes the same path as one that is missing, so that the two can't be told apart. The result is shared and must not be modified. It may
// come from the cache.
func (s *Store) Collection(ctx context.Context, candidates []owner.Name, exists func(*owner.Collection) bool) (_ *owner.Collection, err error) {
	defer tried.To(&err, "find owner of collection")
	found, ok, change := s.owners.get(namesOf(candidates), s.clock.Now())
	if !ok {
		if found, err = s.named(ctx, namesOf(candidates), change); err != nil {
			return nil, err
		}
	}
	return nearest(found, candidates, exists), nil
}

// CollectionUncached returns what Collection does, and reads it from the database.
func (s *Store) CollectionUncached(ctx context.Context, candidates []owner.Name, exists func(*owner.Collection) bool) (_ *owner.Collection, err error) {
	defer tried.To(&err, "find owner of collection")
	_, _, change := s.owners.get(namesOf(candidates), s.clock.Now())
	found, err := s.named(ctx, namesOf(candidates), change)
	if err != nil {
		return nil, err
	}
	return nearest(found, candidates, exists), nil
}

func namesOf(candidates []owner.Name) names {
	return names{candidates[0], candidates[len(candidates)-1]}
}

func nearest(found []*owner.Collection, candidates []owner.Name, exists func(*owner.Collection) bool) *owner.Collection {
	for _, wanted := range candidates {
		for _, c := range found {
			if c.Name == wanted && exists(c) {
				return c
			}
		}
	}
	return nil
}

// named reads the collections of two names that differ only in their tenants, and caches them. change is the cache's count before.
func (s *Store) named(ctx context.Context, of names, change int) ([]*owner.Collection, error) {
	var rows []ownerRow
	err := s.db.Read(ctx).Select(ctx, &rows, selectOwners+" AND c.name = ? AND c.tenant IN (?, ?) ORDER BY c.tenant, c.name", of[0].Local, of[0].Tenant, of[1].Tenant)
	if err != nil {
		return nil, err
	}
	found := collectionsOf(rows)
	if !slices.ContainsFunc(found, func(c *owner.Collection) bool { return c.Swapping }) { // during a swap nothing is cached
		s.owners.put(of, found, s.clock.Now(), change)
	}
	return found, nil
}

// CollectionNow reads the collection of a name from the database, without the cache. It returns nil if there is none.
func (s *Store) CollectionNow(ctx context.Context, n owner.Name) (_ *owner.Collection, err error) {
	defer tried.To(&err, "find owner of collection")
	var rows []ownerRow
	if err := s.db.Read(ctx).Select(ctx, &rows, selectOwners+" AND c.tenant = ? AND c.name = ?", n.Tenant, n.Local); err != nil || len(rows) == 0 {
		return nil, err
	}
	return collectionsOf(rows)[0], nil
}

// write runs a transaction that changes owners or grants, and clears the cache.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, tx *store.Tx) error) error {
	defer s.owners.forget()
	return s.db.Write(ctx, fn)
}

// collectionsOf combines the adjacent rows of each collection.
func collectionsOf(rows []ownerRow) (all []*owner.Collection) {
	for _, r := range rows {
		name := owner.Name{Tenant: r.Tenant, Local: r.Name}
		if len(all) == 0 || all[len(all)-1].Name != name {
			all = append(all, &owner.Collection{Name: name, Owner: r.Owner, TenantScoped: r.Scoped == 1, Versioned: r.Versioned == 1, Claimed: time.UnixMicro(r.ClaimedAt).UTC(), Physical: r.Physical, Swapping: r.Held == 1})
		}
		if c := all[len(all)-1]; r.Grantee != nil && r.Access != nil && r.GrantedAt != nil {
			c.Grants = append(c.Grants, owner.Grant{Grantee: *r.Grantee, Access: owner.Access(*r.Access), At: time.UnixMicro(*r.GrantedAt).UTC()})
		}
	}
	return all
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Claim records the owner of a collection before the engine creates it. fresh reports whether the name was not claimed before. Errors:
// owner.ErrTaken if the name belongs to another owner, owner.ErrBusy if a job may still be writing to an earlier collection of the name.
func (s *Store) Claim(ctx context.Context, c *owner.Collection) (fresh bool, err error) {
	defer tried.To(&err, "claim collection")
	err = s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO collections (tenant, name, owner, tenant_scoped, versioned, made, claimed_at) VALUES (?, ?, ?, ?, ?, 0, ?)
			ON CONFLICT (tenant, name) DO NOTHING`, c.Tenant, c.Local, c.Owner, flag(c.TenantScoped), flag(c.Versioned), s.clock.Now().UnixMicro())
		if err != nil {
			return err
		}
		if fresh = n == 1; fresh {
			return s.checkNoWriter(ctx, tx, c.Name)
		}
		// claimed_at of a created collection does not change: it distinguishes the collection from a later one with the same name.
		n, err = tx.Exec(ctx, `UPDATE collections SET claimed_at = CASE WHEN made = 0 THEN ? ELSE claimed_at END, versioned = CASE WHEN made = 0 THEN ? ELSE versioned END WHERE tenant = ? AND name = ? AND owner = ?`,
			s.clock.Now().UnixMicro(), flag(c.Versioned), c.Tenant, c.Local, c.Owner)
		if err == nil && n == 0 {
			return owner.ErrTaken
		}
		return err
	})
	return fresh && err == nil, err
}

// checkNoWriter returns owner.ErrBusy while a job of an earlier collection of the name is leased. It is called once the name is free: a
// worker that claims a job after that finds its collection gone.
func (s *Store) checkNoWriter(ctx context.Context, tx *store.Tx, n owner.Name) error {
	now, err := s.time(ctx, tx)
	if err != nil {
		return err
	}
	var leased int64
	err = tx.Get(ctx, &leased, "SELECT COUNT(*) FROM jobs WHERE tenant = ? AND name = ? AND state <> 'receiving' AND lease <> '' AND leased_until >= ?", n.Tenant, n.Local, now.UnixMicro())
	if err == nil && leased > 0 {
		return owner.ErrBusy
	}
	return err
}

// made turns a claim into a collection. It inserts the row again if another attempt of the same owner has released the claim. The row of an
// earlier collection that is being deleted is reused for the new one, without its grants.
func (s *Store) made(ctx context.Context, tx *store.Tx, c *owner.Collection) error {
	n, err := tx.Exec(ctx, `INSERT INTO collections (tenant, name, owner, tenant_scoped, versioned, made, claimed_at, desired) VALUES (?, ?, ?, ?, ?, 1, ?, ?)
		ON CONFLICT (tenant, name) DO UPDATE SET made = 1, tenant_scoped = excluded.tenant_scoped, versioned = excluded.versioned, document_version = 0, claimed_at = excluded.claimed_at,
			physical = '', desired = excluded.desired, schema_version = 1, reindex = '', held = 0,
			synonym_sets = '', curation_sets = '', sets_version = 1
		WHERE collections.owner = excluded.owner`,
		c.Tenant, c.Local, c.Owner, flag(c.TenantScoped), flag(c.Versioned), s.clock.Now().UnixMicro(), c.Desired)
	if err == nil && n == 0 {
		return owner.ErrTaken
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM collection_grants WHERE tenant = ? AND name = ?`, c.Tenant, c.Local)
	return err
}

// Release deletes the claim of a collection that the engine did not create.
func (s *Store) Release(ctx context.Context, c *owner.Collection) (err error) {
	defer tried.To(&err, "release collection")
	return s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM collections WHERE tenant = ? AND name = ? AND owner = ? AND made = 0`, c.Tenant, c.Local, c.Owner)
		return err
	})
}

// Remove deletes the row and the grants of a collection that the engine no longer has. A later collection of the same name is left alone.
func (s *Store) Remove(ctx context.Context, c *owner.Collection, e audit.Event) (err error) {
	defer tried.To(&err, "forget collection")
	return s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM collections WHERE tenant = ? AND name = ? AND owner = ? AND claimed_at = ?`,
			c.Tenant, c.Local, c.Owner, c.Claimed.UnixMicro())
		if err != nil {
			return err
		}
		if n == 1 {
			if _, err := tx.Exec(ctx, `DELETE FROM collection_grants WHERE tenant = ? AND name = ?`, c.Tenant, c.Local); err != nil {
				return err
			}
			if err := s.giveUp(ctx, tx, c); err != nil {
				return err
			}
		}
		return audit.Append(ctx, tx, e)
	})
}

// MaxGrants is the maximum number of grants of one collection.
const MaxGrants = 100

// PutGrant gives a grantee access to a collection. Errors: owner.ErrGone, owner.ErrManyGrants.
func (s *Store) PutGrant(ctx context.Context, c *owner.Collection, grantee string, access owner.Access, e audit.Event) (g owner.Grant, err error) {
	defer tried.To(&err, "store grant")
	g = owner.Grant{Grantee: grantee, Access: access, At: s.clock.Now().UTC().Truncate(time.Microsecond)}
	return g, s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		// This locks the row of the collection, so that concurrent grants are counted one after the other.
		held, err := tx.Exec(ctx, `UPDATE collections SET made = 1 WHERE tenant = ? AND name = ? AND owner = ? AND claimed_at = ? AND made = 1`,
			c.Tenant, c.Local, c.Owner, c.Claimed.UnixMicro())
		if err != nil {
			return err
		}
		if held == 0 {
			return owner.ErrGone
		}
		var others int
		if err := tx.Get(ctx, &others, `SELECT COUNT(*) FROM collection_grants WHERE tenant = ? AND name = ? AND grantee <> ?`, c.Tenant, c.Local, grantee); err != nil {
			return err
		}
		if others >= MaxGrants {
			return owner.ErrManyGrants
		}
		_, err = tx.Exec(ctx, `INSERT INTO collection_grants (tenant, name, grantee, access, granted_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (tenant, name, grantee) DO UPDATE SET access = excluded.access, granted_at = excluded.granted_at`,
			c.Tenant, c.Local, grantee, int64(access), g.At.UnixMicro())
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
}

// DeleteGrant deletes a grant. Error: owner.ErrNoGrant.
func (s *Store) DeleteGrant(ctx context.Context, c *owner.Collection, grantee string, e audit.Event) (err error) {
	defer tried.To(&err, "delete grant")
	return s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.Exec(ctx, `DELETE FROM collection_grants WHERE tenant = ? AND name = ? AND grantee = ?
			AND EXISTS (SELECT 1 FROM collections WHERE tenant = ? AND name = ? AND owner = ? AND claimed_at = ?)`,
			c.Tenant, c.Local, grantee, c.Tenant, c.Local, c.Owner, c.Claimed.UnixMicro())
		if err != nil {
			return err
		}
		if rows == 0 {
			return owner.ErrNoGrant
		}
		return audit.Append(ctx, tx, e)
	})
}

// claimLife is how long a creation may take before Reconcile finds out what became of it.
const claimLife = 2 * time.Minute

// Reconcile makes the stored owners match the engine's collections. A collection without an owner is assigned to its tenant, or else to the
// service that created it according to the audit trail, or else to the administrators. A claim older than claimLife becomes a collection if
// the engine has it, and is deleted otherwise. read returns the engine's collections by name, and whether each is tenant-scoped. It is
// called after the rows are read, so that a collection that is deleted in the meantime does not get a row again.
func (s *Store) Reconcile(ctx context.Context, read func(ctx context.Context) (map[string]bool, error)) (err error) {
	defer tried.To(&err, "reconcile owners of collections")
	var known []struct {
		Tenant, Name string
		Made         int64
		ClaimedAt    int64 `db:"claimed_at"`
	}
	if err := s.db.Read(ctx).Select(ctx, &known, `SELECT tenant, name, made, claimed_at FROM collections`); err != nil {
		return err
	}
	present, err := read(ctx)
	if err != nil {
		return err
	}
	seen := make(map[owner.Name]bool, len(known))
	old := s.clock.Now().Add(-claimLife).UnixMicro()
	for _, k := range known {
		n := owner.Name{Tenant: k.Tenant, Local: k.Name}
		if k.Made == 0 && k.ClaimedAt < old {
			scoped, there := present[n.Engine()]
			if err := s.settle(ctx, n, there, scoped, old); err != nil {
				return err
			}
		}
		seen[n] = true
	}
	for text, scoped := range present {
		if n := owner.FromEngine(text); seen[n] || owner.IsGeneration(text) {
			continue
		} else if err := s.adopt(ctx, n, scoped); err != nil {
			return err
		}
	}
	return nil
}

// settle ends a claim made before old. Whether the collection is tenant-scoped is known from the engine.
func (s *Store) settle(ctx context.Context, n owner.Name, made, scoped bool, old int64) error {
	return s.write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if made {
			_, err = tx.Exec(ctx, `UPDATE collections SET made = 1, tenant_scoped = ? WHERE tenant = ? AND name = ? AND made = 0 AND claimed_at < ?`,
				flag(scoped), n.Tenant, n.Local, old)
		} else {
			_, err = tx.Exec(ctx, `DELETE FROM collections WHERE tenant = ? AND name = ? AND made = 0 AND claimed_at < ?`, n.Tenant, n.Local, old)
		}
		return err
	})
}

// adopt assigns an owner to a collection that only the engine has.
func (s *Store) adopt(ctx context.Context, n owner.Name, scoped bool) error {
	whose, err := s.makerOf(ctx, n)
	if err != nil {
		return err
	}
	return s.write(ctx, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO collections (tenant, name, owner, tenant_scoped, made, claimed_at) VALUES (?, ?, ?, ?, 1, ?)
			ON CONFLICT (tenant, name) DO NOTHING`, n.Tenant, n.Local, whose, flag(scoped), s.clock.Now().UnixMicro())
		return err
	})
}

// makerOf returns the owner of a collection that has no row: its tenant if it is in one, or else the service that the audit trail names as
// its creator, or else the administrators.
func (s *Store) makerOf(ctx context.Context, n owner.Name) (string, error) {
	if n.Tenant != "" {
		return owner.OfTenant(n.Tenant), nil
	}
	for query := (audit.Query{Action: "createCollection", Target: n.Engine(), Limit: 1}); ; {
		made, next, err := audit.List(ctx, s.db.Read(ctx), query)
		switch {
		case err != nil:
			return "", err
		case len(made) == 1 && made[0].ActorKind == audit.Service:
			return "service:" + made[0].Actor, nil
		case len(made) == 1 || next == 0:
			return owner.Administrators, nil
		}
		query.Before = next // only a part of the trail has been searched so far
	}
}
