package factor

import (
	"context"
	"errors"
	"time"
)

// ErrFirstRaises says that an administrator's first factor must be one whose codes raise a session.
var ErrFirstRaises = errors.New("an administrator's first factor must be one whose codes raise a session")

// Permit is what the kms has confirmed about a caller who wants to add a factor. It is obtained before the change; MayAdd decides in the change.
type Permit struct {
	InvitationID string // id of an administrator's invitation at the kms; "" for none

	caller   Caller
	standing Standing
}

// Permit asks the kms about the caller, and about an administrator's invitation if one was sent.
func (s *Service) Permit(ctx context.Context, c Caller, invitation string) (Permit, error) {
	standing, err := s.standing(ctx, c)
	if err != nil {
		return Permit{}, err
	}
	id, err := s.invitationOf(ctx, c, standing, invitation)
	return Permit{InvitationID: id, caller: c, standing: standing}, err
}

// MayAdd returns nil when the caller may add the factor, by the rules for authenticator apps, else the refusal. raises says whether codes of the new factor raise a
// session.
func (p Permit) MayAdd(counts Counts, raises bool) error {
	if counts.Active == 0 && p.standing.Administrator && !raises {
		return ErrFirstRaises
	}
	return p.caller.mayAdd(counts, p.standing, &Record{InvitationID: p.InvitationID})
}

// Confirmation is a pending factor whose first code is about to be checked.
type Confirmation struct {
	Record Record

	caller   Caller
	standing Standing
}

// Confirming checks what a caller needs before the first code of a pending factor is checked.
func (s *Service) Confirming(ctx context.Context, c Caller, id string, now time.Time) (Confirmation, error) {
	standing, err := s.standing(ctx, c)
	if err != nil {
		return Confirmation{}, err
	}
	if err := s.mayConfirm(ctx, c, id, now); err != nil {
		return Confirmation{}, err
	}
	r, err := s.Repository.Pending(ctx, c.Subject, id, now)
	return Confirmation{Record: r, caller: c, standing: standing}, err
}

// UseInvitationOf uses the invitation with which an administrator enrolled the factor, when it is about to become their first active one.
func (s *Service) UseInvitationOf(ctx context.Context, p Confirmation, now time.Time) error {
	return s.useInvitation(ctx, p.standing, &p.Record, now)
}

// MayActivate decides, in the change that makes the factor active, whether that is allowed. It returns nil or the refusal.
func (p Confirmation) MayActivate(counts Counts) error {
	switch {
	case counts.Active > 0 && !p.Record.SteppedUp && p.caller.SecondFactor != nil:
		return p.caller.SecondFactor
	case counts.Active == 0 && p.standing.Administrator && p.Record.InvitationID == "":
		return ErrInvitationRequired // the last active factor was revoked after UseInvitationOf
	}
	return nil
}
