package keyring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/vault"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

const (
	// MaxKeyrings is the limit of keyrings.
	MaxKeyrings = 200
	// MaxKeys is the limit of keys of a keyring, and so of its rotations.
	MaxKeys = 10_000
	// SafeUses is how many times an AES-GCM key with random nonces may encrypt (NIST SP 800-38D, section 8.3).
	SafeUses = 1 << 32
	// DefaultUses is the default number of encryptions after which a key is replaced.
	DefaultUses = 1 << 31
	// TendPause is the interval at which keys are rewrapped and keyrings deleted.
	TendPause = 5 * time.Second
	// DeletionWait is how long a keyring can be restored after its deletion was requested.
	DeletionWait = 7 * 24 * time.Hour

	batch = 20 // keys rewrapped and keyrings deleted per call of Tend
)

// Keyring is a named sequence of keys of one algorithm.
type Keyring struct {
	ID         string
	Name       string
	Algorithm  Algorithm
	Version    int64 // of the keyring's settings
	Current    int64 // number of the key that encrypts, sums and signs
	MinVersion int64 // the lowest key number that still opens and verifies
	MaxUses    int64 // encryptions after which a key is replaced
	Services   []string
	CreatedAt  time.Time
	RotatedAt  time.Time
	DeleteAt   time.Time // zero: no deletion is scheduled
	Keys       []Key     // newest first; only Get fills them in
}

// Key is one key of a keyring.
type Key struct {
	Number    int64
	Public    []byte // empty for symmetric keys
	Uses      int64  // reserved encryptions
	Sealed    []byte
	WrappedBy uint32
	CreatedAt time.Time
}

// Wrapped is a key with the ID of its keyring.
type Wrapped struct {
	KeyringID string
	Key
}

// Rows are the queries for keyrings.
type Rows interface {
	// Insert stores a keyring; false when its name is taken or there already are max of them.
	Insert(ctx context.Context, tx *store.Tx, k Keyring, max int) (bool, error)
	// Find returns the keyring with a name.
	Find(ctx context.Context, q store.Querier, name string) (Keyring, bool, error)
	// Lock is Find, and locks the row until the transaction ends.
	Lock(ctx context.Context, tx *store.Tx, name string) (Keyring, bool, error)
	// Update stores all mutable fields of a keyring. The caller has locked it.
	Update(ctx context.Context, tx *store.Tx, k Keyring) error
	// List returns at most limit keyrings by name, starting after the given name.
	List(ctx context.Context, q store.Querier, after string, limit int) ([]Keyring, error)
	// InsertKey stores a key.
	InsertKey(ctx context.Context, tx *store.Tx, keyringID string, k Key) error
	// Key returns a key.
	Key(ctx context.Context, q store.Querier, keyringID string, number int64) (Key, bool, error)
	// Keys returns at most limit keys, newest first.
	Keys(ctx context.Context, q store.Querier, keyringID string, limit int) ([]Key, error)
	// Reserve adds n to a key's uses unless the total would exceed max; then it is false.
	Reserve(ctx context.Context, tx *store.Tx, keyringID string, number, n, max int64) (bool, error)
	// WrappedByOthers returns at most limit keys that are sealed by another key of the wrapping keyset than primary.
	WrappedByOthers(ctx context.Context, q store.Querier, primary uint32, limit int) ([]Wrapped, error)
	// Rewrap stores a key sealed again, if it is still sealed by from.
	Rewrap(ctx context.Context, tx *store.Tx, keyringID string, number int64, from, to uint32, sealed []byte) error
	// DeleteDue deletes keyrings whose deletion is due, with their keys, and returns their names.
	DeleteDue(ctx context.Context, tx *store.Tx, at time.Time, limit int) ([]string, error)
	// ServiceNamed reports whether a service has or had the name.
	ServiceNamed(ctx context.Context, q store.Querier, name string) (bool, error)
}

// Keyrings is the domain of keyrings.
type Keyrings struct {
	db       *store.DB
	rows     Rows
	vault    *vault.Vault
	standing *authority.Standing
	audit    auditlog.Log
	clock    clock.Clock

	mu     sync.Mutex
	blocks map[string]block // uses that this process has reserved and not made, by the keyring's ID
}

// block has the reserved uses of one key, and the key's maximum at the time of the reservation.
type block struct{ number, left, max int64 }

// New returns the domain of keyrings.
func New(db *store.DB, rows Rows, v *vault.Vault, standing *authority.Standing, c clock.Clock) *Keyrings {
	return &Keyrings{db: db, rows: rows, vault: v, standing: standing, audit: auditlog.Log{Clock: c}, clock: c, blocks: map[string]block{}}
}

// Draft is a keyring to be created.
type Draft struct {
	Name      string
	Algorithm Algorithm
	MaxUses   int64 // 0: DefaultUses
	Services  []string
}

// Create creates a keyring with one key. A name that a keyring or service has is domain.AlreadyExists; beyond MaxKeyrings it is domain.LimitReached.
func (s *Keyrings) Create(ctx context.Context, caller *auth.Principal, d Draft) (made Keyring, err error) {
	defer tried.To(&err, "create keyring")
	now := domain.Now(s.clock)
	made = Keyring{
		ID: id.New("ring"), Name: d.Name, Algorithm: d.Algorithm, Version: 1, Current: 1, MinVersion: 1, MaxUses: d.MaxUses, Services: sorted(d.Services), CreatedAt: now, RotatedAt: now,
	}
	if made.MaxUses == 0 {
		made.MaxUses = DefaultUses
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		if err := s.insert(ctx, tx, made); err != nil {
			return err
		}
		if err := s.addKey(ctx, tx, made); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "createKeyring", Target: d.Name, Detail: map[string]string{
			"algorithm": string(d.Algorithm), "services": strings.Join(made.Services, " "),
		}})
	})
	return made, err
}

func (s *Keyrings) insert(ctx context.Context, tx *store.Tx, made Keyring) error {
	taken, err := s.rows.ServiceNamed(ctx, tx, made.Name)
	if err != nil {
		return err
	}
	if !taken {
		stored, err := s.rows.Insert(ctx, tx, made, MaxKeyrings)
		if err != nil || stored {
			return err
		}
		if _, taken, err = s.rows.Find(ctx, tx, made.Name); err != nil {
			return err
		}
	}
	if taken {
		return domain.Refuse(domain.AlreadyExists, "A keyring or a service has this name.")
	}
	return domain.Refuse(domain.LimitReached, fmt.Sprintf("There are at most %d keyrings.", MaxKeyrings))
}

func sorted(names []string) []string {
	out := slices.Sorted(slices.Values(names))
	return slices.Compact(out)
}

// addKey creates and stores the key with the keyring's current number.
func (s *Keyrings) addKey(ctx context.Context, tx *store.Tx, k Keyring) error {
	private, public, err := newKey(k.Algorithm)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	sealed, by, err := s.vault.Wrap(ctx, tx, private, wrapAAD(k.ID, k.Current))
	if err != nil {
		return err
	}
	return s.rows.InsertKey(ctx, tx, k.ID, Key{Number: k.Current, Public: public, Sealed: sealed, WrappedBy: by, CreatedAt: k.RotatedAt})
}

func wrapAAD(keyringID string, number int64) []byte {
	return fmt.Appendf(nil, "keyring key:%s:%d", keyringID, number)
}

const listName = "keyrings"

// List returns a page of keyrings by name, and the cursor of the next page, or "". The reading is recorded in the audit trail.
func (s *Keyrings) List(ctx context.Context, caller *auth.Principal, cursor string, limit int) (found []Keyring, next string, err error) {
	defer tried.To(&err, "list keyrings")
	var after string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if err := s.standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		if found, err = s.rows.List(ctx, tx, after, limit+1); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "listKeyrings"})
	})
	if err != nil || len(found) <= limit {
		return found, "", err
	}
	found = found[:limit]
	return found, page.Encode(listName, found[limit-1].Name), nil
}

const shownKeys = 100 // the most keys that Get returns

// Get returns a keyring with its newest keys. A missing keyring and one that the caller may not use are the same domain.NotFound.
func (s *Keyrings) Get(ctx context.Context, caller *auth.Principal, name string) (found Keyring, err error) {
	defer tried.To(&err, "get keyring")
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if found, err = s.allowed(ctx, tx, caller, name); err != nil {
			return err
		}
		if found.Keys, err = s.rows.Keys(ctx, tx, found.ID, shownKeys); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "getKeyring", Target: name})
	})
	return found, err
}

// Change is a partial update of a keyring; nil fields stay as they are.
type Change struct {
	MinVersion *int64
	MaxUses    *int64
	Services   []string // nil: unchanged
}

// Update changes a keyring if over holds for its version (else domain.PreconditionFailed). A minimum version above the current key or below the present minimum
// is domain.ValidationFailed.
func (s *Keyrings) Update(ctx context.Context, caller *auth.Principal, name string, over etag.Match, c Change) (Keyring, error) {
	return s.change(ctx, caller, "updateKeyring", name, func(_ context.Context, _ *store.Tx, k *Keyring) error {
		if !over.Holds(k.Version) {
			return domain.Refuse(domain.PreconditionFailed, "The keyring is not at the version that was asked for.")
		}
		if c.MinVersion != nil {
			if *c.MinVersion < k.MinVersion || *c.MinVersion > k.Current {
				return domain.Refuse(domain.ValidationFailed, "Keys are given up in order, and the current one never.").
					WithField("body", "/minVersion", "range", "must be from the present one up to the current key")
			}
			k.MinVersion = *c.MinVersion
		}
		if c.MaxUses != nil {
			k.MaxUses = *c.MaxUses
		}
		if c.Services != nil {
			k.Services = sorted(c.Services)
		}
		return nil
	})
}

// Rotate adds a key to a keyring, which encrypts, sums and signs from now on.
func (s *Keyrings) Rotate(ctx context.Context, caller *auth.Principal, name string) (Keyring, error) {
	return s.change(ctx, caller, "rotateKeyring", name, s.rotate)
}

func (s *Keyrings) rotate(ctx context.Context, tx *store.Tx, k *Keyring) error {
	switch {
	case !k.DeleteAt.IsZero():
		return pendingDeletion()
	case k.Current >= MaxKeys:
		return domain.Refuse(domain.LimitReached, fmt.Sprintf("A keyring has at most %d keys.", MaxKeys))
	}
	k.Current, k.RotatedAt = k.Current+1, domain.Now(s.clock)
	return s.addKey(ctx, tx, *k)
}

func pendingDeletion() error {
	return domain.Refuse(domain.StateConflict, "The keyring is to be deleted; restore it first.")
}

// Delete schedules the deletion of a keyring after DeletionWait. Until then it can't be used, and can be restored.
func (s *Keyrings) Delete(ctx context.Context, caller *auth.Principal, name string) (Keyring, error) {
	return s.change(ctx, caller, "deleteKeyring", name, func(_ context.Context, _ *store.Tx, k *Keyring) error {
		if k.DeleteAt.IsZero() {
			k.DeleteAt = domain.Now(s.clock).Add(DeletionWait)
		}
		return nil
	})
}

// Restore cancels the scheduled deletion of a keyring.
func (s *Keyrings) Restore(ctx context.Context, caller *auth.Principal, name string) (Keyring, error) {
	return s.change(ctx, caller, "restoreKeyring", name, func(_ context.Context, _ *store.Tx, k *Keyring) error {
		k.DeleteAt = time.Time{}
		return nil
	})
}

// change changes a keyring for an administrator; domain.NotFound when there is none.
func (s *Keyrings) change(ctx context.Context, caller *auth.Principal, action, name string, f func(ctx context.Context, tx *store.Tx, k *Keyring) error) (k Keyring, err error) {
	defer tried.To(&err, action)
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		if err := s.standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		var found bool
		if k, found, err = s.rows.Lock(ctx, tx, name); err != nil {
			return err
		}
		if !found {
			return notFound()
		}
		if err := f(ctx, tx, &k); err != nil {
			return err
		}
		return s.store(ctx, tx, action, &k)
	})
	return k, err
}

// store stores a changed keyring, and records the change.
func (s *Keyrings) store(ctx context.Context, tx *store.Tx, action string, k *Keyring) error {
	k.Version++
	if err := s.rows.Update(ctx, tx, *k); err != nil {
		return err
	}
	return s.audit.Append(ctx, tx, auditlog.Event{Action: action, Target: k.Name, Detail: map[string]string{
		"current": fmt.Sprint(k.Current), "minVersion": fmt.Sprint(k.MinVersion), "maxUses": fmt.Sprint(k.MaxUses), "services": strings.Join(k.Services, " "),
	}})
}

func notFound() error { return domain.Refuse(domain.NotFound, "There is no such keyring.") }

// Tend rewraps keys after the wrapping keyset was rotated, and deletes keyrings whose deletion is due.
func (s *Keyrings) Tend(ctx context.Context) (err error) {
	defer tried.To(&err, "tend keyrings")
	return errors.Join(s.rewrap(ctx), s.deleteDue(ctx))
}

func (s *Keyrings) rewrap(ctx context.Context) error {
	wraps, err := s.vault.Wraps(ctx, s.db.Read(ctx))
	if err != nil || !wraps.Older {
		return err
	}
	left, err := s.rows.WrappedByOthers(ctx, s.db.Read(ctx), wraps.Primary, batch)
	if err != nil {
		return err
	}
	for _, k := range left {
		aad := wrapAAD(k.KeyringID, k.Number)
		plain, err := s.vault.Unwrap(ctx, k.Sealed, aad)
		if err != nil {
			return fmt.Errorf("open key %d of keyring %s: %w", k.Number, k.KeyringID, err)
		}
		err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			sealed, by, err := s.vault.Wrap(ctx, tx, plain, aad)
			if err != nil {
				return err
			}
			return s.rows.Rewrap(ctx, tx, k.KeyringID, k.Number, k.WrappedBy, by, sealed)
		})
		if err != nil {
			return err
		}
	}
	if len(left) == batch {
		return nil // there may be more
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.vault.DropOlder(ctx, tx, func(primary uint32) (bool, error) {
			more, err := s.rows.WrappedByOthers(ctx, tx, primary, 1)
			return len(more) == 0, err
		})
	})
}

func (s *Keyrings) deleteDue(ctx context.Context) error {
	now := domain.Now(s.clock)
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		gone, err := s.rows.DeleteDue(ctx, tx, now, batch)
		if err != nil {
			return err
		}
		for _, name := range gone {
			if err := s.audit.Append(ctx, tx, auditlog.Event{Action: "endKeyring", Target: name}); err != nil {
				return err
			}
		}
		return nil
	})
}
