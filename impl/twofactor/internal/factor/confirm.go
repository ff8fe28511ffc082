package factor

import (
	"context"
	"errors"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/tried"
)

// errLost says that another attempt took the step, or that the factor changed, between the check and the mark.
var errLost = errors.New("step is used or factor has changed")

// Confirm makes a pending factor active with its first code, whose step counts as used. A factor that was enrolled without a
// code, before another became active, needs one now. With the first factor of a subject without recovery codes come ten of these.
func (s *Service) Confirm(ctx context.Context, c Caller, id, code string) (_ Factor, _ RecoveryCodes, err error) {
	defer tried.To(&err, "confirm factor")
	now := s.Clock.Now().Truncate(time.Microsecond)
	standing, err := s.standing(ctx, c)
	if err != nil {
		return Factor{}, RecoveryCodes{}, err
	}
	if err := s.mayConfirm(ctx, c, id, now); err != nil {
		return Factor{}, RecoveryCodes{}, err
	}
	r, err := s.Repository.AdmitPending(ctx, c.Subject, id, now)
	if err != nil {
		return Factor{}, RecoveryCodes{}, err
	}
	seed, err := s.seed(&r)
	if err != nil {
		return Factor{}, RecoveryCodes{}, err
	}
	step, ok, err := totp.Match(seed, r.Parameters, now, r.Clock, code)
	if err != nil {
		return Factor{}, RecoveryCodes{}, err
	}
	var codes RecoveryCodes
	if ok {
		// After the code, so that a wrong one does not use the invitation up.
		if err := s.useInvitation(ctx, standing, &r, now); err != nil {
			return Factor{}, RecoveryCodes{}, err
		}
		codes, err = s.activate(ctx, c, standing, &r, step, now)
	}
	if !ok || errors.Is(err, errLost) {
		event := Event{At: now, Action: "confirmTotp", Subject: c.Subject, Target: id, RequestID: c.RequestID, Detail: reason("wrong", r.Attempts, r.Attempts%RoundCap == 0)}
		if err := s.deny(ctx, event); err != nil {
			return Factor{}, RecoveryCodes{}, err
		}
		return Factor{}, RecoveryCodes{}, ErrInvalidCode
	}
	if err != nil {
		return Factor{}, RecoveryCodes{}, err
	}
	f := r.Factor
	f.Status, f.Confirmed, f.LastUsed = Active, now, now
	return f, codes, nil
}

// mayConfirm asks for a code of an active factor before the attempt is counted, so that the first code can still be given
// after it.
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
		return nil // AdmitPending says what is wrong with it
	}
	return c.SecondFactor
}

func (s *Service) activate(ctx context.Context, c Caller, standing Standing, r *Record, step int64, now time.Time) (codes RecoveryCodes, err error) {
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
			return ErrInvitationRequired // the last active factor was revoked since the invitation was looked at
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
		return tx.Audit(ctx, Event{At: now, Action: "confirmTotp", Subject: c.Subject, Target: r.ID, RequestID: c.RequestID})
	})
	return codes, err
}
