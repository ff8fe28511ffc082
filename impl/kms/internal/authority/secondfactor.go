package authority

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
)

// SecondFactor is the second factor that one role requires, or all roles of a user together. The zero value adds no requirement to those of
// the operations.
type SecondFactor struct {
	Always  bool          // at each sign-in, not only at operations that require it
	Factors []string      // the accepted types, sorted; nil: all
	MaxAge  time.Duration // how long a session keeps the level of its sign-in; 0: for its whole life
	Version int64         // of the role's policy; 0: never set

	// Sent applies to users: the types of sent codes that every role of theirs names. Only these types of sent codes complete a sign-in.
	Sent []string
	// Mailbox reports that whoever reads the user's mail can choose their password, or has chosen it. A code by mail is then no second factor.
	Mailbox bool
}

// Accepts reports whether a type of factor is accepted.
func (p SecondFactor) Accepts(factor string) bool {
	if p.Mailbox && factor == auth.FactorEmail {
		return false
	}
	return p.Factors == nil || slices.Contains(p.Factors, factor)
}

// isSent reports whether a type of factor is a code that is sent. It is weaker than a factor that a person holds: mail can be read by others, and phone
// numbers can be moved to another SIM.
func isSent(factor string) bool {
	return factor == auth.FactorEmail || factor == auth.FactorSMS || factor == auth.FactorWebhook
}

// AcceptsAtSignIn reports whether a type of factor completes a sign-in. A sent code does only if every role of the user names its type.
func (p SecondFactor) AcceptsAtSignIn(factor string) bool {
	return p.Accepts(factor) && (!isSent(factor) || slices.Contains(p.Sent, factor))
}

// AtSignIn returns the types that complete a sign-in; nil means all but sent codes.
func (p SecondFactor) AtSignIn() []string {
	if p.Factors == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.Factors), func(factor string) bool { return !p.AcceptsAtSignIn(factor) })
}

// Keeps reports whether a level reached at then still counts at now. It does not when then is later than now by more than auth.Leeway: the clock was
// ahead when it was set.
func (p SecondFactor) Keeps(then, now time.Time) bool {
	age := now.Sub(then)
	return age >= -auth.Leeway && (p.MaxAge == 0 || age <= p.MaxAge)
}

// Strictest combines policies. A second factor is always required if one policy requires it always. It must be of a type that all policies accept, and
// is kept for the shortest of their times. Policies without a type in common accept nothing.
func Strictest(policies ...SecondFactor) (all SecondFactor) {
	for _, p := range policies {
		all.Always = all.Always || p.Always
		switch {
		case p.Factors == nil:
		case all.Factors == nil:
			all.Factors = slices.Clone(p.Factors)
		default:
			all.Factors = slices.DeleteFunc(all.Factors, func(factor string) bool { return !p.Accepts(factor) })
		}
		if p.MaxAge > 0 && (all.MaxAge == 0 || p.MaxAge < all.MaxAge) {
			all.MaxAge = p.MaxAge
		}
	}
	return all
}

// Together combines the policies of a user's roles, given by role name.
func Together(roles []string, policies map[string]SecondFactor) SecondFactor {
	var all []SecondFactor
	for _, role := range roles {
		all = append(all, policies[role])
	}
	asked := Strictest(all...)
	for _, factor := range asked.Factors {
		unnamed := func(p SecondFactor) bool { return !slices.Contains(p.Factors, factor) }
		if isSent(factor) && !slices.ContainsFunc(all, unnamed) {
			asked.Sent = append(asked.Sent, factor)
		}
	}
	return asked
}

// Unmeetable reports whether no type of factor can meet the requirement.
func (p SecondFactor) Unmeetable() bool {
	return p.Factors != nil && len(p.Factors) == 0 || p.Always && p.Factors != nil && len(p.AtSignIn()) == 0
}

// SecondFactors reads the policies of roles.
type SecondFactors interface {
	// SecondFactors returns, by role name, the policies of those roles that have one.
	SecondFactors(ctx context.Context, q store.Querier, roles []string) (map[string]SecondFactor, error)
}

// SecondFactor returns what second factor a user's roles require together. It is read in the transaction that has locked the user, so a change of a
// policy applies at every replica from its commit on. A session that was admitted just before the change is checked again at its next refresh.
func (s *Standing) SecondFactor(ctx context.Context, q store.Querier, o Owner) (SecondFactor, error) {
	policies, err := s.Rows.SecondFactors(ctx, q, o.Roles)
	if err != nil {
		return SecondFactor{}, fmt.Errorf("read the second factor that the roles require: %w", err)
	}
	asked := Together(o.Roles, policies)
	asked.Mailbox = o.Mailbox
	return asked, nil
}

// FactorNotAccepted returns the refusal of a second factor of a type that a role of the user does not accept.
func FactorNotAccepted() error {
	return domain.Refuse(domain.FactorNotAccepted, "A role of the user does not accept a second factor of this type.")
}
