// Package user is the domain of users: their names, roles, passwords and invitations. It ensures that there is always an active administrator.
package user

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/etag"
	ended "github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/tried"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/password"
	"github.com/fountainai/fountain/impl/kms/internal/revocation"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/mailaddress"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
)

// The states of users and of services.
const (
	Active   = "active"
	Disabled = "disabled"
)

// User is a person.
type User struct {
	ID, Username         string
	Roles                []string // sorted
	Tenant               string   // "": the default one
	Status               string
	Version              int64
	CreatedAt, UpdatedAt time.Time
	Epoch                int64  // tokens with a lower epoch are invalid
	Email                string // for mails about the account, normalised by mailaddress.Parse; "" for none
}

// Administers reports whether the user is an active administrator.
func (u User) Administers() bool {
	return u.Status == Active && slices.Contains(u.Roles, authority.RoleAdmin)
}

// Rows are the queries of the domain.
type Rows interface {
	// Insert stores a user; false when the name is taken. An address that is taken is a violated constraint.
	Insert(ctx context.Context, tx *store.Tx, u User, passwordHash string) (bool, error)
	// Update writes roles, status, address and version if the user is at version from; false otherwise. An address that is taken is a violated
	// constraint.
	Update(ctx context.Context, tx *store.Tx, u User, from int64) (bool, error)
	// Get returns the user with an ID.
	Get(ctx context.Context, q store.Querier, id string) (User, bool, error)
	// ByName returns the user with exactly this name.
	ByName(ctx context.Context, q store.Querier, username string) (User, bool, error)
	// ByEmail returns the user with a mail address. Its case does not matter.
	ByEmail(ctx context.Context, q store.Querier, address string) (User, bool, error)
	// List returns users by name, starting after the given name.
	List(ctx context.Context, q store.Querier, after string, limit int) ([]User, error)
	// FirstAdministrator counts the first administrator; false when there already is one.
	FirstAdministrator(ctx context.Context, tx *store.Tx) (bool, error)
	// MoreAdministrators and FewerAdministrators change the number of administrators by one; Fewer is false, and changes nothing, when only one is left.
	MoreAdministrators(ctx context.Context, tx *store.Tx) error
	FewerAdministrators(ctx context.Context, tx *store.Tx) (bool, error)
	// Administrators returns the number of administrators.
	Administrators(ctx context.Context, q store.Querier) (int64, error)
	// EndSessions revokes every session of the user except but ("": all), and returns how many.
	EndSessions(ctx context.Context, tx *store.Tx, id, but string, at time.Time, reason string) (int64, error)
	// SetPassword replaces the hash of a user's password.
	SetPassword(ctx context.Context, tx *store.Tx, id, hash string, at time.Time) error
	// Delete marks a user as deleted; false when they were already deleted.
	Delete(ctx context.Context, tx *store.Tx, id string, at time.Time) (bool, error)
	// EndKeys revokes every API key of the user.
	EndKeys(ctx context.Context, tx *store.Tx, id string, at time.Time, reason string) error
	// RaiseEpoch invalidates every access token of the user, and returns the new epoch.
	RaiseEpoch(ctx context.Context, tx *store.Tx, id string) (int64, error)

	InvitationRows
	ResetRows
}

// Users is the domain of users.
type Users struct {
	db       *store.DB
	rows     Rows
	roles    Roles
	standing *authority.Standing
	feed     *revocation.Feed
	hasher   *password.Hasher
	audit    auditlog.Log
	clock    clock.Clock
}

// Roles are the checks of the roles that a user is to have.
type Roles interface {
	// Check refuses an unknown role (domain.ValidationFailed), and locks the existing ones until the transaction ends.
	Check(ctx context.Context, tx *store.Tx, names []string) error
	// Meetable refuses roles that have no accepted type of second factor in common. When the roles are for the caller (self is not nil), it also refuses
	// roles that do not accept the type of second factor that the caller has just presented.
	Meetable(ctx context.Context, tx *store.Tx, names []string, self *auth.Principal) error
	// Loosen removes the roles' own requirements of a second factor.
	Loosen(ctx context.Context, tx *store.Tx, names []string) error
}

// New returns the domain of users.
func New(db *store.DB, rows Rows, roles Roles, standing *authority.Standing, feed *revocation.Feed, hasher *password.Hasher, c clock.Clock) *Users {
	return &Users{db, rows, roles, standing, feed, hasher, auditlog.Log{Clock: c}, c}
}

// Draft is a user to be created. Its password is already hashed, since hashing takes too long for a transaction.
type Draft struct {
	username, hash, tenant, email string
	roles                         []string
}

// At returns the draft with a mail address; "" is none. It fails with domain.ValidationFailed for an invalid address.
func (d Draft) At(email string) (Draft, error) {
	parsed, err := parseEmail(email)
	d.email = parsed
	return d, err
}

func parseEmail(email string) (string, error) {
	if email == "" {
		return "", nil
	}
	parsed, err := mailaddress.Parse(email)
	if err != nil {
		return "", domain.Refuse(domain.ValidationFailed, "This is not a mail address.").WithField("body", "/email", "email", err.Error())
	}
	return parsed, nil
}

// emailTaken translates a violated unique constraint into a refusal of the address. It returns other errors unchanged.
func emailTaken(err error) error {
	if store.IsUnique(err) {
		return domain.Refuse(domain.AlreadyExists, "Another user has this mail address.").WithField("body", "/email", "unique", "is already used by another user").Because(err)
	}
	return err
}

// Draft checks name and password and hashes the password. A name that ends with a dot and an administrator of a tenant are domain.ValidationFailed, a weak
// password domain.WeakPassword. It fails with domain.Overloaded when too many passwords are being hashed.
func (s *Users) Draft(ctx context.Context, username, secret, tenant string, roles []string) (_ Draft, err error) {
	defer tried.To(&err, "draft user")
	if err := checkTenant(tenant, roles); err != nil {
		return Draft{}, err
	}
	if strings.HasSuffix(username, ".") {
		// Failed sign-ins as "ada" and "ada." are counted together. The owner of one name could clear the count of their guesses at the other.
		return Draft{}, domain.Refuse(domain.ValidationFailed, "The username ends with a dot.").
			WithField("body", "/username", "pattern", "must not end with a dot")
	}
	if err := password.Check(secret, username); err != nil {
		return Draft{}, err
	}
	hash, err := s.hasher.Hash(ctx, secret)
	if err != nil {
		return Draft{}, err
	}
	roles = slices.Clone(roles)
	sort.Strings(roles)
	return Draft{username: username, hash: hash, tenant: tenant, roles: slices.Compact(roles)}, nil
}

// checkTenant refuses the role admin for a user of a tenant, since administrators act on all tenants.
func checkTenant(tenant string, roles []string) error {
	if tenant != "" && slices.Contains(roles, authority.RoleAdmin) {
		return domain.Refuse(domain.ValidationFailed, "An administrator can't belong to a tenant.").
			WithField("body", "/roles", "tenant", "must not include admin for a user of a tenant")
	}
	return nil
}

// MayAdminister locks the caller's rows and those that the transaction acts on, and refuses a caller who is currently no administrator with
// domain.Forbidden.
func (s *Users) MayAdminister(ctx context.Context, tx *store.Tx, caller *auth.Principal, acts ...authority.Ref) error {
	return s.standing.HoldAdministrator(ctx, tx, caller, acts...)
}

// assignedRoles returns the roles that a change assigns; nil when it leaves them. The roles that a user already has need no lock, because a role that a user has can't
// be deleted.
func (c Change) assignedRoles() []string {
	if c.Roles == nil {
		return nil
	}
	return *c.Roles
}

// checkMeetable refuses roles whose policies the user can't meet.
func (s *Users) checkMeetable(ctx context.Context, tx *store.Tx, caller *auth.Principal, userID string, c Change) error {
	if c.Roles == nil {
		return nil
	}
	var self *auth.Principal
	if userID == caller.Subject {
		self = caller
	}
	return s.roles.Meetable(ctx, tx, (User{}).with(c).Roles, self)
}

// lockRoles locks the roles that are to be assigned to a user. It must be called before the user is locked, in the same order as changes of roles. The refusal
// of an unknown role is returned separately, so that a refusal of the caller takes precedence.
func (s *Users) lockRoles(ctx context.Context, tx *store.Tx, names []string) (unknown, err error) {
	names = slices.Clone(names)
	slices.Sort(names)
	err = s.roles.Check(ctx, tx, names)
	if errors.Is(err, domain.ValidationFailed) {
		return err, nil
	}
	return nil, err
}

// Created is a user who has just been created.
type Created struct {
	User
	Invitation Invitation // only for an administrator
}

// Create creates a user; a taken name is domain.AlreadyExists. A new administrator gets an invitation to enrol a second factor.
func (s *Users) Create(ctx context.Context, tx *store.Tx, caller *auth.Principal, d Draft) (_ Created, err error) {
	defer tried.To(&err, "create user")
	unknown, err := s.lockRoles(ctx, tx, d.roles)
	if err != nil {
		return Created{}, err
	}
	if err := s.MayAdminister(ctx, tx, caller); err != nil {
		return Created{}, err
	}
	if unknown != nil {
		return Created{}, unknown
	}
	if err := s.roles.Meetable(ctx, tx, d.roles, nil); err != nil {
		return Created{}, err
	}
	u, err := s.insert(ctx, tx, d)
	if err != nil {
		return Created{}, err
	}
	if u.Administers() {
		if err := s.rows.MoreAdministrators(ctx, tx); err != nil {
			return Created{}, fmt.Errorf("count administrators: %w", err)
		}
	}
	return s.created(ctx, tx, u, "createUser")
}

// CreateFirst creates the first administrator; domain.BootstrapClosed when there already is one.
func (s *Users) CreateFirst(ctx context.Context, tx *store.Tx, d Draft) (_ Created, err error) {
	defer tried.To(&err, "create first administrator")
	first, err := s.rows.FirstAdministrator(ctx, tx)
	if err != nil {
		return Created{}, fmt.Errorf("count the first administrator: %w", err)
	}
	if !first {
		return Created{}, domain.Refuse(domain.BootstrapClosed, "There is an administrator already.")
	}
	u, err := s.insert(ctx, tx, d)
	if err != nil {
		return Created{}, err
	}
	return s.created(ctx, tx, u, "bootstrapAdmin")
}

func (s *Users) created(ctx context.Context, tx *store.Tx, u User, action string) (c Created, err error) {
	c.User = u
	if u.Administers() {
		if c.Invitation, err = s.invite(ctx, tx, u.ID); err != nil {
			return Created{}, err
		}
	}
	return c, s.audit.Append(ctx, tx, auditlog.Event{Action: action, Target: u.ID, Detail: map[string]string{"roles": strings.Join(u.Roles, " ")}})
}

func (s *Users) insert(ctx context.Context, tx *store.Tx, d Draft) (User, error) {
	now := domain.Now(s.clock)
	u := User{ID: id.New("usr"), Username: d.username, Tenant: d.tenant, Roles: d.roles, Status: Active, Version: 1, CreatedAt: now, UpdatedAt: now, Email: d.email}
	inserted, err := s.rows.Insert(ctx, tx, u, d.hash)
	if err != nil {
		return User{}, fmt.Errorf("store user: %w", emailTaken(err))
	}
	if !inserted {
		return User{}, domain.Refuse(domain.AlreadyExists, "The username is taken.").
			WithField("body", "/username", "unique", "is taken")
	}
	return u, nil
}

// Get returns a user; domain.NotFound when there is none.
func (s *Users) Get(ctx context.Context, userID string) (User, error) {
	return s.GetIn(ctx, s.db.Read(ctx), userID)
}

// GetIn is Get in a transaction.
func (s *Users) GetIn(ctx context.Context, q store.Querier, userID string) (User, error) {
	u, found, err := s.rows.Get(ctx, q, userID)
	if err != nil {
		return User{}, fmt.Errorf("read user: %w", err)
	}
	if !found {
		return User{}, NotFound()
	}
	return u, nil
}

// NotFound returns the refusal for a user who does not exist, or whom the caller may not see.
func NotFound() error { return domain.Refuse(domain.NotFound, "There is no such user.") }

const listName = "users"

// List returns a page of users by name and the cursor of the next page, or "".
func (s *Users) List(ctx context.Context, cursor string, limit int) (_ []User, _ string, err error) {
	defer tried.To(&err, "list users")
	var after string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &after); err != nil {
			return nil, "", err
		}
	}
	users, err := s.rows.List(ctx, s.db.Read(ctx), after, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list users: %w", err)
	}
	if len(users) <= limit {
		return users, "", nil
	}
	users = users[:limit]
	return users, page.Encode(listName, users[limit-1].Username), nil
}

// Change is a partial update of a user; nil fields stay as they are.
type Change struct {
	Roles  *[]string
	Status *string
	Email  *string // "" removes the address
}

// Update applies the change if match holds for the user's version, else it fails with domain.PreconditionFailed. The last active administrator can't be
// disabled or demoted (domain.LastAdministrator). Disabling a user ends all their sessions and keys. A change of roles ends their access tokens, so
// that the next ones carry the new roles. When the address changes, moved is called with the user as they were before.
func (s *Users) Update(ctx context.Context, caller *auth.Principal, userID string, match etag.Match, change Change, moved ...Then) (_ User, err error) {
	defer tried.To(&err, "update user")
	if change.Email != nil {
		parsed, err := parseEmail(*change.Email)
		if err != nil {
			return User{}, err
		}
		change.Email = &parsed
	}
	var after User
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		unknown, err := s.lockRoles(ctx, tx, change.assignedRoles())
		if err != nil {
			return err
		}
		if err := s.MayAdminister(ctx, tx, caller, authority.Ref{Kind: auth.KindUser, ID: userID}); err != nil {
			return err
		}
		before, found, err := s.rows.Get(ctx, tx, userID)
		if err != nil {
			return fmt.Errorf("read user: %w", err)
		}
		if !found {
			return NotFound()
		}
		after = before.with(change)
		if err := checkTenant(before.Tenant, after.Roles); err != nil {
			return err
		}
		if unknown != nil {
			return unknown
		}
		if err := s.checkMeetable(ctx, tx, caller, userID, change); err != nil {
			return err
		}
		after.Version, after.UpdatedAt = before.Version+1, domain.Now(s.clock)
		if !match.Holds(before.Version) {
			return stale()
		}
		// The version that was read is the one that is replaced, so the count of administrators is consistent with before.
		if updated, err := s.rows.Update(ctx, tx, after, before.Version); err != nil || !updated {
			return orStale(err)
		}
		if after.Email != before.Email {
			for _, do := range moved {
				if err := do(ctx, tx, before); err != nil {
					return err
				}
			}
		}
		return s.applyConsequences(ctx, tx, before, after)
	})
	return after, err
}

// countAdministrators updates the number of active administrators, and refuses to remove the last one (domain.LastAdministrator).
func (s *Users) countAdministrators(ctx context.Context, tx *store.Tx, before, after User) error {
	switch {
	case after.Administers() && !before.Administers():
		if err := s.rows.MoreAdministrators(ctx, tx); err != nil {
			return fmt.Errorf("count administrators: %w", err)
		}
	case before.Administers() && !after.Administers():
		others, err := s.rows.FewerAdministrators(ctx, tx)
		if err != nil {
			return fmt.Errorf("count administrators: %w", err)
		}
		if !others {
			return domain.Refuse(domain.LastAdministrator, "The last active administrator can be neither disabled nor demoted.")
		}
	}
	return nil
}

// applyConsequences ends the access that a change takes away, and records the change.
func (s *Users) applyConsequences(ctx context.Context, tx *store.Tx, before, after User) error {
	if err := s.countAdministrators(ctx, tx, before, after); err != nil {
		return err
	}
	if after.Status == Disabled {
		if err := s.endAccess(ctx, tx, after.ID, "user disabled"); err != nil {
			return err
		}
	}
	if after.Status != before.Status || !slices.Equal(after.Roles, before.Roles) {
		if err := s.endTokens(ctx, tx, after.ID); err != nil {
			return err
		}
	}
	if after.Email != before.Email || before.Administers() && !after.Administers() {
		if err := s.endInvitations(ctx, tx, after.ID); err != nil { // they must not work for whoever reads the old address, nor if the user becomes an administrator again
			return err
		}
	}
	detail := map[string]string{"status": after.Status, "roles": strings.Join(after.Roles, " ")}
	if after.Email != before.Email {
		if err := s.rows.EndResets(ctx, tx, after.ID, after.UpdatedAt); err != nil { // whoever reads the old address must not be able to choose a password
			return fmt.Errorf("end password resets: %w", err)
		}
		detail["email"] = "none"
		if after.Email != "" {
			detail["email"] = mailaddress.Mask(after.Email)
		}
	}
	return s.audit.Append(ctx, tx, auditlog.Event{Action: "updateUser", Target: after.ID, Detail: detail})
}

// endAccess ends every session, key, reset and invitation of the user.
func (s *Users) endAccess(ctx context.Context, tx *store.Tx, userID, reason string) error {
	now := domain.Now(s.clock)
	if _, err := s.rows.EndSessions(ctx, tx, userID, "", now, reason); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if err := s.rows.EndKeys(ctx, tx, userID, now, reason); err != nil {
		return fmt.Errorf("end keys: %w", err)
	}
	if err := s.rows.EndResets(ctx, tx, userID, now); err != nil {
		return fmt.Errorf("end password resets: %w", err)
	}
	return s.endInvitations(ctx, tx, userID)
}

// endTokens invalidates every access token of the user.
func (s *Users) endTokens(ctx context.Context, tx *store.Tx, userID string) error {
	epoch, err := s.rows.RaiseEpoch(ctx, tx, userID)
	if err != nil {
		return fmt.Errorf("end tokens: %w", err)
	}
	s.feed.Append(tx, ended.Owner, userID, epoch)
	return nil
}

func (u User) with(c Change) User {
	if c.Roles != nil {
		u.Roles = slices.Clone(*c.Roles)
		sort.Strings(u.Roles)
		u.Roles = slices.Compact(u.Roles)
	}
	if c.Status != nil {
		u.Status = *c.Status
	}
	if c.Email != nil {
		u.Email = *c.Email
	}
	return u
}

func stale() error {
	return domain.Refuse(domain.PreconditionFailed, "The user was changed since it was read.")
}

func orStale(err error) error {
	if err != nil {
		return fmt.Errorf("store user: %w", emailTaken(err))
	}
	return stale()
}
