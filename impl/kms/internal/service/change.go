package service

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Change is a partial update of a service; nil fields stay as they are.
type Change struct {
	Status   *string
	Scopes   *[]string
	Declared *[]string
}

// Update applies the change if match holds for the service's version, else it fails with domain.PreconditionFailed. Disabling a service ends its keys, tokens
// and unused enrolment tokens; the service twofactor can't be disabled (domain.RequiredService). Removing a scope ends the service's tokens. A scope that is
// no longer declared is removed from all roles and services that carry it. The scopes of the family's services can't be changed (domain.Forbidden).
func (s *Services) Update(ctx context.Context, caller *auth.Principal, serviceID string, match etag.Match, c Change) (_ Service, err error) {
	defer tried.To(&err, "update service")
	var after Service
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if c.Declared != nil {
			if err := s.holdAffected(ctx, tx, caller, serviceID, *c.Declared); err != nil {
				return err
			}
		}
		before, err := s.administered(ctx, tx, caller, serviceID)
		if err != nil {
			return err
		}
		if err := s.mayChange(ctx, tx, before, c); err != nil {
			return err
		}
		after = before.with(c)
		after.Version, after.UpdatedAt = before.Version+1, domain.Now(s.clock)
		updated := match.Holds(before.Version)
		if updated {
			if updated, err = s.rows.Update(ctx, tx, after, before.Version); err != nil {
				return fmt.Errorf("store service: %w", err)
			}
		}
		if !updated {
			return domain.Refuse(domain.PreconditionFailed, "The service was changed since it was read.")
		}
		if err := s.applyConsequences(ctx, tx, before, &after, c); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "updateService", Target: serviceID, Detail: map[string]string{
			"status": after.Status, "scopes": strings.Join(after.Scopes, " "), "declaredScopes": strings.Join(after.Declared, " "),
		}})
	})
	return after, err
}

// holdAffected locks the owners whose tokens end when a service reduces its declared scopes to these, and the service and the caller, in the common order. It
// must come first in a transaction that withdraws scopes. It locks nothing when no scope is withdrawn.
func (s *Services) holdAffected(ctx context.Context, tx *store.Tx, caller *auth.Principal, serviceID string, declared []string) error {
	found, ok, err := s.rows.Get(ctx, tx, serviceID)
	if err != nil {
		return fmt.Errorf("read service: %w", err)
	}
	if !ok {
		return nil // administered reports it, after authorizing the caller
	}
	before, err := s.detailed(ctx, tx, found)
	if err != nil {
		return err
	}
	gone := withdrawn(before.Declared, declared)
	if len(gone) == 0 {
		return nil
	}
	if err := s.rows.LockCarriers(ctx, tx, gone, serviceID); err != nil {
		return fmt.Errorf("lock services with the scopes: %w", err)
	}
	return s.roles.HoldCarrying(ctx, tx, caller, gone)
}

// withdrawn returns the scopes of before that are not in after.
func withdrawn(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(before), func(scope string) bool { return slices.Contains(after, scope) })
}

// administered locks the rows of the caller, who must be an administrator, and the service, and returns the service.
func (s *Services) administered(ctx context.Context, tx *store.Tx, caller *auth.Principal, serviceID string) (Service, error) {
	if err := s.standing.HoldAdministrator(ctx, tx, caller, serviceRef(serviceID)); err != nil {
		return Service{}, err
	}
	found, ok, err := s.rows.Get(ctx, tx, serviceID)
	if err != nil {
		return Service{}, fmt.Errorf("read service: %w", err)
	}
	if !ok {
		return Service{}, notFound()
	}
	return s.detailed(ctx, tx, found)
}

func (s *Services) mayChange(ctx context.Context, tx *store.Tx, before Service, c Change) error {
	if before.Family && (c.Scopes != nil || c.Declared != nil) {
		return domain.Refuse(domain.Forbidden, "The scopes of the family's services belong to the release and can't be changed.")
	}
	if before.Family && before.Name == authority.Twofactor && c.Status != nil && *c.Status == Disabled {
		// Enabling it again requires a second factor, which then nobody could present.
		return domain.Refuse(domain.RequiredService, "The service twofactor can't be disabled: enabling it again would need it.")
	}
	if c.Scopes != nil {
		return s.mayHave(ctx, tx, *c.Scopes)
	}
	return nil
}

func (before Service) with(c Change) Service {
	after := before
	if c.Status != nil {
		after.Status = *c.Status
	}
	if c.Scopes != nil {
		after.Scopes = slices.Clone(*c.Scopes)
		sort.Strings(after.Scopes)
	}
	return after
}

// applyConsequences ends the access that a change takes away, and notifies the contracts.
func (s *Services) applyConsequences(ctx context.Context, tx *store.Tx, before Service, after *Service, c Change) error {
	if c.Declared != nil {
		if err := s.declare(ctx, tx, after, *c.Declared); err != nil {
			return err
		}
		if err := s.withdraw(ctx, tx, before.Declared, after.Declared); err != nil {
			return err
		}
	}
	if after.Status != before.Status {
		if err := s.contracts.Switched(ctx, tx, after.Name); err != nil {
			return err
		}
	}
	if after.Status == Disabled {
		if err := s.rows.EndAccess(ctx, tx, after.ID, after.UpdatedAt, "service disabled"); err != nil {
			return fmt.Errorf("end the service's access: %w", err)
		}
	}
	if after.Status == Disabled || !authority.Covers(after.Scopes, before.Scopes) {
		return s.endTokens(ctx, tx, after.ID)
	}
	return nil
}

// withdraw removes scopes that are no longer declared from every role and service, and ends the tokens that could carry them. Their declarations are deleted
// first: this waits for concurrent transactions that assign one of the scopes, and then sees their result.
func (s *Services) withdraw(ctx context.Context, tx *store.Tx, before, after []string) error {
	gone := withdrawn(before, after)
	if len(gone) == 0 {
		return nil
	}
	carriers, err := s.rows.Carriers(ctx, tx, gone)
	if err != nil {
		return fmt.Errorf("find services with the scopes: %w", err)
	}
	for _, one := range carriers {
		from := one.Version
		one.Scopes = slices.DeleteFunc(one.Scopes, func(scope string) bool { return slices.Contains(gone, scope) })
		one.Version, one.UpdatedAt = from+1, domain.Now(s.clock)
		if _, err := s.rows.Update(ctx, tx, one, from); err != nil {
			return fmt.Errorf("take scopes from service: %w", err)
		}
		if err := s.endTokens(ctx, tx, one.ID); err != nil {
			return err
		}
	}
	return s.roles.Withdraw(ctx, tx, gone)
}

// Delete ends a service permanently, with its keys, tokens, enrolment tokens, contract and declared scopes. Its name stays taken. The family's services can't
// be deleted (domain.Forbidden).
func (s *Services) Delete(ctx context.Context, caller *auth.Principal, serviceID string) (err error) {
	defer tried.To(&err, "delete service")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.holdAffected(ctx, tx, caller, serviceID, nil); err != nil {
			return err
		}
		before, err := s.administered(ctx, tx, caller, serviceID)
		if err != nil {
			return err
		}
		if before.Family {
			return domain.Refuse(domain.Forbidden, "The family's services can't be deleted.")
		}
		now := domain.Now(s.clock)
		if _, err := s.rows.Declare(ctx, tx, serviceID, nil); err != nil {
			return fmt.Errorf("withdraw scopes: %w", err)
		}
		if err := s.withdraw(ctx, tx, before.Declared, nil); err != nil {
			return err
		}
		if _, err := s.rows.Delete(ctx, tx, serviceID, now); err != nil {
			return fmt.Errorf("delete service: %w", err)
		}
		if err := s.contracts.Ended(ctx, tx, before.Name); err != nil {
			return err
		}
		if err := s.rows.EndAccess(ctx, tx, serviceID, now, "service deleted"); err != nil {
			return fmt.Errorf("end the service's access: %w", err)
		}
		if err := s.endTokens(ctx, tx, serviceID); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "deleteService", Target: serviceID, Detail: map[string]string{"name": before.Name}})
	})
}
