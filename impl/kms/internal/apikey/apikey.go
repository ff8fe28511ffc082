package apikey

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

// The lives of keys.
const (
	DefaultLife = 90 * 24 * time.Hour
	MaxLife     = 365 * 24 * time.Hour
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
	OwnerKind, OwnerID    string
	Scopes                []string // sorted; of a key that follows its owner: filled when it is shown
	FollowsOwner          bool
	CreatedAt, ExpiresAt  time.Time
	LastUsedAt, RevokedAt time.Time // zero: never
	ReplacedBy            string
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

// Rows is what the domain asks of the database. Keys from before a restore are revoked in its eyes.
type Rows interface {
	Insert(ctx context.Context, tx *store.Tx, k Key, hash []byte) error
	Get(ctx context.Context, q store.Querier, id string) (Key, bool, error)
	// ByHash finds the key that has one of the sums.
	ByHash(ctx context.Context, q store.Querier, hashes [][]byte) (Key, bool, error)
	// List returns keys, newest first, those before the given id; an empty owner id means everybody's.
	List(ctx context.Context, q store.Querier, ownerKind, ownerID, before string, limit int) ([]Key, error)
	// Replace makes a working key expire at the latest at expires, replaced by successor. It is false when the key does not work
	// any more, or was replaced before, unless that was before patience; then the earlier successor's id is returned.
	Replace(ctx context.Context, tx *store.Tx, id, successor string, at, expires, patience time.Time) (Replacement, bool, error)
	// Revoke ends a key; false when it was revoked already.
	Revoke(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (bool, error)
	// RevokeUnused ends a key that nobody has used; false when somebody has.
	RevokeUnused(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) (bool, error)
	// FirstUse notes the first use of a key; false when it does not work any more.
	FirstUse(ctx context.Context, tx *store.Tx, id string, at time.Time) (bool, error)
	// Used notes the last use of keys.
	Used(ctx context.Context, tx *store.Tx, at map[string]time.Time) error
}

// Replacement is what Replace did.
type Replacement struct {
	OldExpires time.Time
	Prior      string // the successor that the old key had before; "" when none
}

// Keys is the domain of API keys.
type Keys struct {
	db        *store.DB
	rows      Rows
	owners    Owners
	pepper    Pepper
	catalogue *authority.Catalogue
	audit     domain.AuditLog
	clock     clock.Clock
	uses      uses
}

// Owner is who a key belongs to.
type Owner struct {
	Kind, ID, Name string
	Active         bool
	Scopes         []string // what it may do now
	Roles          []string // of a user
}

// Owners finds owners.
type Owners interface {
	Find(ctx context.Context, q store.Querier, kind, id string) (Owner, bool, error)
}

// New returns the domain of API keys.
func New(db *store.DB, rows Rows, owners Owners, pepper Pepper, catalogue *authority.Catalogue, c clock.Clock) *Keys {
	return &Keys{db: db, rows: rows, owners: owners, pepper: pepper, catalogue: catalogue, audit: domain.AuditLog{Clock: c}, clock: c}
}

// Draft is a key to be made.
type Draft struct {
	Name               string
	OwnerKind, OwnerID string
	Scopes             []string
	ExpiresAt          time.Time // zero: DefaultLife from now
}

// Raise asks for a second factor: it refuses unless the caller has just shown one.
type Raise func() error

// foreign reports whether a key of this owner is more than the caller's own: whoever holds the key of a service, or of somebody else, can
// do without a second factor what the caller could not.
func foreign(caller *auth.Principal, ownerKind, ownerID string) bool {
	return ownerKind != caller.Kind || ownerID != caller.Subject
}

// MayCreate decides whether the caller may make such a key at all, before a stored answer may be told: others than administrators make
// keys for themselves alone; for another than the caller, raise decides; and a key begets no stronger one.
func (s *Keys) MayCreate(caller *auth.Principal, raise Raise, d Draft) error {
	if !mayManage(caller, d.OwnerKind, d.OwnerID) {
		return domain.Refuse(domain.Forbidden, "Only an administrator makes keys for others.")
	}
	if foreign(caller, d.OwnerKind, d.OwnerID) {
		if err := raise(); err != nil {
			return err
		}
	}
	if !reaches(caller, d.Scopes) {
		return beyond()
	}
	return nil
}

// reaches reports whether the caller has the scopes. A session stands for all that its user has; a token that a key gave has its own
// scopes alone.
func reaches(caller *auth.Principal, scopes []string) bool {
	return caller.SessionID != "" || authority.Covers(caller.Scopes, scopes)
}

func beyond() error {
	return domain.Refuse(domain.ValidationFailed, "The owner does not have all of the scopes.").
		WithField("body", "/scopes", "subset", "holds a scope that the owner or the caller does not have")
}

// Create makes a key for its owner, as far as MayCreate allows; its scopes are a part of the owner's.
func (s *Keys) Create(ctx context.Context, tx *store.Tx, caller *auth.Principal, raise Raise, d Draft) (Key, string, error) {
	if err := s.MayCreate(caller, raise, d); err != nil {
		return Key{}, "", err
	}
	owner, found, err := s.owners.Find(ctx, tx, d.OwnerKind, d.OwnerID)
	if err != nil {
		return Key{}, "", err
	}
	if !found {
		return Key{}, "", domain.Refuse(domain.NotFound, "There is no such owner.")
	}
	if !owner.Active {
		return Key{}, "", domain.Refuse(domain.StateConflict, "The owner is disabled.")
	}
	now := domain.Now(s.clock)
	if d.ExpiresAt.IsZero() {
		d.ExpiresAt = now.Add(DefaultLife)
	}
	d.ExpiresAt = d.ExpiresAt.UTC().Truncate(time.Microsecond)
	if !d.ExpiresAt.After(now) || d.ExpiresAt.After(now.Add(MaxLife)) {
		return Key{}, "", domain.Refuse(domain.ValidationFailed, "The key's end is not within the next 365 days.").
			WithField("body", "/expiresAt", "range", "must be in the future and at most 365 days ahead")
	}
	if !authority.Covers(owner.Scopes, d.Scopes) {
		return Key{}, "", beyond()
	}
	k := Key{
		Name: d.Name, OwnerKind: d.OwnerKind, OwnerID: d.OwnerID, Scopes: slices.Clone(d.Scopes),
		CreatedAt: now, ExpiresAt: d.ExpiresAt,
	}
	return s.make(ctx, tx, k)
}

// Grant makes a key that has whatever scopes its owner has at the time.
func (s *Keys) Grant(ctx context.Context, tx *store.Tx, ownerKind, ownerID, name string) (Key, string, error) {
	now := domain.Now(s.clock)
	k := Key{Name: name, OwnerKind: ownerKind, OwnerID: ownerID, FollowsOwner: true, CreatedAt: now, ExpiresAt: now.Add(DefaultLife)}
	k, text, err := s.make(ctx, tx, k)
	if err != nil {
		return Key{}, "", err
	}
	k, err = s.shown(ctx, tx, k)
	return k, text, err
}

// make gives the key its id and text, stores and records it.
func (s *Keys) make(ctx context.Context, tx *store.Tx, k Key) (Key, string, error) {
	k, text := k.withText()
	if err := s.insert(ctx, tx, k, text); err != nil {
		return Key{}, "", err
	}
	return k, text, s.audit.Append(ctx, tx, domain.Event{Action: "createApiKey", Target: k.ID, Detail: map[string]string{"owner": k.OwnerID}})
}

// withText gives the key a new id and text.
func (k Key) withText() (Key, string) {
	keyID, text := newText()
	k.ID, k.Start = keyID, text[:startLen]
	k.Scopes = slices.Clone(k.Scopes)
	sort.Strings(k.Scopes)
	return k, text
}

func (s *Keys) insert(ctx context.Context, tx *store.Tx, k Key, text string) error {
	hash, err := s.pepper.Sum([]byte(text))
	if err != nil {
		return err
	}
	return s.rows.Insert(ctx, tx, k, hash)
}

// mayManage reports whether the caller may make, see and end keys of this owner.
func mayManage(caller *auth.Principal, ownerKind, ownerID string) bool {
	return caller.HasRole(authority.RoleAdmin) || (ownerKind == caller.Kind && ownerID == caller.Subject)
}

// shown fills the scopes of a key that follows its owner.
func (s *Keys) shown(ctx context.Context, q store.Querier, k Key) (Key, error) {
	if !k.FollowsOwner {
		return k, nil
	}
	owner, _, err := s.owners.Find(ctx, q, k.OwnerKind, k.OwnerID)
	k.Scopes = owner.Scopes
	return k, err
}

// Get returns a key that the caller may see; not_found otherwise.
func (s *Keys) Get(ctx context.Context, caller *auth.Principal, keyID string) (Key, error) {
	k, found, err := s.rows.Get(ctx, s.db.Read(ctx), keyID)
	if err != nil {
		return Key{}, err
	}
	if !found || !mayManage(caller, k.OwnerKind, k.OwnerID) {
		return Key{}, notFound()
	}
	return s.shown(ctx, s.db.Read(ctx), k)
}

const listName = "keys"

// List returns a page of the keys that the caller may see, newest first, and the cursor of the next one, or "".
func (s *Keys) List(ctx context.Context, caller *auth.Principal, cursor string, limit int) ([]Key, string, error) {
	var before string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &before); err != nil {
			return nil, "", err
		}
	}
	ownerKind, ownerID := caller.Kind, caller.Subject
	if caller.HasRole(authority.RoleAdmin) {
		ownerKind, ownerID = "", ""
	}
	keys, err := s.rows.List(ctx, s.db.Read(ctx), ownerKind, ownerID, before, limit+1)
	if err != nil {
		return nil, "", err
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

// Revoke ends a key at once and for ever; repeating is safe. A key that the caller may not see is not_found.
func (s *Keys) Revoke(ctx context.Context, caller *auth.Principal, keyID string) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		k, found, err := s.rows.Get(ctx, tx, keyID)
		if err != nil {
			return err
		}
		if !found || !mayManage(caller, k.OwnerKind, k.OwnerID) {
			return notFound()
		}
		revoked, err := s.rows.Revoke(ctx, tx, keyID, domain.Now(s.clock), "revoked")
		if err != nil || !revoked {
			return err
		}
		return s.audit.Append(ctx, tx, domain.Event{Action: "revokeApiKey", Target: keyID})
	})
}

func notFound() error { return domain.Refuse(domain.NotFound, "There is no such key.") }
