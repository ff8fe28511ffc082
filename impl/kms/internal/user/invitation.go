package user

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// InvitationLife is how long an invitation can be used.
const InvitationLife = 72 * time.Hour

// Invitation is a single-use token that lets an administrator enrol their first second factor: the password alone is not enough for that.
type Invitation struct {
	Token     string // "" when there is none
	ExpiresAt time.Time
}

// InvitationRows are the queries for invitations.
type InvitationRows interface {
	// InsertInvitation stores an invitation by the hash of its token, and invalidates older unused ones of the user.
	InsertInvitation(ctx context.Context, tx *store.Tx, id string, hash []byte, userID string, at, expires time.Time) error
	// EndInvitations invalidates a user's unused invitations, and fails the waiting mails with them.
	EndInvitations(ctx context.Context, tx *store.Tx, userID string, at time.Time) error
	// OpenInvitation returns the ID of the user's invitation with this hash; open is false when it can't be used at the time.
	OpenInvitation(ctx context.Context, q store.Querier, hash []byte, userID string, at time.Time) (id string, open bool, err error)
	// UseInvitation marks an invitation as used for a factor; true again for the same factor.
	UseInvitation(ctx context.Context, tx *store.Tx, id, userID, factorID string, at time.Time) (bool, error)
}

// Invite creates an invitation for an active administrator; for other users it fails with domain.StateConflict, since they need none.
func (s *Users) Invite(ctx context.Context, tx *store.Tx, caller *auth.Principal, userID string) (_ Invitation, err error) {
	defer tried.To(&err, "invite administrator")
	if err := s.MayAdminister(ctx, tx, caller, authority.Ref{Kind: auth.KindUser, ID: userID}); err != nil {
		return Invitation{}, err
	}
	u, found, err := s.rows.Get(ctx, tx, userID)
	if err != nil {
		return Invitation{}, fmt.Errorf("read user: %w", err)
	}
	if !found {
		return Invitation{}, NotFound()
	}
	if u.Status != Active || !slices.Contains(u.Roles, authority.RoleAdmin) {
		return Invitation{}, domain.Refuse(domain.StateConflict, "Only an active administrator needs an invitation.")
	}
	made, err := s.invite(ctx, tx, userID)
	if err != nil {
		return Invitation{}, err
	}
	return made, s.audit.Append(ctx, tx, auditlog.Event{Action: "createInvitation", Target: userID})
}

func (s *Users) invite(ctx context.Context, tx *store.Tx, userID string) (Invitation, error) {
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	now := domain.Now(s.clock)
	made := Invitation{Token: "in_" + base64.RawURLEncoding.EncodeToString(random), ExpiresAt: now.Add(InvitationLife)}
	if err := s.rows.InsertInvitation(ctx, tx, id.New("inv"), invitationHash(made.Token), userID, now, made.ExpiresAt); err != nil {
		return Invitation{}, fmt.Errorf("store invitation: %w", err)
	}
	return made, nil
}

func (s *Users) endInvitations(ctx context.Context, tx *store.Tx, userID string) error {
	if err := s.rows.EndInvitations(ctx, tx, userID, domain.Now(s.clock)); err != nil {
		return fmt.Errorf("end invitations: %w", err)
	}
	return nil
}

// invitationHash needs no key: the token has 256 random bits.
func invitationHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// CheckInvitation returns the ID of a user's open invitation. Only the twofactor service may call it (domain.Forbidden).
func (s *Users) CheckInvitation(ctx context.Context, caller *auth.Principal, userID, token string) (id string, err error) {
	defer tried.To(&err, "check invitation")
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.onlyTwofactor(ctx, tx, caller); err != nil {
			return err
		}
		found, open, err := s.rows.OpenInvitation(ctx, tx, invitationHash(token), userID, domain.Now(s.clock))
		if err != nil {
			return fmt.Errorf("read invitation: %w", err)
		}
		if !open {
			return invalidInvitation()
		}
		id = found
		return nil
	})
	return id, err
}

// UseInvitation marks a user's invitation as used for a factor. Only the twofactor service may call it (domain.Forbidden). Repeating it is safe.
func (s *Users) UseInvitation(ctx context.Context, caller *auth.Principal, invitationID, userID, factorID string) (err error) {
	defer tried.To(&err, "use invitation")
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := s.onlyTwofactor(ctx, tx, caller); err != nil {
			return err
		}
		used, err := s.rows.UseInvitation(ctx, tx, invitationID, userID, factorID, domain.Now(s.clock))
		if err != nil {
			return fmt.Errorf("use invitation: %w", err)
		}
		if !used {
			return invalidInvitation()
		}
		return s.audit.Append(ctx, tx, auditlog.Event{Action: "useInvitation", Target: userID, Detail: map[string]string{"factor": factorID}})
	})
}

func (s *Users) onlyTwofactor(ctx context.Context, tx *store.Tx, caller *auth.Principal) error {
	held, err := s.standing.Hold(ctx, tx, caller)
	if err != nil {
		return err
	}
	if !held.Caller.Family || held.Caller.Name != authority.Twofactor {
		return domain.Refuse(domain.Forbidden, "Only the twofactor service can check invitations.")
	}
	return nil
}

func invalidInvitation() error {
	return domain.Refuse(domain.InvalidInvitation, "The invitation is unknown, used or expired.")
}
