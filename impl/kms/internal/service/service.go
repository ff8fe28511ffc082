// Package service is the domain of services: the programs that call the family, and how each obtains its first key.
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
	"github.com/fountainai/fountain/internal/tried"

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

// Service is a program that calls the family, or is called through it.
type Service struct {
	ID, Name             string
	Scopes               []string // that it has at other services; sorted
	Declared             []string // that it defines for its callers; sorted
	Tenant               string   // "": the default one
	Family               bool     // the kms registers it and sets its scopes (authority.Family)
	Status               string
	Version              int64
	CreatedAt, UpdatedAt time.Time
	Epoch                int64     // tokens with a lower epoch are invalid
	LastUsedAt           time.Time // of any of its keys; zero: never
}

// Rows are the queries of the domain.
type Rows interface {
	// Insert stores a service; false when the name is taken.
	Insert(ctx context.Context, tx *store.Tx, s Service) (bool, error)
	// SetFamilyScopes sets the scopes of a service of the family; false when it already has them.
	SetFamilyScopes(ctx context.Context, tx *store.Tx, name string, scopes []string, at time.Time) (bool, error)
	// Update writes status, scopes and version if the service is at version from; false otherwise.
	Update(ctx context.Context, tx *store.Tx, s Service, from int64) (bool, error)
	// Delete marks a service as deleted; false when it was already deleted.
	Delete(ctx context.Context, tx *store.Tx, id string, at time.Time) (bool, error)
	// Declare replaces the scopes that a service declares; false when another service declares one of them.
	Declare(ctx context.Context, tx *store.Tx, id string, scopes []string) (bool, error)
	// Declares returns which of the scopes are declared by a service, and locks them until the transaction ends.
	Declares(ctx context.Context, tx *store.Tx, scopes []string) ([]string, error)
	// Details fills in the services' declared scopes and the time of the last use of their keys.
	Details(ctx context.Context, q store.Querier, services []Service) error
	// Carriers returns the services that have one of the scopes, by ID.
	Carriers(ctx context.Context, tx *store.Tx, scopes []string) ([]Service, error)
	// LockCarriers locks the services that have one of the scopes, and the service with the ID, in the common order.
	LockCarriers(ctx context.Context, tx *store.Tx, scopes []string, id string) error
	Get(ctx context.Context, q store.Querier, id string) (Service, bool, error)
	ByName(ctx context.Context, q store.Querier, name string) (Service, bool, error)
	// List returns services by name, starting after the given name.
	List(ctx context.Context, q store.Querier, after string, limit int) ([]Service, error)
	// RaiseEpoch invalidates every access token of the service, and returns the new epoch.
	RaiseEpoch(ctx context.Context, tx *store.Tx, id string) (int64, error)
	// EndAccess revokes every key and every unused enrolment token of the service.
	EndAccess(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) error

	// InsertToken stores an enrolment token by its hash.
	InsertToken(ctx context.Context, tx *store.Tx, hash []byte, serviceID string, at, expires time.Time) error
	// SupersedeTokens invalidates the unused tokens of the service.
	SupersedeTokens(ctx context.Context, tx *store.Tx, serviceID string, at time.Time) error
	// UseToken consumes an open token of an active service. Only the first caller gets the service's ID; others get false.
	UseToken(ctx context.Context, tx *store.Tx, hash []byte, at time.Time) (serviceID string, used bool, err error)
	// TokenService returns the service of a token in any state.
	TokenService(ctx context.Context, q store.Querier, hash []byte) (serviceID string, found bool, err error)
	// TokenUsed returns the service of a token that was already used.
	TokenUsed(ctx context.Context, q store.Querier, hash []byte) (serviceID string, used bool, err error)
	// TokenOpen reports whether a token can still be used at the time.
	TokenOpen(ctx context.Context, q store.Querier, hash []byte, at time.Time) (bool, error)
	// HasCredential reports whether the service has a suitable key: one that is valid at the time at, was used or was created after fresh, and whose lineage may
	// be rotated beyond the time until.
	HasCredential(ctx context.Context, q store.Querier, serviceID string, at, fresh, until time.Time) (bool, error)
	// SweepTokens deletes tokens that expired before the time.
	SweepTokens(ctx context.Context, tx *store.Tx, before time.Time) error
}

// Services is the domain of services.
type Services struct {
	db        *store.DB
	rows      Rows
	keys      Keys
	roles     Roles
	contracts Contracts
	standing  *authority.Standing
	feed      *revocation.Feed
	catalogue *authority.Catalogue
	audit     auditlog.Log
	clock     clock.Clock
}

// New returns the domain of services.
func New(db *store.DB, rows Rows, keys Keys, roles Roles, contracts Contracts, standing *authority.Standing, feed *revocation.Feed, catalogue *authority.Catalogue, c clock.Clock) *Services {
	return &Services{db, rows, keys, roles, contracts, standing, feed, catalogue, auditlog.Log{Clock: c}, c}
}

// Roles removes scopes from roles.
type Roles interface {
	// HoldCarrying locks everything that Withdraw will change, and the caller's row, in the common order.
	HoldCarrying(ctx context.Context, tx *store.Tx, caller *auth.Principal, scopes []string) error
	// Withdraw removes scopes from every role, and ends the tokens of all users who had them by a role.
	Withdraw(ctx context.Context, tx *store.Tx, scopes []string) error
}

// Contracts is notified of changes of services that may have a contract. The transaction has locked the service's row.
type Contracts interface {
	// Switched is called when a service was enabled or disabled.
	Switched(ctx context.Context, tx *store.Tx, name string) error
	// Ended is called when a service was deleted.
	Ended(ctx context.Context, tx *store.Tx, name string) error
}

// Draft is a service to be registered.
type Draft struct {
	Name     string
	Scopes   []string // that it has at other services
	Declared []string // that it defines for its callers
	Tenant   string
}

// Register creates a service and its first enrolment token. A taken or reserved name is domain.AlreadyExists; a scope that it can't have or declare is
// domain.ValidationFailed.
func (s *Services) Register(ctx context.Context, tx *store.Tx, caller *auth.Principal, d Draft) (_ Service, _ Enrolment, err error) {
	defer tried.To(&err, "register service")
	if err := s.standing.HoldAdministrator(ctx, tx, caller); err != nil {
		return Service{}, Enrolment{}, err
	}
	if s.catalogue.Reserved(d.Name) {
		return Service{}, Enrolment{}, domain.Refuse(domain.AlreadyExists, "The name is reserved.").WithField("body", "/name", "unique", "is reserved for the family")
	}
	if err := s.mayHave(ctx, tx, d.Scopes); err != nil {
		return Service{}, Enrolment{}, err
	}
	made, err := s.insert(ctx, tx, d, false)
	if err != nil {
		return Service{}, Enrolment{}, err
	}
	if err := s.declare(ctx, tx, &made, d.Declared); err != nil {
		return Service{}, Enrolment{}, err
	}
	enrolment, err := s.issue(ctx, tx, made.ID, TokenLife)
	if err != nil {
		return Service{}, Enrolment{}, err
	}
	return made, enrolment, s.audit.Append(ctx, tx, auditlog.Event{Action: "registerService", Target: made.ID})
}

// mayHave refuses a scope that is in no contract and that no service declares. It locks the declared ones until the transaction ends.
func (s *Services) mayHave(ctx context.Context, tx *store.Tx, scopes []string) error {
	declared, err := s.rows.Declares(ctx, tx, scopes)
	if err != nil {
		return fmt.Errorf("read declared scopes: %w", err)
	}
	for _, scope := range scopes {
		if !s.catalogue.Known(scope) && !slices.Contains(declared, scope) {
			return domain.Refuse(domain.ValidationFailed, "A scope is unknown: no contract has it, and no service declares it.").
				WithField("body", "/scopes", "enum", "contains a scope that no contract has and no service declares")
		}
	}
	return nil
}

// declare replaces the scopes that the service declares. Each must begin with the service's name and a colon.
func (s *Services) declare(ctx context.Context, tx *store.Tx, into *Service, scopes []string) error {
	for _, scope := range scopes {
		if !s.catalogue.Declares(into.Name, scope) {
			return domain.Refuse(domain.ValidationFailed, "A service can only declare scopes that begin with its name and a colon.").
				WithField("body", "/declaredScopes", "pattern", "must be <name>:<verb>")
		}
	}
	scopes = slices.Clone(scopes)
	sort.Strings(scopes)
	free, err := s.rows.Declare(ctx, tx, into.ID, scopes)
	if err != nil {
		return fmt.Errorf("declare scopes: %w", err)
	}
	if !free {
		return domain.Refuse(domain.AlreadyExists, "A scope is declared by another service.").WithField("body", "/declaredScopes", "unique", "is declared by another service")
	}
	into.Declared = scopes
	return nil
}

func (s *Services) insert(ctx context.Context, tx *store.Tx, d Draft, family bool) (Service, error) {
	now := domain.Now(s.clock)
	scopes := slices.Clone(d.Scopes)
	sort.Strings(scopes)
	made := Service{
		ID: id.New("svc"), Name: d.Name, Scopes: scopes, Tenant: d.Tenant, Family: family, Status: Active,
		Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	inserted, err := s.rows.Insert(ctx, tx, made)
	if err == nil && !inserted {
		err = domain.Refuse(domain.AlreadyExists, "The name is taken.").WithField("body", "/name", "unique", "is taken")
	}
	return made, err
}

// RegisterFamily registers missing services of the family, and updates the scopes of the others to those of this release.
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
	made, err := s.insert(ctx, tx, Draft{Name: member.Name, Scopes: member.Scopes}, true)
	if err == nil {
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "registerService", Target: made.ID})
	}
	if !isTaken(err) {
		return err
	}
	changed, err := s.rows.SetFamilyScopes(ctx, tx, member.Name, member.Scopes, domain.Now(s.clock))
	if err != nil {
		return fmt.Errorf("store scopes of service %s: %w", member.Name, err)
	}
	if !changed {
		return nil
	}
	return s.audit.Append(ctx, tx, auditlog.Event{Action: "updateService", Target: member.Name, Detail: map[string]string{"scopes": "of this release"}})
}

// Get returns a service; domain.NotFound when there is none.
func (s *Services) Get(ctx context.Context, serviceID string) (Service, error) {
	q := s.db.Read(ctx)
	found, ok, err := s.rows.Get(ctx, q, serviceID)
	if err != nil {
		return Service{}, fmt.Errorf("read service: %w", err)
	}
	if !ok {
		return Service{}, notFound()
	}
	return s.detailed(ctx, q, found)
}

// detailed returns the service with its declared scopes and the time of its last use.
func (s *Services) detailed(ctx context.Context, q store.Querier, one Service) (Service, error) {
	services := []Service{one}
	if err := s.rows.Details(ctx, q, services); err != nil {
		return Service{}, fmt.Errorf("read details of service: %w", err)
	}
	return services[0], nil
}

// Name returns the name of an active service, and "" for any other.
func (s *Services) Name(ctx context.Context, serviceID string) (string, error) {
	found, ok, err := s.rows.Get(ctx, s.db.Read(ctx), serviceID)
	if err != nil || !ok || found.Status != Active {
		return "", err
	}
	return found.Name, nil
}

const listName = "services"

// List returns a page of services by name and the cursor of the next page, or "".
func (s *Services) List(ctx context.Context, cursor string, limit int) (_ []Service, _ string, err error) {
	defer tried.To(&err, "list services")
	var after string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	q, next := s.db.Read(ctx), ""
	services, err := s.rows.List(ctx, q, after, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list services: %w", err)
	}
	if len(services) > limit {
		services = services[:limit]
		next = page.Encode(listName, services[limit-1].Name)
	}
	if err := s.rows.Details(ctx, q, services); err != nil {
		return nil, "", fmt.Errorf("read details of services: %w", err)
	}
	return services, next, nil
}

func serviceRef(id string) authority.Ref { return authority.Ref{Kind: auth.KindService, ID: id} }

// endTokens invalidates every access token of the service.
func (s *Services) endTokens(ctx context.Context, tx *store.Tx, serviceID string) error {
	epoch, err := s.rows.RaiseEpoch(ctx, tx, serviceID)
	if err != nil {
		return fmt.Errorf("end tokens: %w", err)
	}
	s.feed.Append(tx, ended.Owner, serviceID, epoch)
	return nil
}

func notFound() error { return domain.Refuse(domain.NotFound, "There is no such service.") }
