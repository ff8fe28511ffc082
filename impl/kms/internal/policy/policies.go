package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/role"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// MaxPolicies is the limit of policies.
const MaxPolicies = 1000

// Rows are the queries of the domain.
type Rows interface {
	GateRows
	// Policy reads a policy and locks it. Outside a transaction lock must be authority.Unlocked.
	Policy(ctx context.Context, q store.Querier, name string, lock authority.Lock) (Policy, bool, error)
	// Policies returns at most limit policies by name, starting after the given name.
	Policies(ctx context.Context, q store.Querier, after string, limit int) ([]Policy, error)
	// InsertPolicy stores a policy; false when the name is taken, or there already are most policies.
	InsertPolicy(ctx context.Context, tx *store.Tx, p Policy, most int) (bool, error)
	// UpdatePolicy writes a policy that the caller has locked.
	UpdatePolicy(ctx context.Context, tx *store.Tx, p Policy) error
	// DeletePolicy deletes a policy that the caller has locked.
	DeletePolicy(ctx context.Context, tx *store.Tx, name string) error
}

// Roles reads roles.
type Roles interface {
	// Check refuses an unknown role with domain.ValidationFailed, and locks the others (shared) until the transaction ends.
	Check(ctx context.Context, tx *store.Tx, names []string) error
	Get(ctx context.Context, name string) (role.Role, error)
}

// Policies is the domain of policies. Administrators manage them, whatever secrets they may use themselves.
type Policies struct {
	DB       *store.DB
	Rows     Rows
	Gate     *Gate
	Standing *authority.Standing
	Roles    Roles
	Clock    clock.Clock
}

func (s *Policies) audit() auditlog.Log { return auditlog.Log{Clock: s.Clock} }

const listName = "secret policies"

// List returns a page of policies by name and the cursor of the next page, or "".
func (s *Policies) List(ctx context.Context, cursor string, limit int) (_ []Policy, _ string, err error) {
	defer tried.To(&err, "list policies of secrets")
	after := ""
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	found, err := s.Rows.Policies(ctx, s.DB.Read(ctx), after, limit+1)
	if err != nil || len(found) <= limit {
		return found, "", err
	}
	found = found[:limit]
	return found, page.Encode(listName, found[limit-1].Name), nil
}

func notThere() error { return domain.Refuse(domain.NotFound, "There is no such policy.") }

// Get returns a policy; domain.NotFound when there is none.
func (s *Policies) Get(ctx context.Context, name string) (_ Policy, err error) {
	defer tried.To(&err, "get policy of secrets")
	p, found, err := s.Rows.Policy(ctx, s.DB.Read(ctx), name, authority.Unlocked)
	if err == nil && !found {
		err = notThere()
	}
	return p, err
}

// Over is the precondition of a replacement.
type Over struct {
	Absent bool        // only if there is no such policy
	Match  *etag.Match // only if its version matches; nil: in any case
}

// Put creates or replaces a policy; made is true for a new one.
func (s *Policies) Put(ctx context.Context, caller *auth.Principal, p Policy, over Over) (after Policy, made bool, err error) {
	defer tried.To(&err, "put policy of secrets")
	p.Capabilities = slices.DeleteFunc(Capabilities(), func(c Capability) bool { return !slices.Contains(p.Capabilities, c) })
	if p.Path == Own && p.Subject.Kind != OfService {
		return Policy{}, false, domain.Refuse(domain.ValidationFailed, "Only a policy for services can use the path {service}.").
			WithField("body", "/path", "enum", "can be {service} only if the subject is a service")
	}
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.hold(ctx, tx, caller, p.Subject); err != nil {
			return err
		}
		before, found, err := s.Rows.Policy(ctx, tx, p.Name, authority.Exclusive)
		if err != nil {
			return fmt.Errorf("lock policy: %w", err)
		}
		if over.Absent && found || over.Match != nil && (!found || !over.Match.HoldsState(before.Version, before.Word())) {
			return domain.Refuse(domain.PreconditionFailed, "The policy was changed since it was read, or exists already.")
		}
		made, after = !found, p
		after.UpdatedAt, after.CreatedAt, after.Version = domain.Now(s.Clock), before.CreatedAt, before.Version+1
		if made {
			after.CreatedAt = after.UpdatedAt
			return s.insert(ctx, tx, after)
		}
		if err := s.Rows.UpdatePolicy(ctx, tx, after); err != nil {
			return fmt.Errorf("store policy: %w", err)
		}
		return s.record(ctx, tx, "putSecretPolicy", after, &before)
	})
	return after, made, err
}

// hold locks the caller's rows and the subject in the common order: roles, then owners. The caller must be an administrator (domain.Forbidden), and the
// subject must exist (domain.ValidationFailed).
func (s *Policies) hold(ctx context.Context, tx *store.Tx, caller *auth.Principal, of Subject) error {
	unknown := domain.Refuse(domain.ValidationFailed, "There is no such subject.").WithField("body", "/subject/id", "enum", "is not an existing role, user or service")
	var missing error
	if of.Kind == OfRole {
		if missing = s.Roles.Check(ctx, tx, []string{of.ID}); missing != nil && !errors.Is(missing, domain.ValidationFailed) {
			return missing
		}
	}
	var refs []authority.Ref
	ref := authority.Ref{Kind: of.Kind, ID: of.ID} // for users and services the kinds have the same names
	if of.Kind != OfRole && of != (Subject{OfService, Each}) {
		refs = append(refs, ref)
	}
	held, err := s.Standing.Hold(ctx, tx, caller, refs...)
	if err != nil {
		return err
	}
	if !held.Caller.HasRole(authority.RoleAdmin) {
		return domain.Refuse(domain.Forbidden, "Only an administrator may do this.")
	}
	if missing != nil {
		return unknown
	}
	for _, ref := range refs {
		if _, found := held.Owner(ref); !found {
			return unknown
		}
	}
	return nil
}

func (s *Policies) insert(ctx context.Context, tx *store.Tx, p Policy) error {
	inserted, err := s.Rows.InsertPolicy(ctx, tx, p, MaxPolicies)
	if err != nil {
		return fmt.Errorf("store policy: %w", err)
	}
	if !inserted {
		_, found, err := s.Rows.Policy(ctx, tx, p.Name, authority.Unlocked)
		switch {
		case err != nil:
			return fmt.Errorf("read policy: %w", err)
		case found:
			return domain.Refuse(domain.PreconditionFailed, "The policy was created by another request in the meantime.")
		}
		return domain.Refuse(domain.LimitReached, fmt.Sprintf("There are at most %d policies of secrets.", MaxPolicies))
	}
	return s.record(ctx, tx, "putSecretPolicy", p, nil)
}

// Delete deletes a policy; domain.NotFound when there is none.
func (s *Policies) Delete(ctx context.Context, caller *auth.Principal, name string) (err error) {
	defer tried.To(&err, "delete policy of secrets")
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		before, found, err := s.Rows.Policy(ctx, tx, name, authority.Exclusive)
		if err != nil {
			return fmt.Errorf("lock policy: %w", err)
		}
		if !found {
			return notThere()
		}
		if err := s.Rows.DeletePolicy(ctx, tx, name); err != nil {
			return fmt.Errorf("delete policy: %w", err)
		}
		return s.record(ctx, tx, "deleteSecretPolicy", before, nil)
	})
}

// record records a policy, and what it was before.
func (s *Policies) record(ctx context.Context, tx *store.Tx, action string, p Policy, before *Policy) error {
	detail := map[string]string{"subject": p.Subject.Kind + ":" + p.Subject.ID, "path": p.Path, "capabilities": words(p.Capabilities)}
	if before != nil {
		detail["before"] = before.Subject.Kind + ":" + before.Subject.ID + " " + before.Path + " " + words(before.Capabilities)
	}
	return s.audit().Append(ctx, tx, auditlog.Event{Action: action, Target: p.Name, Detail: detail})
}

func words(capabilities []Capability) string {
	texts := make([]string, len(capabilities))
	for i, c := range capabilities {
		texts[i] = string(c)
	}
	return strings.Join(texts, " ")
}
