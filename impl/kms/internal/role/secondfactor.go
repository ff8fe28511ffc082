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

// withPolicies adds to the roles what second factor each asks for.
func (s *Roles) withPolicies(ctx context.Context, q store.Querier, roles []Role) error {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = r.Name
	}
	policies, err := s.Rows.SecondFactors(ctx, q, names)
	if err != nil {
		return fmt.Errorf("read what second factor roles ask for: %w", err)
	}
	for i, r := range roles {
		roles[i].SecondFactor = policies[r.Name]
	}
	return nil
}

// meetable refuses roles that accept no type of second factor in common: who had them all could never give one.
func (s *Roles) meetable(ctx context.Context, q store.Querier, names []string) error {
	policies, err := s.Rows.SecondFactors(ctx, q, names)
	if err != nil {
		return fmt.Errorf("read what second factor roles ask for: %w", err)
	}
	if authority.Strictest(slices.Collect(maps.Values(policies))...).Unmeetable() {
		return domain.Refuse(domain.ValidationFailed, "The roles accept no type of second factor in common.").
			WithField("body", "/roles", "not", "accept no type of second factor in common; getRole tells what each accepts")
	}
	return nil
}

// PutSecondFactor says what second factor a role asks for; match is the version of the role that it is for, nil for any. Who has the role must have given a
// second factor just now that all their roles accept afterwards (domain.FactorNotAccepted): so there is always somebody left who can take it back.
func (s *Roles) PutSecondFactor(ctx context.Context, caller *auth.Principal, name string, p authority.SecondFactor, match *etag.Match) (after Role, err error) {
	defer tried.To(&err, "put policy of role")
	p.Factors = slices.Clone(p.Factors)
	sort.Strings(p.Factors)
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		// The role's row comes first, as in Put.
		if !authority.BuiltIn(name) {
			if _, _, err := s.Rows.Get(ctx, tx, name, authority.Exclusive); err != nil {
				return fmt.Errorf("hold role: %w", err)
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
		return s.audit().Append(ctx, tx, auditlog.Event{Action: "putSecondFactorPolicy", Target: name, Detail: described(p)})
	})
	if err != nil {
		return Role{}, err
	}
	return after, nil
}

// stillMeets refuses a policy by which the caller, who has the role, would have been refused with the second factor that they have just given.
func (s *Roles) stillMeets(ctx context.Context, q store.Querier, now authority.Owner, caller *auth.Principal, name string, p authority.SecondFactor) error {
	if !now.HasRole(name) {
		return nil
	}
	policies, err := s.Rows.SecondFactors(ctx, q, now.Roles)
	if err != nil {
		return fmt.Errorf("read what second factor roles ask for: %w", err)
	}
	policies[name] = p
	if !contract.ACRSatisfies(caller.ACR, contract.ACRSecondFactor) || !authority.Strictest(slices.Collect(maps.Values(policies))...).Accepts(caller.Factor) {
		return domain.Refuse(domain.FactorNotAccepted, "You have this role, and the second factor that you gave would not be accepted any more. Give one that is, and try again.")
	}
	return nil
}

// described is a policy in the audit log.
func described(p authority.SecondFactor) map[string]string {
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

// Loosen has the roles ask for no second factor of their own any more, for the operator on the machine of the kms: a policy that nobody can meet ends so.
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
