package user

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/password"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/mailaddress"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// ResetLife is how long a password reset created by an administrator can be used.
const ResetLife = time.Hour

// Reset is a single-use token that lets a user choose a new password.
type Reset struct {
	Token     string
	ExpiresAt time.Time
}

// ResetRows are the queries for password resets.
type ResetRows interface {
	// InsertReset stores a reset by the hash of its token, and invalidates older unused resets of the user.
	// mailed says that the token is sent by mail.
	InsertReset(ctx context.Context, tx *store.Tx, hash []byte, userID string, mailed bool, at, expires time.Time) error
	// ResetUser returns the user of a reset; open is false when the reset can't be used at the time.
	ResetUser(ctx context.Context, q store.Querier, hash []byte, at time.Time) (userID string, open bool, err error)
	// UseReset marks a reset as used, and returns whether its token was sent by mail; used is false when it can't be used at the time.
	UseReset(ctx context.Context, tx *store.Tx, hash []byte, at time.Time) (mailed, used bool, err error)
	// SetMailed stores whether the user's password was chosen with a token that was sent by mail.
	SetMailed(ctx context.Context, tx *store.Tx, id string, mailed bool) error
	// EndResets invalidates a user's unused resets, and fails the waiting mails with them.
	EndResets(ctx context.Context, tx *store.Tx, userID string, at time.Time) error
	// SweepTokens deletes resets and invitations that expired before the time.
	SweepTokens(ctx context.Context, tx *store.Tx, before time.Time) error
}

func userRef(id string) authority.Ref { return authority.Ref{Kind: auth.KindUser, ID: id} }

// SetOwnPassword sets the caller's password and ends their other sessions. The caller of this method must have verified the current password.
func (s *Users) SetOwnPassword(ctx context.Context, caller *auth.Principal, hash string) (err error) {
	defer tried.To(&err, "set own password")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := s.standing.Hold(ctx, tx, caller, userRef(caller.Subject)); err != nil {
			return err
		}
		if err := s.setPassword(ctx, tx, caller.Subject, caller.SessionID, hash, "password changed"); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "changePassword", Target: caller.Subject})
	})
}

// setPassword replaces a password and ends all sessions except but, all resets and all access tokens. The transaction has locked the user's row.
func (s *Users) setPassword(ctx context.Context, tx *store.Tx, userID, but, hash, reason string) error {
	now := domain.Now(s.clock)
	if err := s.rows.SetPassword(ctx, tx, userID, hash, now); err != nil {
		return fmt.Errorf("store password: %w", err)
	}
	if err := s.rows.EndResets(ctx, tx, userID, now); err != nil { // an old link in a mailbox must not undo the change
		return fmt.Errorf("end password resets: %w", err)
	}
	if _, err := s.rows.EndSessions(ctx, tx, userID, but, now, reason); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return s.endTokens(ctx, tx, userID)
}

// EndSessions ends every session and access token of a user, and returns the number of sessions. The transaction has locked the user's row.
func (s *Users) EndSessions(ctx context.Context, tx *store.Tx, userID, reason string) (int64, error) {
	n, err := s.rows.EndSessions(ctx, tx, userID, "", domain.Now(s.clock), reason)
	if err != nil {
		return 0, fmt.Errorf("end sessions: %w", err)
	}
	return n, s.endTokens(ctx, tx, userID)
}

// HashFor checks a user's new password and hashes it. A password that is too short or too common is domain.WeakPassword.
func (s *Users) HashFor(ctx context.Context, username, secret string) (_ string, err error) {
	defer tried.To(&err, "hash new password")
	if err := password.Check(secret, username); err != nil {
		var refusal *domain.Refusal
		if errors.As(err, &refusal) {
			for i := range refusal.Fields {
				refusal.Fields[i].Pointer = "/newPassword"
			}
		}
		return "", err
	}
	return s.hasher.Hash(ctx, secret)
}

// CreateReset creates a password reset for an active user. The caller must be an administrator. mailed says that the token is sent by mail.
func (s *Users) CreateReset(ctx context.Context, tx *store.Tx, caller *auth.Principal, userID string, mailed bool) (_ Reset, err error) {
	defer tried.To(&err, "create password reset")
	if err := s.MayAdminister(ctx, tx, caller, userRef(userID)); err != nil {
		return Reset{}, err
	}
	u, found, err := s.rows.Get(ctx, tx, userID)
	if err != nil {
		return Reset{}, fmt.Errorf("read user: %w", err)
	}
	if !found {
		return Reset{}, NotFound()
	}
	if u.Status != Active {
		return Reset{}, domain.Refuse(domain.StateConflict, "The user is disabled.")
	}
	made, err := s.insertReset(ctx, tx, userID, mailed, ResetLife)
	if err != nil {
		return Reset{}, err
	}
	return made, s.audit.Append(ctx, tx, auditlog.Event{Action: "createPasswordReset", Target: userID})
}

// insertReset creates a password reset and invalidates older unused ones of the user.
func (s *Users) insertReset(ctx context.Context, tx *store.Tx, userID string, mailed bool, life time.Duration) (Reset, error) {
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	now := domain.Now(s.clock)
	made := Reset{Token: "pr_" + base64.RawURLEncoding.EncodeToString(random), ExpiresAt: now.Add(life)}
	if err := s.rows.InsertReset(ctx, tx, resetHash(made.Token), userID, mailed, now, made.ExpiresAt); err != nil {
		return Reset{}, fmt.Errorf("store reset: %w", err)
	}
	return made, nil
}

// ForgottenLife is how long a password reset can be used that a user has requested by mail.
const ForgottenLife = 30 * time.Minute

// Claimant returns the user of a login, which is a username or a mail address, and locks their row. It is false unless the user is active and has a mail
// address. A match by name takes precedence: only administrators assign names, so no user can receive another's mail through an address that
// equals a name.
func (s *Users) Claimant(ctx context.Context, tx *store.Tx, login string) (_ User, _ bool, err error) {
	defer tried.To(&err, "find user of a login")
	login = strings.TrimSpace(login)
	u, found, err := s.rows.ByName(ctx, tx, strings.ToLower(login))
	if err != nil {
		return User{}, false, fmt.Errorf("read user by name: %w", err)
	}
	if !found {
		address, wrong := mailaddress.Parse(login)
		if wrong != nil {
			return User{}, false, nil
		}
		if u, found, err = s.rows.ByEmail(ctx, tx, address); err != nil || !found {
			return User{}, false, err
		}
	}
	if _, found, err = s.standing.Rows.Owner(ctx, tx, userRef(u.ID), authority.Exclusive); err != nil || !found {
		return User{}, false, err
	}
	u, found, err = s.rows.Get(ctx, tx, u.ID) // read again, now that the row is locked
	return u, found && u.Status == Active && u.Email != "", err
}

// CreateForgotten creates a reset for a user who has requested one by mail. The transaction has locked the user's row.
func (s *Users) CreateForgotten(ctx context.Context, tx *store.Tx, userID string) (_ Reset, err error) {
	defer tried.To(&err, "create reset for a forgotten password")
	return s.insertReset(ctx, tx, userID, true, ForgottenLife)
}

// resetHash needs no key: the token has 256 random bits.
func resetHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Then is a further step of a transaction that changes a user.
type Then func(ctx context.Context, tx *store.Tx, u User) error

// ResetPassword sets a new password for the user of a reset token, ends their sessions and invitations, and runs then in the same transaction. An invalid
// token is refused with domain.InvalidResetToken, before a password is hashed.
func (s *Users) ResetPassword(ctx context.Context, token, secret string, then ...Then) (err error) {
	defer tried.To(&err, "reset password")
	hash := resetHash(token)
	userID, open, err := s.rows.ResetUser(ctx, s.db.Read(ctx), hash, domain.Now(s.clock))
	if err != nil {
		return fmt.Errorf("read reset: %w", err)
	}
	if !open {
		return invalidReset()
	}
	u, err := s.Get(ctx, userID)
	if err != nil {
		return err
	}
	hashed, err := s.HashFor(ctx, u.Username, secret)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		owner, found, err := s.standing.Rows.Owner(ctx, tx, userRef(userID), authority.Exclusive)
		if err != nil {
			return fmt.Errorf("lock user: %w", err)
		}
		mailed, used, err := s.rows.UseReset(ctx, tx, hash, domain.Now(s.clock))
		if err != nil {
			return fmt.Errorf("use reset: %w", err)
		}
		if !used || !found || !owner.Active {
			return invalidReset()
		}
		if err := s.setPassword(ctx, tx, userID, "", hashed, "password reset"); err != nil {
			return err
		}
		if err := s.rows.SetMailed(ctx, tx, userID, mailed); err != nil {
			return fmt.Errorf("store how the password was set: %w", err)
		}
		if err := s.endInvitations(ctx, tx, userID); err != nil { // one mailbox with both links must not be enough to enrol a factor
			return err
		}
		for _, do := range then {
			if err := do(ctx, tx, u); err != nil {
				return err
			}
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "resetPassword", Actor: userID, Kind: auth.KindUser, Target: userID})
	})
}

func invalidReset() error {
	return domain.Refuse(domain.InvalidResetToken, "The reset token is unknown, used or expired.")
}

// Delete ends every session, key and token of a user for good. The row stays, so that the username is never assigned to another person. The last active
// administrator can't be deleted (domain.LastAdministrator).
func (s *Users) Delete(ctx context.Context, caller *auth.Principal, userID string) (err error) {
	defer tried.To(&err, "delete user")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.MayAdminister(ctx, tx, caller, userRef(userID)); err != nil {
			return err
		}
		before, found, err := s.rows.Get(ctx, tx, userID)
		if err != nil {
			return fmt.Errorf("read user: %w", err)
		}
		if !found {
			return NotFound()
		}
		after := before
		after.Status, after.UpdatedAt = Disabled, domain.Now(s.clock)
		// The row is locked, so the user can't be deleted concurrently.
		if _, err := s.rows.Delete(ctx, tx, userID, after.UpdatedAt); err != nil {
			return fmt.Errorf("delete user: %w", err)
		}
		if err := s.countAdministrators(ctx, tx, before, after); err != nil {
			return err
		}
		if err := s.endAccess(ctx, tx, userID, "user deleted"); err != nil {
			return err
		}
		if err := s.endTokens(ctx, tx, userID); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "deleteUser", Target: userID})
	})
}

// Retention is how long an expired reset or invitation is kept, so that a second use is still recognised.
const Retention = 24 * time.Hour

// Sweep deletes resets and invitations that expired longer than Retention ago.
func (s *Users) Sweep(ctx context.Context) error {
	err := s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.rows.SweepTokens(ctx, tx, s.clock.Now().Add(-Retention))
	})
	if err != nil {
		return fmt.Errorf("sweep resets and invitations: %w", err)
	}
	return nil
}
