// Package role is the domain of roles: the built-in ones, and those that administrators define.
package role

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/page"
	ended "github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// MaxRoles is the limit of defined roles.
const MaxRoles = 200

// Role grants scopes to the users who have it.
type Role struct {
	Name                 string
	Scopes               []string // sorted
	Version              int64    // 0 for a built-in role
	CreatedAt, UpdatedAt time.Time
	SecondFactor         authority.SecondFactor
}

// BuiltIn reports whether the role is built in.
func (r Role) BuiltIn() bool { return r.Version == 0 }

// Tag returns the role's ETag, which counts the changes of the role and of its second-factor policy. It is 1 for a role that was never changed.
func (r Role) Tag() int64 { return max(r.Version, 1) + r.SecondFactor.Version }

// Rows are the queries of the domain.
type Rows interface {
	// List returns all defined roles by name.
	List(ctx context.Context, q store.Querier) ([]Role, error)
	// Get reads a defined role and locks it. Outside a transaction lock must be authority.Unlocked.
	Get(ctx context.Context, q store.Querier, name string, lock authority.Lock) (Role, bool, error)
	// Insert stores a role; false when the name is taken.
	Insert(ctx context.Context, tx *store.Tx, r Role) (bool, error)
	// Update writes the scopes and the version of a role that the caller has locked.
	Update(ctx context.Context, tx *store.Tx, r Role) error
	// Delete deletes a role.
	Delete(ctx context.Context, tx *store.Tx, name string) error
	authority.SecondFactors
	// PutSecondFactor replaces a role's policy if it is at version from, and raises the version; false otherwise.
	PutSecondFactor(ctx context.Context, tx *store.Tx, role string, p authority.SecondFactor, from int64, at time.Time) (bool, error)
	// LoosenSecondFactor removes all requirements from a role's policy; false when it had none.
	LoosenSecondFactor(ctx context.Context, tx *store.Tx, role string, at time.Time) (bool, error)
	// Governed reports whether a policy for secrets names the role.
	Governed(ctx context.Context, q store.Querier, name string) (bool, error)
	// Holders returns the IDs of the users who have a role.
	Holders(ctx context.Context, q store.Querier, name string) ([]string, error)
	// LockHolders locks the users who have one of the roles, and one further user, in the common order.
	LockHolders(ctx context.Context, tx *store.Tx, roles []string, userID string) error
	// Declared returns every scope declared by registered services, by name.
	Declared(ctx context.Context, q store.Querier) ([]authority.Scope, error)
	// Declares returns which of the scopes are declared by a service, and locks them until the transaction ends.
	Declares(ctx context.Context, tx *store.Tx, scopes []string) ([]string, error)
}

// Epochs invalidates access tokens.
type Epochs interface {
	// RaiseEpoch invalidates every access token of a user, and returns the new epoch.
	RaiseEpoch(ctx context.Context, tx *store.Tx, id string) (int64, error)
}

// Roles is the domain of roles.
type Roles struct {
	DB        *store.DB
	Rows      Rows
	Users     Epochs
	Standing  *authority.Standing
	Catalogue *authority.Catalogue
	Feed      *revocation.Feed
	Clock     clock.Clock
}

func (s *Roles) audit() auditlog.Log { return auditlog.Log{Clock: s.Clock} }

// Scopes returns all scopes of the family and of registered services, by name.
func (s *Roles) Scopes(ctx context.Context) ([]authority.Scope, error) {
	declared, err := s.Rows.Declared(ctx, s.DB.Read(ctx))
	if err != nil {
		return nil, fmt.Errorf("read declared scopes: %w", err)
	}
	all := append(s.Catalogue.Scopes(), declared...)
	slices.SortFunc(all, func(a, b authority.Scope) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// ListScopes returns a page of Scopes and the cursor of the next page, or "".
func (s *Roles) ListScopes(ctx context.Context, cursor string, limit int) (_ []authority.Scope, _ string, err error) {
	defer tried.To(&err, "list scopes")
	all, err := s.Scopes(ctx)
	if err != nil {
		return nil, "", err
	}
	return cut("scopes", all, func(one authority.Scope) string { return one.Name }, cursor, limit)
}

// List returns a page of roles by name and the cursor of the next page, or "".
func (s *Roles) List(ctx context.Context, cursor string, limit int) (_ []Role, _ string, err error) {
	defer tried.To(&err, "list roles")
	q := s.DB.Read(ctx)
	all, err := s.Rows.List(ctx, q)
	if err != nil {
		return nil, "", fmt.Errorf("list roles: %w", err)
	}
	declared, err := s.declared(ctx, q)
	if err != nil {
		return nil, "", err
	}
	for _, name := range authority.BuiltIns() {
		all = append(all, builtIn(name, declared))
	}
	slices.SortFunc(all, func(a, b Role) int { return strings.Compare(a.Name, b.Name) })
	page, next, err := cut("roles", all, func(r Role) string { return r.Name }, cursor, limit)
	if err != nil {
		return nil, "", err
	}
	return page, next, s.withPolicies(ctx, q, page)
}

func builtIn(name string, declared []string) Role {
	return Role{Name: name, Scopes: authority.ScopesOf([]string{name}, authority.Definitions{Declared: declared})}
}

func (s *Roles) declared(ctx context.Context, q store.Querier) ([]string, error) {
	declared, err := s.Rows.Declared(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read declared scopes: %w", err)
	}
	names := make([]string, len(declared))
	for i, scope := range declared {
		names[i] = scope.Name
	}
	return names, nil
}

// cut returns the page of a sorted list after the cursor, and the cursor of the next page.
func cut[T any](name string, all []T, key func(T) string, cursor string, limit int) ([]T, string, error) {
	after := ""
	if cursor != "" {
		if err := page.Decode(name, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	from := sort.Search(len(all), func(i int) bool { return key(all[i]) > after })
	all = all[from:]
	if len(all) <= limit {
		return all, "", nil
	}
	return all[:limit], page.Encode(name, key(all[limit-1])), nil
}

// Get returns a role; domain.NotFound when there is none.
func (s *Roles) Get(ctx context.Context, name string) (_ Role, err error) {
	defer tried.To(&err, "get role")
	q := s.DB.Read(ctx)
	return s.read(ctx, q, name, authority.Unlocked)
}

// read returns a role with its policy, and locks it if it is a defined one; domain.NotFound when there is none.
func (s *Roles) read(ctx context.Context, q store.Querier, name string, lock authority.Lock) (Role, error) {
	roles := make([]Role, 1)
	if authority.BuiltIn(name) {
		declared, err := s.declared(ctx, q)
		if err != nil {
			return Role{}, err
		}
		roles[0] = builtIn(name, declared)
	} else {
		r, found, err := s.Rows.Get(ctx, q, name, lock)
		if err != nil {
			return Role{}, fmt.Errorf("read role: %w", err)
		}
		if !found {
			return Role{}, notFound()
		}
		roles[0] = r
	}
	err := s.withPolicies(ctx, q, roles)
	return roles[0], err
}

// Check refuses an unknown role with domain.ValidationFailed, and locks the defined ones (shared) until the transaction ends.
func (s *Roles) Check(ctx context.Context, tx *store.Tx, names []string) (err error) {
	defer tried.To(&err, "check roles")
	for _, name := range names {
		if authority.BuiltIn(name) {
			continue
		}
		_, found, err := s.Rows.Get(ctx, tx, name, authority.Shared)
		if err != nil {
			return fmt.Errorf("read role: %w", err)
		}
		if !found {
			return domain.Refuse(domain.ValidationFailed, "There is no such role.").
				WithField("body", "/roles", "enum", "contains a role that is not defined; listRoles lists the defined ones")
		}
	}
	return nil
}

// Over is the precondition of a replacement.
type Over struct {
	Absent bool        // only if there is no such role
	Match  *etag.Match // only if its version matches; nil: in any case
}

// Put creates or changes a role; made is true for a new one. Removing scopes ends the access tokens of all users who have the role.
func (s *Roles) Put(ctx context.Context, caller *auth.Principal, name string, scopes []string, over Over) (after Role, made bool, err error) {
	defer tried.To(&err, "put role")
	if err := mayChange(name); err != nil {
		return Role{}, false, err
	}
	scopes = slices.Clone(scopes)
	sort.Strings(scopes)
	scopes = slices.Compact(scopes)
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		// The role's row is locked first: a transaction that assigns the role to a user holds it too.
		before, found, err := s.Rows.Get(ctx, tx, name, authority.Exclusive)
		if err != nil {
			return fmt.Errorf("lock role: %w", err)
		}
		if found && !authority.Covers(scopes, before.Scopes) { // their tokens will be invalidated
			if err := s.Rows.LockHolders(ctx, tx, []string{name}, caller.Subject); err != nil {
				return fmt.Errorf("lock the users who have the role: %w", err)
			}
		}
		if err := s.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		if err := s.checkAssignable(ctx, tx, scopes); err != nil {
			return err
		}
		roles := []Role{before}
		if err := s.withPolicies(ctx, tx, roles); err != nil {
			return err
		}
		before = roles[0]
		if over.Absent && found || over.Match != nil && (!found || !over.Match.Holds(before.Tag())) {
			return domain.Refuse(domain.PreconditionFailed, "The role was changed since it was read, or exists already.")
		}
		made = !found
		after = before
		after.Name, after.Scopes, after.UpdatedAt, after.Version = name, scopes, domain.Now(s.Clock), before.Version+1
		if made {
			after.CreatedAt = after.UpdatedAt
			return s.insert(ctx, tx, after)
		}
		return s.change(ctx, tx, before, after)
	})
	return after, made, err
}

func (s *Roles) insert(ctx context.Context, tx *store.Tx, r Role) error {
	all, err := s.Rows.List(ctx, tx)
	if err != nil {
		return fmt.Errorf("count roles: %w", err)
	}
	if len(all) >= MaxRoles {
		return domain.Refuse(domain.LimitReached, fmt.Sprintf("There are at most %d roles.", MaxRoles))
	}
	inserted, err := s.Rows.Insert(ctx, tx, r)
	if err != nil {
		return fmt.Errorf("store role: %w", err)
	}
	if !inserted {
		return domain.Refuse(domain.PreconditionFailed, "The role was created by another request in the meantime.")
	}
	return s.record(ctx, tx, "putRole", r)
}

func (s *Roles) change(ctx context.Context, tx *store.Tx, before, after Role) error {
	if err := s.Rows.Update(ctx, tx, after); err != nil {
		return fmt.Errorf("store role: %w", err)
	}
	if !authority.Covers(after.Scopes, before.Scopes) {
		if err := s.endTokens(ctx, tx, after.Name); err != nil {
			return err
		}
	}
	return s.record(ctx, tx, "putRole", after)
}

// endTokens invalidates the access tokens of all users who have one of the roles, in the order of their IDs.
func (s *Roles) endTokens(ctx context.Context, tx *store.Tx, names ...string) error {
	var holders []string
	for _, name := range names {
		some, err := s.Rows.Holders(ctx, tx, name)
		if err != nil {
			return fmt.Errorf("find the users who have the role: %w", err)
		}
		holders = append(holders, some...)
	}
	slices.Sort(holders)
	for _, id := range slices.Compact(holders) {
		epoch, err := s.Users.RaiseEpoch(ctx, tx, id)
		if err != nil {
			return fmt.Errorf("end tokens: %w", err)
		}
		s.Feed.Append(tx, ended.Owner, id, epoch)
	}
	return nil
}

// HoldCarrying locks what Withdraw will change: the roles that carry one of the scopes, then the caller and all users who have one of these roles or are
// administrators, in the common order. It must be called before the caller is locked: two concurrent withdrawals that each hold their caller's row would
// deadlock. Withdraw sees roles and users that are added meanwhile.
func (s *Roles) HoldCarrying(ctx context.Context, tx *store.Tx, caller *auth.Principal, scopes []string) (err error) {
	defer tried.To(&err, "lock the users who have scopes by a role")
	roles, err := s.lockRolesWith(ctx, tx, scopes)
	if err != nil {
		return err
	}
	names := []string{authority.RoleAdmin}
	for _, r := range roles {
		names = append(names, r.Name)
	}
	return s.Rows.LockHolders(ctx, tx, names, caller.Subject)
}

// lockRolesWith locks the roles that carry one of the scopes, in the order of their names, and returns them.
func (s *Roles) lockRolesWith(ctx context.Context, tx *store.Tx, scopes []string) (carrying []Role, err error) {
	carries := func(r Role) bool {
		return slices.ContainsFunc(r.Scopes, func(scope string) bool { return slices.Contains(scopes, scope) })
	}
	roles, err := s.Rows.List(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	for _, r := range roles {
		if !carries(r) {
			continue
		}
		held, found, err := s.Rows.Get(ctx, tx, r.Name, authority.Exclusive)
		if err != nil {
			return nil, fmt.Errorf("lock role: %w", err)
		}
		if found && carries(held) {
			carrying = append(carrying, held)
		}
	}
	return carrying, nil
}

// Withdraw removes scopes that are no longer declared from every role, and ends the tokens of all users who had them by a role; administrators have every
// declared scope. It sees every role that carries one: a transaction that adds a scope to a role locks its declaration until it commits.
func (s *Roles) Withdraw(ctx context.Context, tx *store.Tx, scopes []string) (err error) {
	defer tried.To(&err, "withdraw scopes from roles")
	roles, err := s.lockRolesWith(ctx, tx, scopes)
	if err != nil {
		return err
	}
	names := []string{authority.RoleAdmin}
	for _, r := range roles {
		r.Scopes = slices.DeleteFunc(slices.Clone(r.Scopes), func(scope string) bool { return slices.Contains(scopes, scope) })
		r.Version, r.UpdatedAt = r.Version+1, domain.Now(s.Clock)
		if err := s.Rows.Update(ctx, tx, r); err != nil {
			return fmt.Errorf("store role: %w", err)
		}
		if err := s.record(ctx, tx, "putRole", r); err != nil {
			return err
		}
		names = append(names, r.Name)
	}
	return s.endTokens(ctx, tx, names...)
}

// Delete deletes a role. It is domain.StateConflict while a user has the role or a policy for secrets names it: a later role of the same name would inherit
// that policy.
func (s *Roles) Delete(ctx context.Context, caller *auth.Principal, name string) (err error) {
	defer tried.To(&err, "delete role")
	if err := mayChange(name); err != nil {
		return err
	}
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		r, found, err := s.Rows.Get(ctx, tx, name, authority.Exclusive)
		if err != nil {
			return fmt.Errorf("lock role: %w", err)
		}
		if err := s.Standing.HoldAdministrator(ctx, tx, caller); err != nil {
			return err
		}
		if !found {
			return notFound()
		}
		holders, err := s.Rows.Holders(ctx, tx, name)
		if err != nil {
			return fmt.Errorf("find the users who have the role: %w", err)
		}
		if len(holders) > 0 {
			return domain.Refuse(domain.StateConflict, "Users have this role; remove it from them first.")
		}
		governed, err := s.Rows.Governed(ctx, tx, name)
		if err != nil {
			return fmt.Errorf("find policies for the role: %w", err)
		}
		if governed {
			return domain.Refuse(domain.StateConflict, "Policies of secrets apply to this role; delete them first.")
		}
		if err := s.Rows.Delete(ctx, tx, name); err != nil {
			return fmt.Errorf("delete role: %w", err)
		}
		return s.record(ctx, tx, "deleteRole", r)
	})
}

func (s *Roles) record(ctx context.Context, tx *store.Tx, action string, r Role) error {
	return s.audit().Append(ctx, tx, auditlog.Event{Action: action, Target: r.Name, Detail: map[string]string{"scopes": strings.Join(r.Scopes, " ")}})
}

// checkAssignable refuses scopes that a role can't carry, and locks the declared ones. A concurrent withdrawal of such a scope waits, and then finds the role.
func (s *Roles) checkAssignable(ctx context.Context, tx *store.Tx, scopes []string) error {
	declared, err := s.Rows.Declares(ctx, tx, scopes)
	if err != nil {
		return fmt.Errorf("read declared scopes: %w", err)
	}
	for _, scope := range scopes {
		if !s.Catalogue.Assignable(scope) && !slices.Contains(declared, scope) {
			return domain.Refuse(domain.ValidationFailed, "A role can't have one of the scopes.").
				WithField("body", "/scopes", "enum", "contains a scope that no registered service declares and that is not a user's scope of sequence, search or secrets")
		}
	}
	return nil
}

func mayChange(name string) error {
	if authority.BuiltIn(name) {
		return domain.Refuse(domain.Forbidden, "The roles admin, editor and reader are built in and can't be changed.")
	}
	return nil
}

func notFound() error { return domain.Refuse(domain.NotFound, "There is no such role.") }
