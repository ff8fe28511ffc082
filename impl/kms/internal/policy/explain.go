package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Access is what a subject may do with a secret, whether or not the secret exists.
type Access struct {
	Subject      Subject
	Active       bool // a disabled or deleted subject may do nothing
	Capabilities []Capability
	Through      []Policy // the policies that grant them
	// MissingScopes are scopes that the subject lacks, and without which it can't use some of the capabilities.
	MissingScopes []string
}

// Explain returns what the caller may do with a secret. An administrator may ask for another subject (else domain.Forbidden; domain.NotFound when it does not
// exist). It does not check whether the secret exists.
func (s *Policies) Explain(ctx context.Context, caller *auth.Principal, name string, of *Subject) (found Access, err error) {
	defer tried.To(&err, "explain access to secret")
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, err := s.Standing.Hold(ctx, tx, caller)
		if err != nil {
			return err
		}
		owner, own := held.Caller, askerOf(held.Caller)
		owner.Scopes = authority.Both(owner.Scopes, caller.Scopes) // a key may have fewer scopes than its owner
		found.Subject = Subject{own.kind, own.id}
		if of != nil && *of != found.Subject {
			if !held.Caller.HasRole(authority.RoleAdmin) {
				return domain.Refuse(domain.Forbidden, "Only an administrator may ask what others may do.")
			}
			if owner, err = s.other(ctx, tx, *of); err != nil {
				return err
			}
			found.Subject = *of
		}
		grants, err := s.Gate.of(ctx, tx, askerOf(owner), []string{name})
		if err != nil {
			return err
		}
		found.Active, found.Through = owner.Active, grants.Through(name)
		if found.Active {
			found.Capabilities = grants.Of(name)
		}
		for _, c := range found.Capabilities {
			if scope := c.scope(); !slices.Contains(owner.Scopes, scope) && !slices.Contains(found.MissingScopes, scope) {
				found.MissingScopes = append(found.MissingScopes, scope)
			}
		}
		return nil
	})
	return found, err
}

// other returns the owner that a subject stands for; a role stands for a user who has that role only.
func (s *Policies) other(ctx context.Context, tx *store.Tx, of Subject) (authority.Owner, error) {
	if of.Kind == OfRole {
		r, err := s.Roles.Get(ctx, of.ID)
		return authority.Owner{Ref: authority.Ref{Kind: auth.KindUser}, Active: true, Roles: []string{of.ID}, Scopes: r.Scopes}, err
	}
	owner, found, err := s.Standing.Rows.Owner(ctx, tx, authority.Ref{Kind: of.Kind, ID: of.ID}, authority.Unlocked)
	if err != nil {
		return owner, fmt.Errorf("read subject: %w", err)
	}
	if !found {
		return owner, domain.Refuse(domain.NotFound, "There is no such user or service.")
	}
	return owner, nil
}
