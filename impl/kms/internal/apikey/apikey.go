// Package apikey is the domain of API keys: who may create, see, rotate and revoke them, and how long they and their successors are valid.
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
	// DefaultLife is the lifetime of a key if none is requested.
	DefaultLife = 90 * 24 * time.Hour
	// MaxLife is the longest lifetime that can be requested.
	MaxLife = 365 * 24 * time.Hour
	// EnrolledLife is how long a service may keep rotating the key that it got by enrolment.
	EnrolledLife = 365 * 24 * time.Hour
	// MaxWorking is the limit of valid keys per owner.
	MaxWorking = 100
)

// Status is a key's state at a time; it is computed, never stored.
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
	Scopes                []string // sorted; for a key that follows its owner, filled in when it is read
	FollowsOwner          bool
	CreatedAt, ExpiresAt  time.Time
	LastUsedAt, RevokedAt time.Time // zero: never
	ReplacedBy            string

	Metadata map[string]string // defined by the owner
	Limit    RateLimit
	Uses     int64 // number of uses that have been written
	Version  int64

	ParentID     string        // the key that this one replaced; "" if it was not created by rotation
	RootID       string        // the first key of the lineage
	Life         time.Duration // lifetime of each key of the lineage
	GrantedUntil time.Time     // latest expiry granted to the lineage
}

// RateLimit bounds the uses of a key; the zero value is unlimited.
type RateLimit struct {
	Uses   int64 // per window
	Window time.Duration
}

// Environment returns the environment that the key's text names.
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

// Pepper computes the keyed hashes of keys; *seal.Keyset implements it.
type Pepper interface {
	Sum(data []byte) ([]byte, error)
	Sums(data []byte) ([][]byte, error)
}

// Rows are the queries of the domain. Keys from before a restore count as revoked.
type Rows interface {
	// Insert stores a key with the hash of its text.
	Insert(ctx context.Context, tx *store.Tx, k Key, hash []byte) error
	// Get returns the key with an ID.
	Get(ctx context.Context, q store.Querier, id string) (Key, bool, error)
	// List returns keys, newest first, starting after the key with ID before. An empty owner selects the keys of all owners.
	List(ctx context.Context, q store.Querier, owner authority.Ref, before string, limit int) ([]Key, error)
	// Update writes name, metadata and limit if the key is at version from; false otherwise.
	Update(ctx context.Context, tx *store.Tx, k Key, from int64) (bool, error)
	// Working returns the number of the owner's valid keys at the time.
	Working(ctx context.Context, q store.Querier, owner authority.Ref, at time.Time) (int, error)
	// Replace records that a valid key was replaced by successor, and sets its expiry to expires unless it expires earlier. It is false when the key is
	// not valid. It is also false when the key was already replaced, unless that was before patience; then the ID of the earlier successor is returned.
	Replace(ctx context.Context, tx *store.Tx, id, successor string, at, expires, patience time.Time) (Replacement, bool, error)
	// RevokeLineage revokes a key and all its descendants, and returns the IDs of those that it has revoked.
	RevokeLineage(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) ([]string, error)
	// Revoke revokes one key; false when it was already revoked.
	Revoke(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (bool, error)
	// RevokeUnused revokes a key that has never been used; false when it has been used.
	RevokeUnused(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (bool, error)
	// Sweep deletes at most limit keys that ended before the time, and returns how many.
	Sweep(ctx context.Context, tx *store.Tx, before time.Time, limit int) (int64, error)
}

// Replacement is the result of Replace.
type Replacement struct {
	OldExpires time.Time
	Prior      string // the old key's earlier successor; "" for none
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

// Standing returns what locks the callers of operations on keys.
func (s *Keys) Standing() *authority.Standing { return s.standing }

// Draft is a key to be created.
type Draft struct {
	Name      string
	Owner     authority.Ref // empty: the caller
	Scopes    []string
	ExpiresAt time.Time // zero: DefaultLife from now

	Environment keytext.Environment // "": Live
	Metadata    map[string]string
	Limit       RateLimit
}

// RequireStepUp returns an error unless the caller has just presented a second factor.
type RequireStepUp func() error

// Caller is the principal of an operation on keys, with the check of their second factor.
type Caller struct {
	*auth.Principal
	StepUp RequireStepUp
}

func (c Caller) ref() authority.Ref { return authority.Ref{Kind: c.Kind, ID: c.Subject} }

// permit refuses the act unless the table of grants allows it. hidden is the refusal for a caller who must not learn that the key exists.
func permit(c Caller, now authority.Owner, act authority.Act, owner authority.Owner, hidden error) error {
	p := authority.May(now, act, owner)
	if !p.Allowed {
		if now.HasRole(authority.RoleAdmin) { // administrators may see all keys, so they get the real reason
			return domain.Refuse(domain.Forbidden, "API keys of the family's services are created by enrolment and rotated only by the services themselves.")
		}
		return hidden
	}
	if p.StepUp {
		return c.StepUp()
	}
	return nil
}

// Create creates a key for an owner, if the table of grants allows it. Its scopes must be among the owner's. The owner's row is locked, so that
// the limit on its keys holds and no key is created while the owner is being disabled.
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
	if d.ExpiresAt, err = s.checkExpiry(d.ExpiresAt, now); err != nil {
		return Key{}, "", err
	}
	if !authority.Covers(owner.Scopes, d.Scopes) {
		return Key{}, "", scopesTooWide()
	}
	if err := s.checkLimit(ctx, tx, d.Owner, now); err != nil {
		return Key{}, "", err
	}
	k := Key{
		Name: d.Name, Owner: d.Owner, Tenant: owner.Tenant, Scopes: slices.Clone(d.Scopes), CreatedAt: now, ExpiresAt: d.ExpiresAt,
		Life: d.ExpiresAt.Sub(now), GrantedUntil: d.ExpiresAt, Metadata: d.Metadata, Limit: d.Limit,
		Start: cmp.Or(d.Environment, keytext.Live).Prefix(),
	}
	return s.make(ctx, tx, k)
}

// MayCreate locks the caller's rows and the owner's, checks that the caller may create such a key, and returns the owner. It fills in the draft's
// owner if it is empty.
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
	onlyAdmins := domain.Refuse(domain.Forbidden, "Only an administrator can create API keys for others.")
	if err := permit(caller, held.Caller, authority.CreateKey, owner, onlyAdmins); err != nil {
		return authority.Owner{}, err
	}
	if err := s.requireUnlimited(ctx, tx, caller); err != nil {
		return authority.Owner{}, err
	}
	switch {
	case !authority.Reaches(caller.Principal, held.Caller, d.Scopes):
		return authority.Owner{}, scopesTooWide()
	case !found:
		return authority.Owner{}, domain.Refuse(domain.NotFound, "There is no such owner.")
	case !owner.Active:
		return authority.Owner{}, domain.Refuse(domain.StateConflict, "The owner is disabled.")
	}
	return owner, nil
}

// requireUnlimited refuses a caller whose token was issued for a key with a rate limit, since the keys it created would not share that limit.
func (s *Keys) requireUnlimited(ctx context.Context, tx *store.Tx, caller Caller) error {
	if caller.SessionID != "" {
		return nil
	}
	k, _, err := s.rows.Get(ctx, tx, caller.ClientID)
	if err != nil {
		return fmt.Errorf("read the caller's key: %w", err)
	}
	if k.Limit.Uses > 0 {
		return domain.Refuse(domain.Forbidden, "An API key with a rate limit can't create API keys.")
	}
	return nil
}

// checkExpiry checks a requested expiry.
func (s *Keys) checkExpiry(at, now time.Time) (time.Time, error) {
	at = at.UTC().Truncate(time.Microsecond)
	if !at.After(now) || at.After(now.Add(MaxLife)) {
		return at, domain.Refuse(domain.ValidationFailed, "The API key must expire within the next 365 days.").
			WithField("body", "/expiresAt", "range", "must be in the future and at most 365 days ahead")
	}
	return at, nil
}

// checkLimit refuses an owner who already has MaxWorking valid keys. The caller has locked the owner's row.
func (s *Keys) checkLimit(ctx context.Context, tx *store.Tx, owner authority.Ref, now time.Time) error {
	n, err := s.rows.Working(ctx, tx, owner, now)
	if err != nil {
		return fmt.Errorf("count keys: %w", err)
	}
	if n >= MaxWorking {
		return domain.Refuse(domain.LimitReached, fmt.Sprintf("An owner has at most %d working API keys.", MaxWorking))
	}
	return nil
}

func scopesTooWide() error {
	return domain.Refuse(domain.ValidationFailed, "An API key can only have scopes that both its owner and the caller have.").
		WithField("body", "/scopes", "subset", "contains a scope that the owner or the caller does not have")
}

// Grant creates the key of a service that has just enrolled. The key always has its owner's current scopes, and the service may rotate it for
// EnrolledLife. The caller has locked the service's row.
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

// make generates the key's ID and text, and stores and records the key.
func (s *Keys) make(ctx context.Context, tx *store.Tx, k Key) (Key, string, error) {
	k, text := k.withText()
	if err := s.insert(ctx, tx, k, text); err != nil {
		return Key{}, "", err
	}
	return k, text, s.audit.Append(ctx, tx, auditlog.Event{Action: "createApiKey", Target: k.ID, Detail: auditlog.Granted(map[string]string{"owner": k.Owner.ID}, k.Scopes, nil)})
}

// withText returns the key with a new ID and text, for the environment that Start begins with. A key without a parent starts a lineage.
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

// withOwnerScopes fills in the scopes of a key that follows its owner.
func (s *Keys) withOwnerScopes(ctx context.Context, q store.Querier, k Key) (Key, error) {
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
	return s.withOwnerScopes(ctx, q, k)
}

// asOwner returns the caller as the token describes them. This is sufficient for reads, which do not lock the caller's row.
func asOwner(p *auth.Principal) authority.Owner {
	return authority.Owner{Ref: authority.Ref{Kind: p.Kind, ID: p.Subject}, Roles: p.Roles, Scopes: p.Scopes, Active: true}
}

const listName = "keys"

// List returns a page of the keys that the caller may see, newest first, and the cursor of the next page, or "". An administrator sees the keys of all owners,
// with a second factor, unless ownAlone is set.
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
		if keys[i], err = s.withOwnerScopes(ctx, s.db.Read(ctx), keys[i]); err != nil {
			return nil, "", err
		}
	}
	return keys, next, nil
}

// hold reads a key, locks the caller's rows and the key's owner, and checks that the caller may perform the act on the key.
func (s *Keys) hold(ctx context.Context, tx *store.Tx, caller Caller, act authority.Act, keyID string) (Key, authority.Held, error) {
	k, found, err := s.rows.Get(ctx, tx, keyID)
	if err != nil {
		return Key{}, authority.Held{}, fmt.Errorf("read key: %w", err)
	}
	if !found { // the caller is checked all the same
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

// Revoke permanently ends a key, every key that descends from it, and all their tokens, at once. The keys that it descends from stay valid. It returns the
// number of keys that it has revoked; repeating it is safe. A key that the caller may not see is domain.NotFound.
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
		return s.recordEnd(ctx, tx, "revokeApiKey", ids)
	})
	return n, err
}

// Retire ends one key that was rotated, before its overlap is over; its successors stay valid. A key that was not rotated is
// domain.StateConflict. Repeating it is safe.
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
		return s.recordEnd(ctx, tx, "retireApiKey", []string{keyID})
	})
}

// recordEnd records the end of keys and appends it to the revocation feed.
func (s *Keys) recordEnd(ctx context.Context, tx *store.Tx, action string, ids []string) error {
	for _, id := range ids {
		s.feed.Append(tx, ended.Key, id, 0)
		if err := s.audit.Append(ctx, tx, auditlog.Event{Action: action, Target: id}); err != nil {
			return fmt.Errorf("record the end of a key: %w", err)
		}
	}
	return nil
}

const (
	// Retention is how long a key that has ended can still be read.
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
