package session

import (
	"context"
	"fmt"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/page"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// ChangePassword sets a new password for the caller. It requires the current one, and a wrong one counts as a failed sign-in. The token of an API
// key can't change a password (domain.Forbidden), and a user can't change another's (domain.NotFound).
func (s *Sessions) ChangePassword(ctx context.Context, caller *auth.Principal, userID, current, next string) (err error) {
	defer tried.To(&err, "change password")
	switch {
	case userID != caller.Subject:
		return user.NotFound()
	case caller.SessionID == "":
		return domain.Refuse(domain.Forbidden, "An API key can't change a password; sign in to change it.")
	}
	u, err := s.Accounts.Get(ctx, userID)
	if err != nil {
		return err
	}
	who := identity(u.Username)
	release, err := s.queue.wait(ctx, who)
	if err != nil {
		return err
	}
	defer release()
	known, good, err := s.checkCredentials(ctx, who, u.Username, current)
	if err != nil {
		return err
	}
	if !good {
		return s.refuse(ctx, known)
	}
	hash, err := s.Accounts.HashFor(ctx, u.Username, next)
	if err != nil {
		return err
	}
	if err := s.Accounts.SetOwnPassword(ctx, caller, hash); err != nil {
		return err
	}
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return s.ForgiveIn(ctx, tx, u.Username) })
}

// ResetPassword sets a new password for the user of a reset token, clears their failed sign-ins, and runs then in the same transaction.
func (s *Sessions) ResetPassword(ctx context.Context, token, next string, then ...user.Then) error {
	forgive := func(ctx context.Context, tx *store.Tx, u user.User) error { return s.ForgiveIn(ctx, tx, u.Username) }
	return s.Accounts.ResetPassword(ctx, token, next, append([]user.Then{forgive}, then...)...)
}

// Unlock clears a user's failed sign-ins; it is for administrators.
func (s *Sessions) Unlock(ctx context.Context, caller *auth.Principal, userID string) (err error) {
	defer tried.To(&err, "unlock user")
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.Accounts.MayAdminister(ctx, tx, caller); err != nil {
			return err
		}
		u, found, err := s.Users.Get(ctx, tx, userID)
		if err != nil {
			return fmt.Errorf("read user: %w", err)
		}
		if !found {
			return user.NotFound()
		}
		if err := s.ForgiveIn(ctx, tx, u.Username); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "unlockUser", Target: userID})
	})
}

// Caller is the principal that manages sessions. StepUp returns an error unless the caller has presented a second factor.
type Caller struct {
	*auth.Principal
	StepUp func() error
}

// may allows users to act on their own sessions, and administrators with a second factor on everyone's. To other callers a user other than themselves
// does not exist (domain.NotFound).
func (c Caller) may(now authority.Owner, userID string) error {
	switch {
	case userID == c.Subject:
		return nil
	case !now.HasRole(authority.RoleAdmin):
		return user.NotFound()
	}
	return c.StepUp()
}

const listName = "sessions"

// List returns a page of a user's sessions that have not ended, newest first, and the cursor of the next page, or "".
func (s *Sessions) List(ctx context.Context, caller Caller, userID, cursor string, limit int) (_ []Family, _ string, err error) {
	defer tried.To(&err, "list sessions")
	var before string
	if cursor != "" {
		if err := page.Decode(listName, cursor, &before); err != nil {
			return nil, "", err
		}
	}
	if err := caller.may(authority.Owner{Roles: caller.Roles}, userID); err != nil {
		return nil, "", err
	}
	if _, err := s.Accounts.Get(ctx, userID); err != nil {
		return nil, "", err
	}
	families, err := s.Rows.Families(ctx, s.DB.Read(ctx), userID, before, s.Clock.Now(), limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list sessions: %w", err)
	}
	if len(families) <= limit {
		return families, "", nil
	}
	families = families[:limit]
	return families, page.Encode(listName, families[limit-1].ID), nil
}

// RevokeOne ends one session of a user; it fails with domain.NotFound when the user has no such session. Repeating it is safe.
func (s *Sessions) RevokeOne(ctx context.Context, caller Caller, userID, sid string) (err error) {
	defer tried.To(&err, "revoke session")
	return s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.lockUser(ctx, tx, caller, userID); err != nil {
			return err
		}
		owner, found, err := s.Rows.UserOf(ctx, tx, sid)
		if err != nil {
			return fmt.Errorf("read session: %w", err)
		}
		if !found || owner != userID {
			return domain.Refuse(domain.NotFound, "There is no such session.")
		}
		return s.end(ctx, tx, sid, "revokeSession", "revoked", auditlog.Event{})
	})
}

// RevokeAll ends all sessions of a user and returns how many.
func (s *Sessions) RevokeAll(ctx context.Context, caller Caller, userID string) (n int64, err error) {
	defer tried.To(&err, "revoke sessions")
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.lockUser(ctx, tx, caller, userID); err != nil {
			return err
		}
		if n, err = s.Accounts.EndSessions(ctx, tx, userID, "revoked"); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "revokeSessions", Target: userID})
	})
	return n, err
}

// lockUser locks the caller's rows and the user, and checks that the caller may end the user's sessions.
func (s *Sessions) lockUser(ctx context.Context, tx *store.Tx, caller Caller, userID string) error {
	ref := authority.Ref{Kind: auth.KindUser, ID: userID}
	held, err := s.Standing.Hold(ctx, tx, caller.Principal, ref)
	if err != nil {
		return err
	}
	if err := caller.may(held.Caller, userID); err != nil {
		return err
	}
	if _, found := held.Owner(ref); !found {
		return user.NotFound()
	}
	return nil
}

// Current reports whether the caller's token belongs to the session.
func (f Family) Current(caller *auth.Principal) bool { return f.ID == caller.SessionID }

// ForgiveIn clears the failed sign-ins of a username in the caller's transaction.
func (s *Sessions) ForgiveIn(ctx context.Context, tx *store.Tx, username string) error {
	if err := s.Rows.Forgive(ctx, tx, identity(username), domain.Now(s.Clock)); err != nil {
		return fmt.Errorf("forgive failed sign-ins: %w", err)
	}
	return nil
}
