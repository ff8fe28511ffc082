package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

type setRow struct {
	Kind, Tenant, Name, ID, Owner string
	Version                       int64
	Body, Readers                 string
	ChangedAt                     int64 `db:"changed_at"`
}

func (r setRow) set() (*sets.Set, error) {
	s := &sets.Set{
		Name: owner.Name{Tenant: r.Tenant, Local: r.Name}, Kind: sets.Kind(r.Kind), ID: r.ID, Owner: r.Owner, Version: r.Version, Body: r.Body,
		Changed: time.UnixMicro(r.ChangedAt).UTC(),
	}
	if err := json.Unmarshal([]byte(r.Readers), &s.Readers); err != nil {
		return nil, fmt.Errorf("read readers of set: %w", err)
	}
	return s, nil
}

func setsOf(rows []setRow) ([]*sets.Set, error) {
	out := make([]*sets.Set, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = r.set(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

const (
	selectSets = "SELECT kind, tenant, name, id, owner, version, body, readers, changed_at FROM search_sets "
	// listSets leaves out the contents.
	listSets = "SELECT kind, tenant, name, id, owner, version, '' AS body, readers, changed_at FROM search_sets "
	ofSet    = "kind = ? AND tenant = ? AND name = ?"
)

// Set returns the nearest of the candidates for which exists returns true, or nil. A set that the caller has no access to takes the same
// path as one that is missing.
func (s *Store) Set(ctx context.Context, kind sets.Kind, candidates []owner.Name, exists func(*sets.Set) bool) (_ *sets.Set, err error) {
	defer tried.To(&err, "find set")
	first, last := candidates[0], candidates[len(candidates)-1]
	var rows []setRow
	if err := s.db.Read(ctx).Select(ctx, &rows, selectSets+"WHERE kind = ? AND name = ? AND tenant IN (?, ?)", string(kind), first.Local, first.Tenant, last.Tenant); err != nil {
		return nil, err
	}
	found, err := setsOf(rows)
	if err != nil {
		return nil, err
	}
	for _, wanted := range candidates {
		for _, one := range found {
			if one.Name == wanted && exists(one) {
				return one, nil
			}
		}
	}
	return nil, nil
}

// Sets returns the sets of a kind without their contents, in no particular order.
func (s *Store) Sets(ctx context.Context, kind sets.Kind) (_ []*sets.Set, err error) {
	defer tried.To(&err, "list sets")
	var rows []setRow
	if err := s.db.Read(ctx).Select(ctx, &rows, listSets+"WHERE kind = ?", string(kind)); err != nil {
		return nil, err
	}
	return setsOf(rows)
}

// AllSets implements sets.Rows.
func (s *Store) AllSets(ctx context.Context) (_ []*sets.Set, err error) {
	defer tried.To(&err, "list sets for the engine")
	var rows []setRow
	if err := s.db.Read(ctx).Select(ctx, &rows, selectSets+"WHERE kind <> ?", string(sets.Presets)); err != nil {
		return nil, err
	}
	return setsOf(rows)
}

// SetOver is the precondition of PutSet. The zero value allows creation, and replacement of any version of the same owner.
type SetOver struct {
	Absent bool
	Match  *etag.Match
}

// PutSet creates or replaces a set, and returns it with its version. Errors: sets.ErrTaken, sets.ErrStale, sets.ErrMany.
func (s *Store) PutSet(ctx context.Context, want sets.Set, over SetOver, e audit.Event) (_ *sets.Set, err error) {
	defer tried.To(&err, "store set")
	if want.Readers == nil {
		want.Readers = []string{}
	}
	readers, err := json.Marshal(want.Readers)
	if err != nil {
		return nil, err
	}
	want.ID, want.Version, want.Changed = id.New("set"), 1, s.clock.Now().UTC().Truncate(time.Microsecond)
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		made, err := int64(0), error(nil)
		if over.Match == nil {
			made, err = tx.Exec(ctx, `INSERT INTO search_sets (kind, tenant, name, id, owner, version, body, readers, changed_at) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?)
				ON CONFLICT (kind, tenant, name) DO NOTHING`,
				string(want.Kind), want.Tenant, want.Local, want.ID, want.Owner, want.Body, string(readers), want.Changed.UnixMicro())
		}
		switch {
		case err != nil:
			return err
		case made == 1:
			err = countSet(ctx, tx, want.Owner)
		default:
			err = s.replaceSet(ctx, tx, &want, string(readers), over)
		}
		if err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
	return &want, err
}

// countSet adds one to the number of sets of an owner. It locks the row of the owner, so that concurrent creations are counted one after
// the other. Error: sets.ErrMany.
func countSet(ctx context.Context, tx *store.Tx, whose string) error {
	if _, err := tx.Exec(ctx, `INSERT INTO search_set_owners (owner, sets) VALUES (?, 0) ON CONFLICT (owner) DO NOTHING`, whose); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `UPDATE search_set_owners SET sets = sets + 1 WHERE owner = ? AND sets < ?`, whose, sets.Most)
	if err == nil && n == 0 {
		return sets.ErrMany
	}
	return err
}

// replaceSet replaces the content of an existing set, whose row it locks.
func (s *Store) replaceSet(ctx context.Context, tx *store.Tx, want *sets.Set, readers string, over SetOver) error {
	of := []any{string(want.Kind), want.Tenant, want.Local}
	if _, err := tx.Exec(ctx, "UPDATE search_sets SET version = version WHERE "+ofSet, of...); err != nil {
		return err
	}
	var row setRow
	err := tx.Get(ctx, &row, selectSets+"WHERE "+ofSet, of...)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return sets.ErrStale
	case err != nil:
		return err
	case row.Owner != want.Owner:
		return sets.ErrTaken
	case over.Absent, over.Match != nil && !over.Match.Holds(row.Version):
		return sets.ErrStale
	}
	want.ID, want.Version = row.ID, row.Version+1
	_, err = tx.Exec(ctx, "UPDATE search_sets SET version = ?, body = ?, readers = ?, changed_at = ? WHERE "+ofSet,
		append([]any{want.Version, want.Body, readers, want.Changed.UnixMicro()}, of...)...)
	return err
}

// DeleteSet deletes a set. A later one of the same name is left alone. Error: sets.ErrGone.
func (s *Store) DeleteSet(ctx context.Context, set *sets.Set, e audit.Event) (err error) {
	defer tried.To(&err, "delete set")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		n, err := tx.Exec(ctx, "DELETE FROM search_sets WHERE "+ofSet+" AND id = ?", string(set.Kind), set.Tenant, set.Local, set.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return sets.ErrGone
		}
		if _, err := tx.Exec(ctx, `UPDATE search_set_owners SET sets = sets - 1 WHERE owner = ?`, set.Owner); err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
}

type attachedRow struct {
	Tenant, Name, Owner, Physical string
	ClaimedAt                     int64  `db:"claimed_at"`
	Synonyms                      string `db:"synonym_sets"`
	Curations                     string `db:"curation_sets"`
	Version                       int64  `db:"sets_version"`
}

const selectAttached = "SELECT tenant, name, owner, physical, claimed_at, synonym_sets, curation_sets, sets_version FROM collections WHERE "

func (r attachedRow) attached() (a sets.Attached, err error) {
	a = sets.Attached{
		Collection: &owner.Collection{Name: owner.Name{Tenant: r.Tenant, Local: r.Name}, Owner: r.Owner, Physical: r.Physical, Claimed: time.UnixMicro(r.ClaimedAt).UTC()},
		Version:    r.Version,
	}
	for text, into := range map[*string]*[]string{&r.Synonyms: &a.Synonyms, &r.Curations: &a.Curations} {
		if *text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(*text), into); err != nil {
			return a, fmt.Errorf("read sets of collection: %w", err)
		}
	}
	return a, nil
}

// AllAttached implements sets.Rows.
func (s *Store) AllAttached(ctx context.Context) (_ []sets.Attached, err error) {
	defer tried.To(&err, "list sets of collections")
	var rows []attachedRow
	if err := s.db.Read(ctx).Select(ctx, &rows, selectAttached+"made = 1 AND synonym_sets <> ''"); err != nil {
		return nil, err
	}
	out := make([]sets.Attached, len(rows))
	for i, r := range rows {
		if out[i], err = r.attached(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// AttachedTo returns the sets of a collection, and the rows of those that still exist by their IDs, without contents. Error: owner.ErrGone.
func (s *Store) AttachedTo(ctx context.Context, c *owner.Collection) (a sets.Attached, byID map[string]*sets.Set, err error) {
	defer tried.To(&err, "read sets of collection")
	var row attachedRow
	err = s.db.Read(ctx).Get(ctx, &row, selectAttached+ofCollection, key(c)...)
	if errors.Is(err, sql.ErrNoRows) {
		return a, nil, owner.ErrGone
	}
	if err != nil {
		return a, nil, err
	}
	if a, err = row.attached(); err != nil {
		return a, nil, err
	}
	byID = map[string]*sets.Set{}
	for _, wanted := range append(append([]string{}, a.Synonyms...), a.Curations...) {
		var found setRow
		err := s.db.Read(ctx).Get(ctx, &found, listSets+"WHERE id = ?", wanted)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return a, nil, err
		}
		if byID[wanted], err = found.set(); err != nil {
			return a, nil, err
		}
	}
	return a, byID, nil
}

// Attach sets which sets a collection uses, if the current version of that satisfies over. Errors: owner.ErrGone, sets.ErrStale.
func (s *Store) Attach(ctx context.Context, c *owner.Collection, synonyms, curations []string, over etag.Match, e audit.Event) (version int64, err error) {
	defer tried.To(&err, "store sets of collection")
	y, errY := json.Marshal(append([]string{}, synonyms...))
	u, errU := json.Marshal(append([]string{}, curations...))
	if err := errors.Join(errY, errU); err != nil {
		return 0, err
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.lock(ctx, tx, c); err != nil {
			return err
		}
		if err := tx.Get(ctx, &version, "SELECT sets_version FROM collections WHERE "+ofCollection, key(c)...); err != nil {
			return err
		}
		if !over.Holds(version) {
			return sets.ErrStale
		}
		version++
		if _, err := tx.Exec(ctx, "UPDATE collections SET synonym_sets = ?, curation_sets = ?, sets_version = ? WHERE "+ofCollection, append([]any{string(y), string(u), version}, key(c)...)...); err != nil {
			return err
		}
		return audit.Append(ctx, tx, e)
	})
	return version, err
}
