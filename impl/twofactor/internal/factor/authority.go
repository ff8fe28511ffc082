package factor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Authority is the kms. It knows whether a caller's session is valid at the moment, and which invitations it has issued. Errors: ErrInvitation,
// and others when it can't answer.
type Authority interface {
	// Standing returns what the kms knows now about the holder of an access token.
	Standing(ctx context.Context, token string) (Standing, error)
	// CheckInvitation returns the id of a valid invitation of the user, without using it. ErrInvitation when it is not valid.
	CheckInvitation(ctx context.Context, subject, invitation string) (id string, err error)
	// UseInvitation uses an invitation for one factor. Repeating that for the same factor is safe. ErrInvitation when it is not
	// valid.
	UseInvitation(ctx context.Context, subject, id, factorID string) error
}

// Standing is what the kms knows about the holder of an access token.
type Standing struct {
	Active        bool // session, user and token are valid
	Subject       string
	Administrator bool // has the role now
}

// standing asks the kms about the caller. The claims of the token are not enough where factors change. Since it was issued the session may have
// ended, or the user may have been disabled or made an administrator. Errors: ErrSessionEnded, ErrAuthorityAway.
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

// invitationOf checks the invitation that an administrator sent, if any, and returns its id.
func (s *Service) invitationOf(ctx context.Context, c Caller, standing Standing, invitation string) (id string, err error) {
	if !standing.Administrator || invitation == "" {
		return "", nil
	}
	id, err = s.Authority.CheckInvitation(ctx, c.Subject, invitation)
	return id, refusedInvitation(err)
}

// useInvitation uses the invitation with which an administrator enrolled a factor, when the factor is about to become their first active one.
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

// refusedInvitation returns ErrInvitation and nil unchanged. Any other error means that the kms has not answered: ErrAuthorityAway.
func refusedInvitation(err error) error {
	if err == nil || errors.Is(err, ErrInvitation) {
		return err
	}
	return authorityAway(err)
}

func authorityAway(err error) error { return fmt.Errorf("%w: %w", ErrAuthorityAway, err) }
