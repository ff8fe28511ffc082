package service

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// RecoverEnable enables a service, for an operator on the machine.
func (s *Services) RecoverEnable(ctx context.Context, tx *store.Tx, name string) (err error) {
	defer tried.To(&err, "enable service")
	found, err := s.held(ctx, tx, name)
	if err != nil {
		return err
	}
	after := found
	after.Status, after.Version, after.UpdatedAt = Active, found.Version+1, domain.Now(s.clock)
	if _, err := s.rows.Update(ctx, tx, after, found.Version); err != nil { // its row is locked, so it can't change meanwhile
		return fmt.Errorf("enable service: %w", err)
	}
	return s.audit.Append(ctx, tx, auditlog.Event{Action: "recoverService", Target: found.ID, Detail: map[string]string{"status": Active}})
}

// RecoverEnrolment creates an enrolment token of an active service, for an operator on the machine. It is the only way to enrol a further instance of
// twofactor.
func (s *Services) RecoverEnrolment(ctx context.Context, tx *store.Tx, name string) (_ Enrolment, err error) {
	defer tried.To(&err, "make enrolment token")
	found, err := s.held(ctx, tx, name)
	if err != nil {
		return Enrolment{}, err
	}
	if found.Status != Active {
		return Enrolment{}, domain.Refuse(domain.StateConflict, "The service is disabled.")
	}
	made, err := s.issue(ctx, tx, found.ID, TokenLife)
	if err != nil {
		return Enrolment{}, err
	}
	return made, s.audit.Append(ctx, tx, auditlog.Event{Action: "createEnrolmentToken", Target: found.ID})
}

// held locks the row of the service with a name, and returns the service.
func (s *Services) held(ctx context.Context, tx *store.Tx, name string) (Service, error) {
	found, ok, err := s.rows.ByName(ctx, tx, name)
	if err != nil {
		return Service{}, fmt.Errorf("read service: %w", err)
	}
	if !ok {
		return Service{}, notFound()
	}
	if _, _, err := s.standing.Rows.Owner(ctx, tx, serviceRef(found.ID), authority.Exclusive); err != nil {
		return Service{}, fmt.Errorf("lock service: %w", err)
	}
	return found, nil
}
