package user

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	ended "github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Recovery is what an operator on the machine can do for a user. Every recovery ends the user's sessions, keys and tokens.
type Recovery struct {
	Username      string
	Administrator bool   // grant the role admin, enable the user, and remove their roles' requirements of a second factor
	PasswordHash  string // from HashFor; "" keeps the password
	VoidFactors   bool   // void all second factors
}

// Recover carries out a recovery. An administrator gets a new invitation, because they may have no second factor any more. An unknown user is
// domain.NotFound.
func (s *Users) Recover(ctx context.Context, tx *store.Tx, r Recovery) (_ Created, err error) {
	defer tried.To(&err, "recover user")
	u, found, err := s.rows.ByName(ctx, tx, r.Username)
	if err != nil {
		return Created{}, fmt.Errorf("read user: %w", err)
	}
	if !found {
		return Created{}, NotFound()
	}
	if _, _, err := s.standing.Rows.Owner(ctx, tx, userRef(u.ID), authority.Exclusive); err != nil {
		return Created{}, fmt.Errorf("lock user: %w", err)
	}
	if r.Administrator {
		if u, err = s.promote(ctx, tx, u); err != nil {
			return Created{}, err
		}
	}
	if r.PasswordHash != "" {
		if err := s.rows.SetPassword(ctx, tx, u.ID, r.PasswordHash, domain.Now(s.clock)); err != nil {
			return Created{}, fmt.Errorf("store password: %w", err)
		}
	}
	if err := s.endAccess(ctx, tx, u.ID, "recovered"); err != nil {
		return Created{}, err
	}
	if err := s.endTokens(ctx, tx, u.ID); err != nil {
		return Created{}, err
	}
	if r.VoidFactors {
		s.feed.Append(tx, ended.Factors, u.ID, 0)
	}
	made := Created{User: u}
	if u.Administers() {
		if made.Invitation, err = s.invite(ctx, tx, u.ID); err != nil {
			return Created{}, err
		}
	}
	return made, s.audit.Append(ctx, tx, auditlog.Event{Action: "recoverUser", Target: u.ID, Detail: map[string]string{
		"administrator": fmt.Sprint(r.Administrator), "password": fmt.Sprint(r.PasswordHash != ""), "factors": fmt.Sprint(r.VoidFactors),
	}})
}

// promote makes the user an active administrator. It removes the requirements of a second factor from their roles, so that they can sign in with the password.
func (s *Users) promote(ctx context.Context, tx *store.Tx, before User) (User, error) {
	after := before
	after.Status, after.Version, after.UpdatedAt = Active, before.Version+1, domain.Now(s.clock)
	if !slices.Contains(after.Roles, authority.RoleAdmin) {
		after.Roles = append(slices.Clone(after.Roles), authority.RoleAdmin)
		sort.Strings(after.Roles)
	}
	if updated, err := s.rows.Update(ctx, tx, after, before.Version); err != nil || !updated {
		return User{}, orStale(err)
	}
	if err := s.roles.Loosen(ctx, tx, after.Roles); err != nil {
		return User{}, err
	}
	return after, s.countAdministrators(ctx, tx, before, after)
}
