package factor

import (
	"context"
	"errors"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/tried"
)

// errLost says that between the check and the update another attempt used the step, or the factor changed.
var errLost = errors.New("step is used or factor has changed")

// Confirmed is a factor that became active with its first code.
type Confirmed struct {
	Factor        Factor
	RecoveryCodes RecoveryCodes // for the first factor of a subject who has none
	Proof         Proof         // as Verify would have returned for the code; none without a session
}

// Confirm makes a pending factor active with its first code, whose step then counts as used. A factor that was enrolled without a
// second factor, before another factor became active, needs one now. For the first factor of a subject without recovery codes it also returns ten of these. In a
// session it returns the proof for the code, because Verify does not accept the code any more.
func (s *Service) Confirm(ctx context.Context, c Caller, id, code string) (_ Confirmed, err error) {
	defer tried.To(&err, "confirm factor")
	now := s.Clock.Now().Truncate(time.Microsecond)
	standing, err := s.standing(ctx, c)
	if err != nil {
		return Confirmed{}, err
	}
	if err := s.mayConfirm(ctx, c, id, now); err != nil {
		return Confirmed{}, err
	}
	r, err := s.Repository.AdmitPending(ctx, c.Subject, id, now)
	if err != nil {
		return Confirmed{}, err
	}
	seed, err := s.seed(&r)
	if err != nil {
		return Confirmed{}, err
	}
	step, ok, err := totp.Match(seed, r.Parameters, now, r.Clock, code)
	if err != nil {
		return Confirmed{}, err
	}
	var codes RecoveryCodes
	claims := s.claims(c, auth.FactorTOTP, now)
	if ok {
		// After the code, so that a wrong code does not use up the invitation.
		if err := s.useInvitation(ctx, standing, &r, now); err != nil {
			return Confirmed{}, err
		}
		codes, err = s.activate(ctx, c, standing, &r, step, claims)
	}
	if !ok || errors.Is(err, errLost) {
		event := Event{At: now, Action: "confirmTotp", Subject: c.Subject, Target: id, RequestID: c.RequestID, Detail: reason("wrong", r.Attempts, r.Attempts%RoundCap == 0)}
		if err := s.deny(ctx, event); err != nil {
			return Confirmed{}, err
		}
		return Confirmed{}, ErrInvalidCode
	}
	if err != nil {
		return Confirmed{}, err
	}
	confirmed := Confirmed{Factor: r.Factor, RecoveryCodes: codes}
	confirmed.Factor.Status, confirmed.Factor.Confirmed, confirmed.Factor.LastUsed = Active, now, now
	if c.Session == "" {
		return confirmed, nil
	}
	confirmed.Proof, err = s.prove(claims)
	return confirmed, err
}

// mayConfirm asks for a second factor where one is needed. It does so before the attempt is counted, so that the first code can
// still be given afterwards.
func (s *Service) mayConfirm(ctx context.Context, c Caller, id string, now time.Time) error {
	if c.SecondFactor == nil {
		return nil
	}
	counts, err := s.Repository.Count(ctx, c.Subject, now)
	if err != nil || counts.Active == 0 {
		return err
	}
	r, err := s.Repository.Pending(ctx, c.Subject, id, now)
	if err != nil || r.SteppedUp {
		return nil // AdmitPending returns the error if there is one
	}
	return c.SecondFactor
}

func (s *Service) activate(ctx context.Context, c Caller, standing Standing, r *Record, step int64, claims proof.Claims) (codes RecoveryCodes, err error) {
	now := claims.At
	fresh, err := s.NewRecoveryCodes(c.Subject, now)
	if err != nil {
		return RecoveryCodes{}, err
	}
	err = s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		counts, err := tx.Lock(ctx, c.Subject, now)
		if err != nil {
			return err
		}
		if counts.Active > 0 && !r.SteppedUp && c.SecondFactor != nil {
			return c.SecondFactor
		}
		if counts.Active == 0 && standing.Administrator && r.InvitationID == "" {
			return ErrInvitationRequired // the last active factor was revoked after useInvitation
		}
		done, err := tx.Activate(ctx, r.Subject, r.ID, step, now)
		if err != nil {
			return err
		}
		if !done {
			return errLost
		}
		if codes, err = fresh.KeepIfFirst(ctx, tx, counts); err != nil {
			return err
		}
		if err := tx.Notify(ctx, c.Subject, NoticeAdded, r.ID, now, now); err != nil {
			return err
		}
		return tx.Audit(ctx, Event{At: now, Action: "confirmTotp", Subject: c.Subject, Target: r.ID, RequestID: c.RequestID, Detail: map[string]string{"proof": claims.ID}})
	})
	return codes, err
}
