package secret

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Stage is the role of a version in its secret.
type Stage string

// The stages. Most versions have none.
const (
	Current  Stage = "current"
	Previous Stage = "previous" // was current until the last change
	Pending  Stage = "pending"  // waits to become current
)

// The default and the limits of the number of versions that are kept per secret.
const (
	DefaultKeep = 50
	MinKeep     = 2
	MaxKeep     = 1000
)

// Version describes a version. A zero time has not been reached.
type Version struct {
	Number                            int64
	CreatedAt, DeletedAt, DestroyedAt time.Time
}

// Stage returns the stage of a version; "" for none.
func (s Secret) Stage(number int64) Stage {
	switch number {
	case s.Version:
		return Current
	case s.Pending:
		return Pending
	case s.Previous:
		return Previous
	}
	return ""
}

// Number returns the version number for a number or a stage in text form; 0 when the stage has no version.
func (s Secret) Number(which string) int64 {
	switch Stage(which) {
	case Current:
		return s.Version
	case Previous:
		return s.Previous
	case Pending:
		return s.Pending
	}
	number, err := strconv.ParseInt(which, 10, 64)
	if err != nil { // the contract allows only numbers and stages
		return 0
	}
	return number
}

func noVersion() error {
	return domain.Refuse(domain.NotFound, "There is no such version of a secret.")
}

// readable refuses a deleted or destroyed version with domain.Gone.
func (v Version) readable() error {
	switch {
	case !v.DestroyedAt.IsZero():
		return domain.Refuse(domain.Gone, "The version is destroyed.")
	case !v.DeletedAt.IsZero():
		return domain.Refuse(domain.Gone, "The version is deleted; it can be undeleted.")
	}
	return nil
}

// held locks the secret and reads one of its versions.
func (s *Secrets) held(ctx context.Context, tx *store.Tx, name, which string) (secret Secret, v Version, err error) {
	secret, found, err := s.rows.Lock(ctx, tx, name)
	if err != nil {
		return Secret{}, Version{}, err
	}
	if !found {
		return Secret{}, Version{}, noVersion()
	}
	sealed, found, err := s.rows.Version(ctx, tx, name, secret.Number(which))
	if err != nil {
		return Secret{}, Version{}, err
	}
	if !found {
		return Secret{}, Version{}, noVersion()
	}
	return secret, sealed.Of, nil
}

// GetVersion opens a version. A deleted or destroyed version gives domain.Gone. Every reading is recorded before the value is returned; if that
// fails, so does GetVersion.
func (s *Secrets) GetVersion(ctx context.Context, caller *auth.Principal, name, which string) (of Secret, v Version, value string, err error) {
	defer tried.To(&err, "get version of secret")
	var found SealedVersion
	err = s.enteredTogether(ctx, caller, policy.GetVersion, name, func(ctx context.Context, tx *store.Tx, is *current) error {
		if is == nil {
			return noVersion()
		}
		of = is.Secret
		var (
			ok  bool
			err error
		)
		if found, ok, err = s.rows.Version(ctx, tx, name, of.Number(which)); err != nil {
			return err
		}
		if !ok {
			return noVersion()
		}
		if err := found.Of.readable(); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "getSecretVersion", Target: name, Detail: map[string]string{
			"version": fmt.Sprint(found.Of.Number), "scopes": strings.Join(caller.Scopes, " "), "credential": caller.ClientID,
		}})
	})
	if err != nil {
		return Secret{}, Version{}, "", err
	}
	if value, err = s.open(Sealed{Secret{Name: name, Version: found.Of.Number}, found.WrappedKey, found.Value}); err != nil {
		return Secret{}, Version{}, "", fmt.Errorf("open secret %s version %d: %w", name, found.Of.Number, err)
	}
	return of, found.Of, value, nil
}

const versionsName = "secret versions"

// Versions returns a page of a secret's versions, newest first, and the cursor of the next page, or "".
func (s *Secrets) Versions(ctx context.Context, caller *auth.Principal, name, cursor string, limit int) (of Secret, versions []Version, next string, err error) {
	defer tried.To(&err, "list versions of secret")
	var before int64
	if cursor != "" {
		if err := page.Decode(versionsName, cursor, &before); err != nil {
			return Secret{}, nil, "", err
		}
	}
	err = s.entered(ctx, caller, policy.ListVersions, name, func(ctx context.Context, tx *store.Tx) error {
		current, found, err := s.rows.Get(ctx, tx, name)
		if err != nil {
			return err
		}
		if !found {
			return domain.Refuse(domain.NotFound, "There is no such secret.")
		}
		of = current.Secret
		versions, err = s.rows.Versions(ctx, tx, name, before, limit+1)
		return err
	})
	if err != nil || len(versions) <= limit {
		return of, versions, "", err
	}
	versions = versions[:limit]
	return of, versions, page.Encode(versionsName, versions[limit-1].Number), nil
}

// Delete makes a version unreadable until it is undeleted. For the current version it fails with domain.StateConflict. A pending version is no longer
// pending.
func (s *Secrets) Delete(ctx context.Context, caller *auth.Principal, name, which string) (err error) {
	defer tried.To(&err, "delete version of secret")
	return s.entered(ctx, caller, policy.DeleteVersion, name, func(ctx context.Context, tx *store.Tx) error {
		secret, v, err := s.held(ctx, tx, name, which)
		if err != nil {
			return err
		}
		if err := secret.dispensable(v.Number); err != nil {
			return err
		}
		if !v.DeletedAt.IsZero() || !v.DestroyedAt.IsZero() {
			return nil
		}
		if err := s.withdraw(ctx, tx, secret, v.Number); err != nil {
			return err
		}
		return s.mark(ctx, tx, "deleteSecretVersion", name, v.Number, domain.Now(s.clock))
	})
}

// Undelete makes a deleted version readable again. For a destroyed version it fails with domain.Gone.
func (s *Secrets) Undelete(ctx context.Context, caller *auth.Principal, name, which string) (secret Secret, v Version, err error) {
	defer tried.To(&err, "undelete version of secret")
	err = s.entered(ctx, caller, policy.UndeleteVersion, name, func(ctx context.Context, tx *store.Tx) (err error) {
		if secret, v, err = s.held(ctx, tx, name, which); err != nil {
			return err
		}
		if !v.DestroyedAt.IsZero() {
			return v.readable()
		}
		if v.DeletedAt.IsZero() {
			return nil
		}
		v.DeletedAt = time.Time{}
		return s.mark(ctx, tx, "undeleteSecretVersion", name, v.Number, v.DeletedAt)
	})
	return secret, v, err
}

func (s *Secrets) mark(ctx context.Context, tx *store.Tx, action, name string, number int64, deleted time.Time) error {
	if err := s.rows.SetDeleted(ctx, tx, name, number, deleted); err != nil {
		return err
	}
	return s.audit.Append(ctx, tx, auditlog.Event{Action: action, Target: name, Detail: map[string]string{"version": fmt.Sprint(number)}})
}

// dispensable refuses the current version: a secret must always have one.
func (s Secret) dispensable(number int64) error {
	if s.Stage(number) == Current {
		return domain.Refuse(domain.StateConflict, "The version is the current one; store or promote another one first.")
	}
	return nil
}

// Destruction is the result of destroying a version.
type Destruction struct {
	Version
	Remains store.Remains // where copies may remain in the database
}

// Destroy overwrites the data key and the sealed value of a version, so that it can never be opened again. For the current version it fails with
// domain.StateConflict.
func (s *Secrets) Destroy(ctx context.Context, caller *auth.Principal, name, which string) (done Destruction, err error) {
	defer tried.To(&err, "destroy version of secret")
	done.Remains, err = s.db.Erase(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.gate.Enter(ctx, tx, caller, policy.DestroyVersion, name); err != nil {
			return err
		}
		secret, v, err := s.held(ctx, tx, name, which)
		if err != nil {
			return err
		}
		if err := secret.dispensable(v.Number); err != nil {
			return err
		}
		if done.Version = v; !v.DestroyedAt.IsZero() {
			return nil
		}
		if err := s.withdraw(ctx, tx, secret, v.Number); err != nil {
			return err
		}
		done.DestroyedAt = domain.Now(s.clock)
		if err := s.rows.Shred(ctx, tx, name, v.Number, done.DestroyedAt); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "destroySecretVersion", Target: name, Detail: map[string]string{"version": fmt.Sprint(v.Number)}})
	})
	return done, s.gate.Recorded(ctx, err)
}

// Promote makes a version the current one if over matches the present current version (nil: always), and returns the secret. The version that was
// current becomes the previous one.
func (s *Secrets) Promote(ctx context.Context, caller *auth.Principal, name, which string, over *etag.Match) (secret Secret, err error) {
	defer tried.To(&err, "promote version of secret")
	err = s.entered(ctx, caller, policy.PromoteVersion, name, func(ctx context.Context, tx *store.Tx) (err error) {
		var v Version
		if secret, v, err = s.held(ctx, tx, name, which); err != nil {
			return err
		}
		if over != nil && !over.Holds(secret.Version) {
			return domain.Refuse(domain.PreconditionFailed, "The secret is not at the version that was asked for.")
		}
		if err := v.readable(); err != nil {
			return err
		}
		if v.Number == secret.Version {
			return nil
		}
		if v.Number == secret.Pending {
			secret.Pending = 0
		}
		secret.Previous, secret.Version, secret.UpdatedAt = secret.Version, v.Number, v.CreatedAt
		if err := s.rows.SetStages(ctx, tx, secret); err != nil {
			return err
		}
		tx.AfterCommit(s.wake)
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "promoteSecretVersion", Target: name, Detail: map[string]string{
			"version": fmt.Sprint(v.Number), "previous": fmt.Sprint(secret.Previous),
		}})
	})
	return secret, err
}
