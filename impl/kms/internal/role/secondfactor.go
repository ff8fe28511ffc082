package role

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// withPolicies fills in the second-factor policies of the roles.
func (s *Roles) withPolicies(ctx context.Context, q store.Querier, roles []Role) error {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.Name
	}
	policies, err := s.Rows.SecondFactors(ctx, q, names)
	if err != nil {
		return fmt.Errorf("read the second factors that roles require: %w", err)
	}
	for i, r := range roles {
		roles[i].SecondFactor = policies[r.Name]
	}
	return nil
}

// together combines the policies of the roles. changed has policies that are about to replace stored ones.
func (s *Roles) together(ctx context.Context, q store.Querier, names []string, changed map[string]authority.SecondFactor) (authority.SecondFactor, error) {
	policies, err := s.Rows.SecondFactors(ctx, q, names)
	if err != nil {
		return authority.SecondFactor{}, fmt.Errorf("read the second factors that roles require: %w", err)
	}
	maps.Copy(policies, changed)
	return authority.Together(names, policies), nil
}

// Meetable refuses roles without an accepted type of second factor in common with domain.ValidationFailed: a user with all of them could never present
// one. If the roles are to be those of self, they must accept the second factor that self has just presented (domain.FactorNotAccepted).
func (s *Roles) Meetable(ctx context.Context, tx *store.Tx, names []string, self *auth.Principal) (err error) {
	defer tried.To(&err, "check the second factors that roles require")
	asked, err := s.together(ctx, tx, names, nil)
	switch {
	case err != nil:
		return err
	case asked.Unmeetable():
		return domain.Refuse(domain.ValidationFailed, "The roles have no accepted type of second factor in common.").
			WithField("body", "/roles", "not", "have no accepted type of second factor in common; getRole shows what each accepts")
	case self != nil && !acceptsAgain(asked, self.Factor):
		return lockedOut()
	}
	return nil
}

// acceptsAgain reports whether a user who has presented a factor of this type could do so again, also at the sign-in if one is required there.
func acceptsAgain(asked authority.SecondFactor, factor string) bool {
	return asked.Accepts(factor) && (!asked.Always || asked.AcceptsAtSignIn(factor))
}

func lockedOut() error {
	return domain.Refuse(domain.FactorNotAccepted, "Your roles would no longer accept the second factor that you used. Use one that they would accept, and try again.")
}

// PutSecondFactor sets the second-factor policy of a role. match is the precondition on the role's tag; nil for none. The caller must have just presented a
// second factor that all their roles still accept afterwards (domain.FactorNotAccepted), so that at least one administrator can undo the change.
func (s *Roles) PutSecondFactor(ctx context.Context, caller *auth.Principal, name string, p authority.SecondFactor, match *etag.Match) (after Role, err error) {
	defer tried.To(&err, "put policy of role")
	p.Factors = slices.Clone(p.Factors)
	sort.Strings(p.Factors)
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		// The role's row is locked first, as in Put.
		if !authority.BuiltIn(name) {
			if _, _, err := s.Rows.Get(ctx, tx, name, authority.Exclusive); err != nil {
				return fmt.Errorf("lock role: %w", err)
			}
		}
		held, err := s.Standing.Hold(ctx, tx, caller)
		if err != nil {
			return err
		}
		if !held.Caller.HasRole(authority.RoleAdmin) {
			return domain.Refuse(domain.Forbidden, "Only an administrator may do this.")
		}
		if after, err = s.read(ctx, tx, name, authority.Exclusive); err != nil {
			return err
		}
		if match != nil && !match.Holds(after.Tag()) {
			return stale()
		}
		if err := s.stillMeets(ctx, tx, held.Caller, caller, name, p); err != nil {
			return err
		}
		from := after.SecondFactor.Version
		written, err := s.Rows.PutSecondFactor(ctx, tx, name, p, from, domain.Now(s.Clock))
		if err != nil {
			return fmt.Errorf("store policy of role: %w", err)
		}
		if !written {
			return stale()
		}
		after.SecondFactor, after.SecondFactor.Version = p, from+1
		return s.audit().Append(ctx, tx, auditlog.Event{Action: "putSecondFactorPolicy", Target: name, Detail: policyDetail(p)})
	})
	if err != nil {
		return Role{}, err
	}
	return after, nil
}

// stillMeets refuses a policy under which the second factor that the caller has just presented would no longer be accepted.
func (s *Roles) stillMeets(ctx context.Context, q store.Querier, now authority.Owner, caller *auth.Principal, name string, p authority.SecondFactor) error {
	changed := map[string]authority.SecondFactor{}
	if now.HasRole(name) {
		changed[name] = p
	}
	asked, err := s.together(ctx, q, now.Roles, changed)
	if err != nil {
		return err
	}
	asked.Mailbox = now.Mailbox
	if !contract.ACRSatisfies(caller.ACR, contract.ACRSecondFactor) || !acceptsAgain(asked, caller.Factor) {
		return lockedOut()
	}
	return nil
}

// policyDetail returns the details of a policy for the audit log.
func policyDetail(p authority.SecondFactor) map[string]string {
	detail := map[string]string{"always": strconv.FormatBool(p.Always), "factors": "all", "maxAge": "none"}
	if p.Factors != nil {
		detail["factors"] = strings.Join(p.Factors, " ")
	}
	if p.MaxAge > 0 {
		detail["maxAge"] = strconv.FormatInt(int64(p.MaxAge/time.Second), 10)
	}
	return detail
}

func stale() error {
	return domain.Refuse(domain.PreconditionFailed, "The role was changed since it was read.")
}

// Loosen removes the roles' own requirements of a second factor. It is for the operator on the kms's machine, as the way out of a policy that nobody can meet.
func (s *Roles) Loosen(ctx context.Context, tx *store.Tx, names []string) (err error) {
	defer tried.To(&err, "loosen policies of roles")
	for _, name := range names {
		loosened, err := s.Rows.LoosenSecondFactor(ctx, tx, name, domain.Now(s.Clock))
		if err != nil {
			return fmt.Errorf("store policy of role: %w", err)
		}
		if !loosened {
			continue
		}
		if err := s.audit().Append(ctx, tx, auditlog.Event{Action: "loosenSecondFactorPolicy", Target: name}); err != nil {
			return err
		}
	}
	return nil
}
