package factor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Authority is the kms: it knows whether a caller's session is good at this moment, and which invitations it has given. Its errors are
// ErrInvitation and whatever keeps it from answering.
type Authority interface {
	// Standing says what the kms knows of the holder of an access token now.
	Standing(ctx context.Context, token string) (Standing, error)
	// CheckInvitation returns the id of a good invitation of the user without using it up; ErrInvitation when it is not good.
	CheckInvitation(ctx context.Context, subject, invitation string) (id string, err error)
	// UseInvitation uses an invitation up for one factor; repeating it for the same factor is safe. ErrInvitation when it is not
	// good.
	UseInvitation(ctx context.Context, subject, id, factorID string) error
}

// Standing is what the kms knows of the holder of an access token.
type Standing struct {
	Active        bool // session, user and token are good
	Subject       string
	Administrator bool // has the role now
}

// standing asks the kms about the caller. A token's own claims are not enough where factors change: the session may have ended, or the
// user may have been disabled or made an administrator, since the token was issued.
func (s *Service) standing(ctx context.Context, c Caller) (Standing, error) {
	standing, err := s.Authority.Standing(ctx, c.Token)
	if err != nil {
		return Standing{}, authorityAway(err)
	}
	if !standing.Active || standing.Subject != c.Subject {
		return Standing{}, ErrSessionEnded
	}
	return standing, nil
}

// invitationOf checks the invitation that an administrator sent, if any.
func (s *Service) invitationOf(ctx context.Context, c Caller, standing Standing, invitation string) (id string, err error) {
	if !standing.Administrator || invitation == "" {
		return "", nil
	}
	id, err = s.Authority.CheckInvitation(ctx, c.Subject, invitation)
	return id, refusedInvitation(err)
}

// useInvitation uses the invitation up with which an administrator enrolled the factor that is about to become their first.
func (s *Service) useInvitation(ctx context.Context, standing Standing, r *Record, now time.Time) error {
	if !standing.Administrator {
		return nil
	}
	counts, err := s.Repository.Count(ctx, r.Subject, now)
	if err != nil || counts.Active > 0 {
		return err
	}
	if r.InvitationID == "" {
		return ErrInvitationRequired
	}
	return refusedInvitation(s.Authority.UseInvitation(ctx, r.Subject, r.InvitationID, r.ID))
}

// refusedInvitation keeps a refusal apart from a kms that does not answer.
func refusedInvitation(err error) error {
	if err == nil || errors.Is(err, ErrInvitation) {
		return err
	}
	return authorityAway(err)
}

func authorityAway(err error) error { return fmt.Errorf("%w: %w", ErrAuthorityAway, err) }
