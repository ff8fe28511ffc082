// Package secret is the domain of secrets: sealed values with all their versions.
package secret

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Secret describes a secret and its current version. A version number of 0 means that there is no such version.
type Secret struct {
	Name                 string
	Version              int64 // the current one
	Previous, Pending    int64
	Latest               int64     // the highest number in use
	CreatedAt, UpdatedAt time.Time // of the first and of the current version
}

// Sealed is a secret's current version as it is stored.
type Sealed struct {
	Secret
	WrappedKey, Value []byte
}

// SealedVersion is a version as it is stored.
type SealedVersion struct {
	Of                Version
	WrappedKey, Value []byte
}

// Rows are the queries of the domain.
type Rows interface {
	// Create creates a secret at version 1; false when the name is taken.
	Create(ctx context.Context, tx *store.Tx, name string, at time.Time) (Secret, bool, error)
	// Advance gives the secret its next version if its current one matches from; false otherwise.
	Advance(ctx context.Context, tx *store.Tx, name string, from etag.Match, at time.Time) (Secret, bool, error)
	// Put creates the secret, or gives it its next version.
	Put(ctx context.Context, tx *store.Tx, name string, at time.Time) (Secret, error)
	// Propose adds the secret's next version as the pending one if its current one matches from; false otherwise.
	Propose(ctx context.Context, tx *store.Tx, name string, from etag.Match) (Secret, bool, error)
	// Lock returns the secret, and locks it until the transaction ends.
	Lock(ctx context.Context, tx *store.Tx, name string) (Secret, bool, error)
	// SetStages writes which versions are current, previous and pending.
	SetStages(ctx context.Context, tx *store.Tx, s Secret) error
	InsertVersion(ctx context.Context, tx *store.Tx, s Secret, number int64, at time.Time, wrappedKey, value []byte) error
	Version(ctx context.Context, q store.Querier, name string, number int64) (SealedVersion, bool, error)
	// Versions returns versions, newest first, starting below the number before; 0 starts at the newest.
	Versions(ctx context.Context, q store.Querier, name string, before int64, limit int) ([]Version, error)
	// SetDeleted marks a version as deleted at the time; the zero time undoes the deletion.
	SetDeleted(ctx context.Context, tx *store.Tx, name string, number int64, at time.Time) error
	// Shred erases the key and the value of a version.
	Shred(ctx context.Context, tx *store.Tx, name string, number int64, at time.Time) error
	RotationRows
	PlacementRows

	// Prune deletes all versions except the newest keep ones and those in a stage.
	Prune(ctx context.Context, tx *store.Tx, s Secret, keep int64) error
	Get(ctx context.Context, q store.Querier, name string) (Sealed, bool, error)
	// Current is Get for several secrets, by name.
	Current(ctx context.Context, q store.Querier, names []string) (map[string]Sealed, error)
	// List returns secrets by name that are in one of the sorted ranges, starting after the given name.
	List(ctx context.Context, q store.Querier, among []policy.Range, after string, limit int) ([]Secret, error)
}

// Sealer seals data keys; *seal.Keyset implements it.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Secrets is the domain of secrets.
type Secrets struct {
	// Drivers put versions outside the kms, by name; the driver random is not among them. Count counts a failed step of a driver. Both are set before the first
	// call.
	Drivers map[string]Driver
	Count   func(driver string, step Step)
	// Held is told of readings that wait in lanes because another transaction holds the row of their caller; it is set before the first call. by is
	// the caller whose row was just found to be held; nil when it was known before.
	Held func(ctx context.Context, readings int, by *auth.Principal)

	db     *store.DB
	rows   Rows
	sealer Sealer
	gate   *policy.Gate
	audit  auditlog.Log
	clock  clock.Clock
	keep   int64 // versions kept per secret

	readings *groupcommit.Committer[*reading, struct{}]
	waiting  sync.Map // lanes of callers whose rows another transaction holds

	mu   sync.Mutex
	more chan struct{} // closed when this replica has changed a current version
	over chan struct{} // closed when waiting requests must return
}

// New returns the domain of secrets. It keeps at most keep versions of each secret, besides those in a stage. Every call passes the gate. The caller
// must call Close.
func New(db *store.DB, rows Rows, sealer Sealer, gate *policy.Gate, c clock.Clock, keep int64) *Secrets {
	s := &Secrets{
		db: db, rows: rows, sealer: sealer, gate: gate, audit: auditlog.Log{Clock: c}, clock: c, keep: keep, more: make(chan struct{}), over: make(chan struct{}),
		Count: func(string, Step) {}, Held: func(context.Context, int, *auth.Principal) {},
	}
	s.readings = groupcommit.New(db, groupcommit.Options{MaxBatch: maxReadings, Company: company}, s.readTogether)
	return s
}

// Precondition is the precondition of storing a value. The zero value always holds.
type Precondition struct {
	Absent bool        // only if there is no such secret
	Match  *etag.Match // only if its version matches; nil: in any case

	Pending bool // store the version as the pending one
}

// entered runs do for a caller and a secret in one transaction if a policy allows the operation; otherwise it does nothing and records the refusal. Callers reach
// secrets only through entered and enteredTogether.
func (s *Secrets) entered(ctx context.Context, caller *auth.Principal, op policy.Operation, name string, do func(ctx context.Context, tx *store.Tx) error) error {
	return s.gate.Recorded(ctx, s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.gate.Enter(ctx, tx, caller, op, name); err != nil {
			return err
		}
		return do(ctx, tx)
	}))
}

// Put stores the next version of a secret. If the precondition does not hold it fails with domain.PreconditionFailed. A caller whom no policy allows to write
// gets domain.Forbidden, whether or not the secret exists.
func (s *Secrets) Put(ctx context.Context, caller *auth.Principal, name, value string, p Precondition) (_ Secret, err error) {
	defer tried.To(&err, "put secret")
	var made Secret
	err = s.entered(ctx, caller, policy.PutSecret, name, func(ctx context.Context, tx *store.Tx) (err error) {
		if made, err = s.next(ctx, tx, name, p); err != nil {
			return err
		}
		if err := s.store(ctx, tx, made, value); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "putSecret", Target: name, Detail: map[string]string{
			"version": fmt.Sprint(made.Latest), "stage": string(made.Stage(made.Latest)),
		}})
	})
	return made, err
}

// store seals and stores a value as the secret's latest version, and deletes old versions.
func (s *Secrets) store(ctx context.Context, tx *store.Tx, made Secret, value string) error {
	wrapped, sealed, err := s.seal(Secret{Name: made.Name, Version: made.Latest}, value)
	if err != nil {
		return fmt.Errorf("seal secret %s version %d: %w", made.Name, made.Latest, err)
	}
	if err := s.rows.InsertVersion(ctx, tx, made, made.Latest, domain.Now(s.clock), wrapped, sealed); err != nil {
		return fmt.Errorf("store secret version: %w", err)
	}
	if made.Stage(made.Latest) == Current {
		tx.AfterCommit(s.wake)
	}
	return s.rows.Prune(ctx, tx, made, s.keep)
}

// next takes the secret's next version number.
func (s *Secrets) next(ctx context.Context, tx *store.Tx, name string, p Precondition) (made Secret, err error) {
	now, held := domain.Now(s.clock), true
	switch {
	case p.Pending:
		match := etag.ParseMatch("*")
		if p.Match != nil {
			match = *p.Match
		}
		if made, held, err = s.rows.Propose(ctx, tx, name, match); err == nil && !held && p.Match == nil {
			return Secret{}, domain.Refuse(domain.NotFound, "There is no such secret; its first version is the current one.")
		}
	case p.Absent:
		made, held, err = s.rows.Create(ctx, tx, name, now)
	case p.Match != nil:
		made, held, err = s.rows.Advance(ctx, tx, name, *p.Match, now)
	default:
		made, err = s.rows.Put(ctx, tx, name, now)
	}
	if err != nil {
		return Secret{}, fmt.Errorf("take secret version: %w", err)
	}
	if !held {
		return Secret{}, domain.Refuse(domain.PreconditionFailed, "The secret is not at the version that was asked for.")
	}
	return made, nil
}

// seal seals a value under a new data key, and the data key under the keyset. Both are bound to the name and version, so that a row does not open
// in another's place.
func (s *Secrets) seal(at Secret, value string) (wrapped, sealed []byte, err error) {
	raw := seal.NewDataKey()
	key, err := seal.FromDataKey(raw)
	if err != nil {
		return nil, nil, err
	}
	if sealed, err = key.Seal([]byte(value), at.context()); err != nil {
		return nil, nil, err
	}
	wrapped, err = s.sealer.Seal(raw, at.context())
	return wrapped, sealed, err
}

func (s Secret) context() []byte { return fmt.Appendf(nil, "secret:%s:%d", s.Name, s.Version) }

// Get opens the current version. A missing secret and one that the caller may not read give the same domain.NotFound. Every reading is recorded
// before the value is returned; if that fails, so does Get.
func (s *Secrets) Get(ctx context.Context, caller *auth.Principal, name string) (_ Secret, _ string, err error) {
	defer tried.To(&err, "get secret")
	var found *current
	err = s.enteredTogether(ctx, caller, policy.GetSecret, name, func(ctx context.Context, tx *store.Tx, is *current) error {
		if found = is; found == nil {
			return domain.Refuse(domain.NotFound, "There is no such secret.")
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "getSecret", Target: name, Detail: map[string]string{
			"version": strconv.FormatInt(found.Version, 10), "scopes": strings.Join(caller.Scopes, " "), "credential": caller.ClientID,
		}})
	})
	if err != nil {
		return Secret{}, "", err
	}
	value, err := found.value()
	if err != nil {
		return Secret{}, "", fmt.Errorf("open secret %s version %d: %w", name, found.Version, err)
	}
	return found.Secret, value, nil
}

func (s *Secrets) open(found Sealed) (string, error) {
	raw, err := s.sealer.Open(found.WrappedKey, found.context())
	if err != nil {
		return "", err
	}
	key, err := seal.FromDataKey(raw)
	if err != nil {
		return "", err
	}
	value, err := key.Open(found.Value, found.context())
	return string(value), err
}

const listName = "secrets"

// List returns a page of the secrets that policies allow the caller to list, by name and without values, and the cursor of the next page, or "".
func (s *Secrets) List(ctx context.Context, caller *auth.Principal, cursor string, limit int) (secrets []Secret, _ string, err error) {
	defer tried.To(&err, "list secrets")
	after := ""
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		grants, err := s.gate.Grants(ctx, tx, caller)
		if err != nil {
			return err
		}
		if secrets, err = s.rows.List(ctx, tx, grants.Ranges(policy.List), after, limit+1); err != nil {
			return fmt.Errorf("list secrets: %w", err)
		}
		return nil
	})
	if err != nil || len(secrets) <= limit {
		return secrets, "", err
	}
	secrets = secrets[:limit]
	return secrets, page.Encode(listName, secrets[limit-1].Name), nil
}
