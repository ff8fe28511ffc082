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

// SecondFactor is what second factor a role asks for, or all roles of a user together. The zero value asks for nothing of its own: operations ask.
type SecondFactor struct {
	Always  bool          // at each sign-in too
	Factors []string      // the types that are accepted, sorted; nil: all
	MaxAge  time.Duration // how long a session keeps the level of its sign-in; 0: for its whole life
	Version int64         // of the role's policy; 0: it was never set

	// Sent are, of a user, the types of codes that are sent which every role of theirs names; such codes end a sign-in where they are here alone.
	Sent []string
	// Mailbox says that who reads the user's mail can choose their password, or has chosen it: then a code by mail is no second factor.
	Mailbox bool
}

// Accepts reports whether a type of factor is accepted.
func (p SecondFactor) Accepts(factor string) bool {
	if p.Mailbox && factor == auth.FactorEmail {
		return false
	}
	return p.Factors == nil || slices.Contains(p.Factors, factor)
}

// isSent reports whether a factor of a type is a code that is sent: weaker than what a person holds, since others read mail and numbers are moved.
func isSent(factor string) bool {
	return factor == auth.FactorEmail || factor == auth.FactorSMS || factor == auth.FactorWebhook
}

// AcceptsAtSignIn reports whether a type of factor ends a sign-in. Codes that are sent do where every role of the user names them, and nowhere else.
func (p SecondFactor) AcceptsAtSignIn(factor string) bool {
	return p.Accepts(factor) && (!isSent(factor) || slices.Contains(p.Sent, factor))
}

// AtSignIn are the types that end a sign-in; nil: all but codes that are sent.
func (p SecondFactor) AtSignIn() []string {
	if p.Factors == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.Factors), func(factor string) bool { return !p.AcceptsAtSignIn(factor) })
}

// Keeps reports whether a level that was reached then still counts now. One that was reached later than now, by a clock that was ahead, does not.
func (p SecondFactor) Keeps(then, now time.Time) bool {
	age := now.Sub(then)
	return age >= -auth.Leeway && (p.MaxAge == 0 || age <= p.MaxAge)
}

// Strictest is what the policies ask for together: a second factor always where one says so, of a type that all accept, kept no longer than the
// shortest time. Where they have no type in common nothing is accepted.
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

// Together is what the policies of a user's roles, by the role's name, ask for together.
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

// Unmeetable reports whether no type of factor is accepted.
func (p SecondFactor) Unmeetable() bool {
	return p.Factors != nil && len(p.Factors) == 0 || p.Always && p.Factors != nil && len(p.AtSignIn()) == 0
}

// SecondFactors finds policies.
type SecondFactors interface {
	// SecondFactors returns the policies of those of the roles that have one, by the role's name.
	SecondFactors(ctx context.Context, q store.Querier, roles []string) (map[string]SecondFactor, error)
}

// SecondFactor returns what second factor a user's roles ask for together. It is read in the transaction that holds the user, so a change counts from its
// commit on, at every replica; what was decided just before is decided again at the next refresh.
func (s *Standing) SecondFactor(ctx context.Context, q store.Querier, o Owner) (SecondFactor, error) {
	policies, err := s.Rows.SecondFactors(ctx, q, o.Roles)
	if err != nil {
		return SecondFactor{}, fmt.Errorf("read what second factor the roles ask for: %w", err)
	}
	asked := Together(o.Roles, policies)
	asked.Mailbox = o.Mailbox
	return asked, nil
}

// FactorNotAccepted is the refusal of a second factor of a type that a role of the user does not accept.
func FactorNotAccepted() error {
	return domain.Refuse(domain.FactorNotAccepted, "A role of the user does not accept a second factor of this type.")
}
