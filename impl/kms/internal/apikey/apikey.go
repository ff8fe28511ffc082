// Package apikey keeps API keys: who may make, see, rotate and end them, and how long they and their successors live.
package apikey

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/keytext"
	"github.com/fountainai/fountain/internal/page"
	ended "github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

const (
	// DefaultLife is how long a key lives where nothing else is asked for.
	DefaultLife = 90 * 24 * time.Hour
	// MaxLife is the longest life that can be granted.
	MaxLife = 365 * 24 * time.Hour
	// EnrolledLife is how long a service may go on by rotating the key that it got by enrolment.
	EnrolledLife = 365 * 24 * time.Hour
	// MaxWorking is how many keys of one owner work at a time.
	MaxWorking = 100
)

// Status is what a key is at a time; it is never stored.
type Status string

// The states of a key.
const (
	Active   Status = "active"
	Expiring Status = "expiring" // replaced, and working until ExpiresAt
	Revoked  Status = "revoked"
	Expired  Status = "expired"
)

// Key is an API key without its text.
type Key struct {
	ID, Name, Start       string
	Owner                 authority.Ref
	Tenant                string   // the owner's; "": the default one
	Scopes                []string // sorted; of a key that follows its owner: filled when it is shown
	FollowsOwner          bool
	CreatedAt, ExpiresAt  time.Time
	LastUsedAt, RevokedAt time.Time // zero: never
	ReplacedBy            string

	Metadata map[string]string // words of the owner's own
	Limit    RateLimit
	Uses     int64 // how often it was used, as far as that is written
	Version  int64

	ParentID     string        // the key that this one replaced; "" when it was not made by rotation
	RootID       string        // the first key of the lineage
	Life         time.Duration // that a key of the lineage is made to live
	GrantedUntil time.Time     // the end that was granted to the lineage
}

// RateLimit bounds how often a key is used; zero: it is not bounded.
type RateLimit struct {
	Uses   int64 // in a window
	Window time.Duration
}

// Environment is what the key's text says it is for.
func (k Key) Environment() keytext.Environment {
	e, _ := keytext.EnvironmentOf(k.Start)
	return e
}

// Status returns the key's status at a time.
func (k Key) Status(now time.Time) Status {
	switch {
	case !k.RevokedAt.IsZero():
		return Revoked
	case !now.Before(k.ExpiresAt):
		return Expired
	case k.ReplacedBy != "":
		return Expiring
	}
	return Active
}

// Pepper sums keys; *seal.Keyset is one.
type Pepper interface {
	Sum(data []byte) ([]byte, error)
	Sums(data []byte) ([][]byte, error)
}

// Rows is what the domain asks of the database. Keys from before a restore count as revoked.
type Rows interface {
	// Insert adds a key with the sum of its text.
	Insert(ctx context.Context, tx *store.Tx, k Key, hash []byte) error
	// Get finds a key by id.
	Get(ctx context.Context, q store.Querier, id string) (Key, bool, error)
	// List returns keys, newest first, those before the given id; an empty owner means everybody's.
	List(ctx context.Context, q store.Querier, owner authority.Ref, before string, limit int) ([]Key, error)
	// Update writes name, metadata and limit over the version from; false when that is not the version any more.
	Update(ctx context.Context, tx *store.Tx, k Key, from int64) (bool, error)
	// Working counts the owner's keys that work at the time.
	Working(ctx context.Context, q store.Querier, owner authority.Ref, at time.Time) (int, error)
	// Replace makes a working key expire at the latest at expires, replaced by successor. It is false when the key does not work any more, or
	// was replaced before, unless that was before patience; then the earlier successor's id is returned.
	Replace(ctx context.Context, tx *store.Tx, id, successor string, at, expires, patience time.Time) (Replacement, bool, error)
	// RevokeLineage ends a key and all that descend from it, and returns the ids of those that were not revoked before.
	RevokeLineage(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) ([]string, error)
	// Revoke ends one key; false when it was revoked before.
	Revoke(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (bool, error)
	// RevokeUnused ends a key that nobody has used; false when somebody has.
	RevokeUnused(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (bool, error)
	// Sweep deletes keys that ended before the time, at most limit of them, and returns how many.
	Sweep(ctx context.Context, tx *store.Tx, before time.Time, limit int) (int64, error)
}

// Replacement is what Replace did.
type Replacement struct {
	OldExpires time.Time
	Prior      string // the successor that the old key had before; "" when none
}

// Keys is the domain of API keys.
type Keys struct {
	db       *store.DB
	rows     Rows
	standing *authority.Standing
	pepper   Pepper
	feed     *revocation.Feed
	audit    auditlog.Log
	clock    clock.Clock
}

// New returns the domain of API keys.
func New(db *store.DB, rows Rows, standing *authority.Standing, pepper Pepper, feed *revocation.Feed, c clock.Clock) *Keys {
	return &Keys{db: db, rows: rows, standing: standing, pepper: pepper, feed: feed, audit: auditlog.Log{Clock: c}, clock: c}
}

// Standing is what the callers of operations on keys are held by.
func (s *Keys) Standing() *authority.Standing { return s.standing }

// Draft is a key to be made.
type Draft struct {
	Name      string
	Owner     authority.Ref // empty: the caller
	Scopes    []string
	ExpiresAt time.Time // zero: DefaultLife from now

	Environment keytext.Environment // "": Live
	Metadata    map[string]string
	Limit       RateLimit
}

// RequireStepUp asks for a second factor: it refuses unless the caller has just shown one.
type RequireStepUp func() error

// Caller is who asks, and how a second factor is asked of them.
type Caller struct {
	*auth.Principal
	StepUp RequireStepUp
}

func (c Caller) ref() authority.Ref { return authority.Ref{Kind: c.Kind, ID: c.Subject} }

// permit refuses unless the table of grants lets the caller do the act with a key of the owner. hidden is the refusal for a caller who must
// not learn that there is such a key.
func permit(c Caller, now authority.Owner, act authority.Act, owner authority.Owner, hidden error) error {
	p := authority.May(now, act, owner)
	if !p.Allowed {
		if now.HasRole(authority.RoleAdmin) { // who may see all keys learns the true reason
			return domain.Refuse(domain.Forbidden, "Keys of the family's services come by enrolment and are rotated by the services alone.")
		}
		return hidden
	}
	if p.StepUp {
		return c.StepUp()
	}
	return nil
}

// Create makes a key for its owner, as far as the table of grants allows; its scopes are a part of the owner's. The owner's row is locked, so
// that the bound on its keys holds and no key is made beside the owner's end.
func (s *Keys) Create(ctx context.Context, tx *store.Tx, caller Caller, d Draft) (_ Key, _ string, err error) {
	defer tried.To(&err, "create key")
	owner, err := s.MayCreate(ctx, tx, caller, &d)
	if err != nil {
		return Key{}, "", err
	}
	now := domain.Now(s.clock)
	if d.ExpiresAt.IsZero() {
		d.ExpiresAt = now.Add(DefaultLife)
	}
	if d.ExpiresAt, err = s.end(d.ExpiresAt, now); err != nil {
		return Key{}, "", err
	}
	if !authority.Covers(owner.Scopes, d.Scopes) {
		return Key{}, "", beyond()
	}
	if err := s.room(ctx, tx, d.Owner, now); err != nil {
		return Key{}, "", err
	}
	k := Key{
		Name: d.Name, Owner: d.Owner, Tenant: owner.Tenant, Scopes: slices.Clone(d.Scopes), CreatedAt: now, ExpiresAt: d.ExpiresAt,
		Life: d.ExpiresAt.Sub(now), GrantedUntil: d.ExpiresAt, Metadata: d.Metadata, Limit: d.Limit,
		Start: cmp.Or(d.Environment, keytext.Live).Prefix(),
	}
	return s.make(ctx, tx, k)
}

// MayCreate holds what the caller stands on and the owner's row, decides whether the caller may make such a key, and returns the owner. It
// completes the draft.
func (s *Keys) MayCreate(ctx context.Context, tx *store.Tx, caller Caller, d *Draft) (authority.Owner, error) {
	if d.Owner == (authority.Ref{}) {
		d.Owner = caller.ref()
	}
	held, err := s.standing.Hold(ctx, tx, caller.Principal, d.Owner)
	if err != nil {
		return authority.Owner{}, err
	}
	owner, found := held.Owner(d.Owner)
	owner.Ref = d.Owner
	onlyAdmins := domain.Refuse(domain.Forbidden, "Only an administrator makes keys for others.")
	if err := permit(caller, held.Caller, authority.CreateKey, owner, onlyAdmins); err != nil {
		return authority.Owner{}, err
	}
	if err := s.unlimited(ctx, tx, caller); err != nil {
		return authority.Owner{}, err
	}
	switch {
	case !authority.Reaches(caller.Principal, held.Caller, d.Scopes):
		return authority.Owner{}, beyond()
	case !found:
		return authority.Owner{}, domain.Refuse(domain.NotFound, "There is no such owner.")
	case !owner.Active:
		return authority.Owner{}, domain.Refuse(domain.StateConflict, "The owner is disabled.")
	}
	return owner, nil
}

// unlimited refuses a caller whose token was issued for a key with a rate limit: the keys that it made would have none.
func (s *Keys) unlimited(ctx context.Context, tx *store.Tx, caller Caller) error {
	if caller.SessionID != "" {
		return nil
	}
	k, _, err := s.rows.Get(ctx, tx, caller.ClientID)
	if err != nil {
		return fmt.Errorf("read the caller's key: %w", err)
	}
	if k.Limit.Uses > 0 {
		return domain.Refuse(domain.Forbidden, "A key with a rate limit makes no keys.")
	}
	return nil
}

// end checks a key's end that a caller asks for.
func (s *Keys) end(at, now time.Time) (time.Time, error) {
	at = at.UTC().Truncate(time.Microsecond)
	if !at.After(now) || at.After(now.Add(MaxLife)) {
		return at, domain.Refuse(domain.ValidationFailed, "The key's end is not within the next 365 days.").
			WithField("body", "/expiresAt", "range", "must be in the future and at most 365 days ahead")
	}
	return at, nil
}

// room refuses an owner who has as many working keys as one may have. The owner's row is locked.
func (s *Keys) room(ctx context.Context, tx *store.Tx, owner authority.Ref, now time.Time) error {
	n, err := s.rows.Working(ctx, tx, owner, now)
	if err != nil {
		return fmt.Errorf("count keys: %w", err)
	}
	if n >= MaxWorking {
		return domain.Refuse(domain.LimitReached, fmt.Sprintf("An owner has at most %d keys that work.", MaxWorking))
	}
	return nil
}

func beyond() error {
	return domain.Refuse(domain.ValidationFailed, "A key's scopes are a part of what its owner and its maker may do.").
		WithField("body", "/scopes", "subset", "holds a scope that the owner or the caller does not have")
}

// Grant makes the key of a service that has just enrolled: it has whatever scopes its owner has at the time, and may be rotated by the
// service until EnrolledLife is over. The caller holds the service's row.
func (s *Keys) Grant(ctx context.Context, tx *store.Tx, owner authority.Owner, name string) (_ Key, _ string, err error) {
	defer tried.To(&err, "grant key")
	now := domain.Now(s.clock)
	k, text, err := s.make(ctx, tx, Key{
		Name: name, Owner: owner.Ref, Tenant: owner.Tenant, Start: keytext.Live.Prefix(), FollowsOwner: true, CreatedAt: now, ExpiresAt: now.Add(DefaultLife),
		Life: DefaultLife, GrantedUntil: now.Add(EnrolledLife),
	})
	k.Scopes = owner.Scopes
	return k, text, err
}

// make gives the key its id and text, stores and records it.
func (s *Keys) make(ctx context.Context, tx *store.Tx, k Key) (Key, string, error) {
	k, text := k.withText()
	if err := s.insert(ctx, tx, k, text); err != nil {
		return Key{}, "", err
	}
	return k, text, s.audit.Append(ctx, tx, auditlog.Event{Action: "createApiKey", Target: k.ID, Detail: auditlog.Granted(map[string]string{"owner": k.Owner.ID}, k.Scopes, nil)})
}

// withText gives the key a new id and text, of the environment that Start begins with. A key without a parent begins a lineage.
func (k Key) withText() (Key, string) {
	keyID, text := keytext.New(k.Environment())
	k.Uses, k.Version = 0, 1
	k.ID, k.Start = keyID, keytext.Start(text)
	if k.ParentID == "" {
		k.RootID = keyID
	}
	k.Scopes = slices.Clone(k.Scopes)
	sort.Strings(k.Scopes)
	return k, text
}

func (s *Keys) insert(ctx context.Context, tx *store.Tx, k Key, text string) error {
	hash, err := s.pepper.Sum([]byte(text))
	if err != nil {
		return fmt.Errorf("hash key: %w", err)
	}
	if err := s.rows.Insert(ctx, tx, k, hash); err != nil {
		return fmt.Errorf("store key: %w", err)
	}
	return nil
}

// shown fills the scopes of a key that follows its owner.
func (s *Keys) shown(ctx context.Context, q store.Querier, k Key) (Key, error) {
	if !k.FollowsOwner {
		return k, nil
	}
	owner, _, err := s.standing.Rows.Owner(ctx, q, k.Owner, authority.Unlocked)
	if err != nil {
		return k, fmt.Errorf("read the key's owner: %w", err)
	}
	k.Scopes = owner.Scopes
	return k, nil
}

// Get returns a key that the caller may see; domain.NotFound otherwise.
func (s *Keys) Get(ctx context.Context, caller Caller, keyID string) (_ Key, err error) {
	defer tried.To(&err, "get key")
	q := s.db.Read(ctx)
	k, found, err := s.rows.Get(ctx, q, keyID)
	if err != nil {
		return Key{}, fmt.Errorf("read key: %w", err)
	}
	if !found {
		return Key{}, notFound()
	}
	owner, _, err := s.standing.Rows.Owner(ctx, q, k.Owner, authority.Unlocked)
	if err != nil {
		return Key{}, fmt.Errorf("read the key's owner: %w", err)
	}
	owner.Ref = k.Owner
	if err := permit(caller, asOwner(caller.Principal), authority.SeeKey, owner, notFound()); err != nil {
		return Key{}, err
	}
	return s.shown(ctx, q, k)
}

// asOwner is what the token says of the caller: enough for reading descriptions.
func asOwner(p *auth.Principal) authority.Owner {
	return authority.Owner{Ref: authority.Ref{Kind: p.Kind, ID: p.Subject}, Roles: p.Roles, Scopes: p.Scopes, Active: true}
}

const listName = "keys"

// List returns a page of the keys that the caller may see, newest first, and the cursor of the next one, or "". An administrator who does not
// ask for their own alone sees all, with a second factor.
func (s *Keys) List(ctx context.Context, caller Caller, ownAlone bool, cursor string, limit int) (_ []Key, _ string, err error) {
	defer tried.To(&err, "list keys")
	var before string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &before); err != nil {
			return nil, "", err
		}
	}
	owner := caller.ref()
	if caller.HasRole(authority.RoleAdmin) && !ownAlone {
		if err := caller.StepUp(); err != nil {
			return nil, "", err
		}
		owner = authority.Ref{}
	}
	keys, err := s.rows.List(ctx, s.db.Read(ctx), owner, before, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list keys: %w", err)
	}
	next := ""
	if len(keys) > limit {
		keys = keys[:limit]
		next = page.Encode(listName, keys[limit-1].ID)
	}
	for i := range keys {
		if keys[i], err = s.shown(ctx, s.db.Read(ctx), keys[i]); err != nil {
			return nil, "", err
		}
	}
	return keys, next, nil
}

// hold reads a key and holds what the caller stands on and the key's owner, for an act of the caller.
func (s *Keys) hold(ctx context.Context, tx *store.Tx, caller Caller, act authority.Act, keyID string) (Key, authority.Held, error) {
	k, found, err := s.rows.Get(ctx, tx, keyID)
	if err != nil {
		return Key{}, authority.Held{}, fmt.Errorf("read key: %w", err)
	}
	if !found { // the caller is judged all the same
		k.Owner = caller.ref()
	}
	held, err := s.standing.Hold(ctx, tx, caller.Principal, k.Owner)
	if err != nil {
		return Key{}, held, err
	}
	if !found {
		return Key{}, held, notFound()
	}
	owner, _ := held.Owner(k.Owner)
	owner.Ref = k.Owner
	return k, held, permit(caller, held.Caller, act, owner, notFound())
}

// Revoke ends a key, every key that descends from it, and all their tokens, at once and for ever; the keys that it descends from go on. It
// returns how many keys were ended; repeating is safe. A key that the caller may not see is domain.NotFound.
func (s *Keys) Revoke(ctx context.Context, caller Caller, keyID string) (n int, err error) {
	defer tried.To(&err, "revoke key")
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := s.hold(ctx, tx, caller, authority.RevokeKey, keyID); err != nil {
			return err
		}
		ids, err := s.rows.RevokeLineage(ctx, tx, keyID, domain.Now(s.clock), "revoked")
		if err != nil {
			return fmt.Errorf("revoke key: %w", err)
		}
		n = len(ids)
		return s.tell(ctx, tx, "revokeApiKey", ids)
	})
	return n, err
}

// Retire ends one key that was rotated, before its overlap is over; its successors go on. A key that was not rotated is
// domain.StateConflict. Repeating is safe.
func (s *Keys) Retire(ctx context.Context, caller Caller, keyID string) (err error) {
	defer tried.To(&err, "retire key")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		k, _, err := s.hold(ctx, tx, caller, authority.RevokeKey, keyID)
		if err != nil {
			return err
		}
		if k.ReplacedBy == "" {
			return domain.Refuse(domain.StateConflict, "Only a key that was rotated can be retired; revoke it instead.")
		}
		retired, err := s.rows.Revoke(ctx, tx, keyID, domain.Now(s.clock), "retired")
		if err != nil {
			return fmt.Errorf("retire key: %w", err)
		}
		if !retired {
			return nil
		}
		return s.tell(ctx, tx, "retireApiKey", []string{keyID})
	})
}

// tell records the end of keys and puts it into the feed.
func (s *Keys) tell(ctx context.Context, tx *store.Tx, action string, ids []string) error {
	for _, id := range ids {
		s.feed.Append(tx, ended.Key, id, 0)
		if err := s.audit.Append(ctx, tx, auditlog.Event{Action: action, Target: id}); err != nil {
			return fmt.Errorf("record the end of a key: %w", err)
		}
	}
	return nil
}

const (
	// Retention is how long a key that has ended stays to be seen.
	Retention  = 30 * 24 * time.Hour
	sweepLimit = 1000
)

// Sweep deletes keys that ended longer than Retention ago and returns how many.
func (s *Keys) Sweep(ctx context.Context) (deleted int64, err error) {
	defer tried.To(&err, "delete old keys")
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		deleted, err = s.rows.Sweep(ctx, tx, s.clock.Now().Add(-Retention), sweepLimit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweep keys: %w", err)
	}
	return deleted, nil
}

func notFound() error { return domain.Refuse(domain.NotFound, "There is no such key.") }
