// Package service keeps the programs that call the family and how they come by their first key.
package service

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/internal/auth"
	ended "github.com/fountainai/fountain/internal/revocation"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
)

// The states of a service.
const (
	Active   = "active"
	Disabled = "disabled"
)

// Service is a program.
type Service struct {
	ID, Name             string
	Scopes               []string // sorted
	Family               bool     // the kms registered it and keeps its scopes as authority.Family says
	Status               string
	Version              int64
	CreatedAt, UpdatedAt time.Time
	Epoch                int64 // tokens of lower epochs have ended
}

// Rows is what the domain asks of the database.
type Rows interface {
	// Insert adds a service; false when the name is taken.
	Insert(ctx context.Context, tx *store.Tx, s Service) (bool, error)
	// SetFamilyScopes gives a family service its scopes; false when it has them.
	SetFamilyScopes(ctx context.Context, tx *store.Tx, name string, scopes []string, at time.Time) (bool, error)
	// Update writes status and version over version from; false when that is not the version any more.
	Update(ctx context.Context, tx *store.Tx, s Service, from int64) (bool, error)
	Get(ctx context.Context, q store.Querier, id string) (Service, bool, error)
	ByName(ctx context.Context, q store.Querier, name string) (Service, bool, error)
	// List returns services by name, those after the given one.
	List(ctx context.Context, q store.Querier, after string, limit int) ([]Service, error)
	// RaiseEpoch ends every access token that the service has, and returns the new epoch.
	RaiseEpoch(ctx context.Context, tx *store.Tx, id string) (int64, error)
	// EndAccess revokes every key and every unused enrolment token of the service.
	EndAccess(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) error

	// InsertToken stores an enrolment token by its hash.
	InsertToken(ctx context.Context, tx *store.Tx, hash []byte, serviceID string, at, expires time.Time) error
	// SupersedeTokens ends the unused tokens of the service.
	SupersedeTokens(ctx context.Context, tx *store.Tx, serviceID string, at time.Time) error
	// UseToken consumes a token that is open, of an active service; the first caller alone gets the service's id.
	UseToken(ctx context.Context, tx *store.Tx, hash []byte, at time.Time) (serviceID string, used bool, err error)
	// TokenService returns the service of a token, whatever its state.
	TokenService(ctx context.Context, q store.Querier, hash []byte) (serviceID string, found bool, err error)
	// TokenUsed returns the service of a token that was used before.
	TokenUsed(ctx context.Context, q store.Querier, hash []byte) (serviceID string, used bool, err error)
	// TokenOpen reports whether a token can still be used at the time.
	TokenOpen(ctx context.Context, q store.Querier, hash []byte, at time.Time) (bool, error)
	// HasCredential reports whether the service has a key that works at the time, that was used or is newer than fresh, and whose lineage may
	// go on until the time until.
	HasCredential(ctx context.Context, q store.Querier, serviceID string, at, fresh, until time.Time) (bool, error)
	// SweepTokens forgets tokens that expired before the time.
	SweepTokens(ctx context.Context, tx *store.Tx, before time.Time) error
}

// Services is the domain of services.
type Services struct {
	db        *store.DB
	rows      Rows
	keys      Keys
	standing  *authority.Standing
	feed      *revocation.Feed
	catalogue *authority.Catalogue
	audit     auditlog.Log
	clock     clock.Clock
}

// New returns the domain of services.
func New(db *store.DB, rows Rows, keys Keys, standing *authority.Standing, feed *revocation.Feed, catalogue *authority.Catalogue, c clock.Clock) *Services {
	return &Services{db, rows, keys, standing, feed, catalogue, auditlog.Log{Clock: c}, c}
}

// Register makes a service and its first enrolment token. A taken name is already_exists, a scope that no contract names
// validation_failed.
func (s *Services) Register(ctx context.Context, tx *store.Tx, caller *auth.Principal, name string, scopes []string) (Service, Enrolment, error) {
	if err := s.mayAdminister(ctx, tx, caller); err != nil {
		return Service{}, Enrolment{}, err
	}
	for _, scope := range scopes {
		if !s.catalogue.Known(scope) {
			return Service{}, Enrolment{}, domain.Refuse(domain.ValidationFailed, "A scope is in no contract.").
				WithField("body", "/scopes", "enum", "holds a scope that is in no contract")
		}
	}
	made, err := s.insert(ctx, tx, name, scopes, false)
	if err != nil {
		return Service{}, Enrolment{}, err
	}
	enrolment, err := s.issue(ctx, tx, made.ID, TokenLife)
	if err != nil {
		return Service{}, Enrolment{}, err
	}
	return made, enrolment, s.audit.Append(ctx, tx, auditlog.Event{Action: "registerService", Target: made.ID})
}

func (s *Services) insert(ctx context.Context, tx *store.Tx, name string, scopes []string, family bool) (Service, error) {
	now := domain.Now(s.clock)
	scopes = slices.Clone(scopes)
	sort.Strings(scopes)
	made := Service{
		ID: id.New("svc"), Name: name, Scopes: scopes, Family: family, Status: Active,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	inserted, err := s.rows.Insert(ctx, tx, made)
	if err == nil && !inserted {
		err = domain.Refuse(domain.AlreadyExists, "The name is taken.").WithField("body", "/name", "unique", "is taken")
	}
	return made, err
}

// RegisterFamily registers the services of the family that are missing and keeps the scopes of the others up with this
// release.
func (s *Services) RegisterFamily(ctx context.Context) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, member := range authority.Family() {
			if err := s.registerMember(ctx, tx, member); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Services) registerMember(ctx context.Context, tx *store.Tx, member authority.Member) error {
	made, err := s.insert(ctx, tx, member.Name, member.Scopes, true)
	if err == nil {
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "registerService", Target: made.ID})
	}
	if !isTaken(err) {
		return err
	}
	changed, err := s.rows.SetFamilyScopes(ctx, tx, member.Name, member.Scopes, domain.Now(s.clock))
	if err != nil || !changed {
		return err
	}
	return s.audit.Append(ctx, tx, auditlog.Event{Action: "updateService", Target: member.Name, Detail: map[string]string{"scopes": "of this release"}})
}

// Get returns a service; not_found when there is none.
func (s *Services) Get(ctx context.Context, serviceID string) (Service, error) {
	found, ok, err := s.rows.Get(ctx, s.db.Read(ctx), serviceID)
	if err == nil && !ok {
		err = notFound()
	}
	return found, err
}

// Name returns the name of an enabled service, and "" for any other.
func (s *Services) Name(ctx context.Context, serviceID string) (string, error) {
	found, ok, err := s.rows.Get(ctx, s.db.Read(ctx), serviceID)
	if err != nil || !ok || found.Status != Active {
		return "", err
	}
	return found.Name, nil
}

const listName = "services"

// List returns a page of services by name and the cursor of the next one, or "".
func (s *Services) List(ctx context.Context, cursor string, limit int) ([]Service, string, error) {
	var after string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	services, err := s.rows.List(ctx, s.db.Read(ctx), after, limit+1)
	if err != nil || len(services) <= limit {
		return services, "", err
	}
	services = services[:limit]
	return services, page.Encode(listName, services[limit-1].Name), nil
}

// SetStatus disables or enables a service over the given version. A stale version is domain.PreconditionFailed. Disabling ends its keys,
// tokens and unused enrolment tokens; the service twofactor can't be disabled (domain.RequiredService).
func (s *Services) SetStatus(ctx context.Context, caller *auth.Principal, serviceID string, version int64, status string) (Service, error) {
	var after Service
	err := s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.mayAdminister(ctx, tx, caller, serviceRef(serviceID)); err != nil {
			return err
		}
		before, found, err := s.rows.Get(ctx, tx, serviceID)
		if err != nil {
			return err
		}
		if !found {
			return notFound()
		}
		if status == Disabled && before.Family && before.Name == authority.Twofactor {
			// Enabling it again asks for a second factor, which nobody could give then.
			return domain.Refuse(domain.RequiredService, "The service twofactor can't be disabled: enabling it again would need it.")
		}
		after = before
		after.Status, after.Version, after.UpdatedAt = status, version+1, domain.Now(s.clock)
		updated, err := s.rows.Update(ctx, tx, after, version)
		if err != nil {
			return err
		}
		if !updated {
			return domain.Refuse(domain.PreconditionFailed, "The service was changed since it was read.")
		}
		if status == Disabled {
			if err := s.rows.EndAccess(ctx, tx, serviceID, after.UpdatedAt, "service disabled"); err != nil {
				return fmt.Errorf("end the service's access: %w", err)
			}
			if err := s.endTokens(ctx, tx, serviceID); err != nil {
				return err
			}
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "updateService", Target: serviceID, Detail: map[string]string{"status": status}})
	})
	return after, err
}

// mayAdminister holds what the caller stands on and the services that the transaction acts on, and refuses (domain.Forbidden) a caller who is
// no administrator any more.
func (s *Services) mayAdminister(ctx context.Context, tx *store.Tx, caller *auth.Principal, acts ...authority.Ref) error {
	held, err := s.standing.Hold(ctx, tx, caller, acts...)
	if err != nil {
		return err
	}
	if !held.Caller.HasRole(authority.RoleAdmin) {
		return domain.Refuse(domain.Forbidden, "Only an administrator may do this.")
	}
	return nil
}

func serviceRef(id string) authority.Ref { return authority.Ref{Kind: auth.KindService, ID: id} }

// endTokens ends every access token that the service has.
func (s *Services) endTokens(ctx context.Context, tx *store.Tx, serviceID string) error {
	epoch, err := s.rows.RaiseEpoch(ctx, tx, serviceID)
	if err != nil {
		return fmt.Errorf("end tokens: %w", err)
	}
	s.feed.Append(tx, ended.Owner, serviceID, epoch)
	return nil
}

func notFound() error { return domain.Refuse(domain.NotFound, "There is no such service.") }
