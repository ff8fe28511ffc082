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

// together returns what the roles ask for together; one of them may be about to ask for something else.
func (s *Roles) together(ctx context.Context, q store.Querier, names []string, changed map[string]authority.SecondFactor) (authority.SecondFactor, error) {
	policies, err := s.Rows.SecondFactors(ctx, q, names)
	if err != nil {
		return authority.SecondFactor{}, fmt.Errorf("read what second factor roles ask for: %w", err)
	}
	maps.Copy(policies, changed)
	return authority.Together(names, policies), nil
}

// Meetable refuses (domain.ValidationFailed) roles that accept no type of second factor in common: who had them all could never give one. Where they are to be
// the roles of self, the second factor that self has just given must be accepted (domain.FactorNotAccepted).
func (s *Roles) Meetable(ctx context.Context, tx *store.Tx, names []string, self *auth.Principal) (err error) {
	defer tried.To(&err, "check what second factor roles ask for")
	asked, err := s.together(ctx, tx, names, nil)
	switch {
	case err != nil:
		return err
	case asked.Unmeetable():
		return domain.Refuse(domain.ValidationFailed, "The roles accept no type of second factor in common.").
			WithField("body", "/roles", "not", "accept no type of second factor in common; getRole tells what each accepts")
	case self != nil && !ends(asked, self.Factor):
		return locksOut()
	}
	return nil
}

// ends reports whether who has given a factor of a type could do so again: at the sign-in too, where one is asked for there.
func ends(asked authority.SecondFactor, factor string) bool {
	return asked.Accepts(factor) && (!asked.Always || asked.AcceptsAtSignIn(factor))
}

func locksOut() error {
	return domain.Refuse(domain.FactorNotAccepted, "Your roles would not accept the second factor any more that you gave. Give one that they accept, and try again.")
}

// PutSecondFactor says what second factor a role asks for; match is the version of the role that it is for, nil for any. The caller must have given a
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

// stillMeets refuses a policy after which the second factor that the caller has just given is not accepted of them.
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
	if !contract.ACRSatisfies(caller.ACR, contract.ACRSecondFactor) || !ends(asked, caller.Factor) {
		return locksOut()
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
