package factor

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/tried"
)

// Rename changes the label of a factor of the caller.
func (s *Service) Rename(ctx context.Context, c Caller, id, label string) (f Factor, err error) {
	defer tried.To(&err, "rename factor")
	if _, err := s.standing(ctx, c); err != nil {
		return Factor{}, err
	}
	now := s.Clock.Now()
	err = s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Lock(ctx, c.Subject, now); err != nil {
			return err
		}
		r, err := tx.Rename(ctx, c.Subject, id, label, now)
		if err != nil {
			return err
		}
		f = r.Factor
		return tx.Audit(ctx, Event{At: now, Action: "updateFactor", Subject: c.Subject, Target: id, RequestID: c.RequestID})
	})
	return f, err
}

// Resync learns the clock of an active TOTP factor of the caller from two consecutive codes, the older first. Both then count as used. ErrInvalidCode when they are
// not consecutive codes of a time near now, or one was used.
func (s *Service) Resync(ctx context.Context, c Caller, id, first, second string) (f Factor, err error) {
	defer tried.To(&err, "resynchronise factor")
	if _, err := s.standing(ctx, c); err != nil {
		return Factor{}, err
	}
	now := s.Clock.Now().Truncate(time.Microsecond)
	right := false
	err = s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Lock(ctx, c.Subject, now); err != nil {
			return err
		}
		r, err := tx.Active(ctx, c.Subject, id)
		if err != nil {
			return err
		}
		if right, err = s.resync(ctx, tx, &r, c.Session, first, second, now); err != nil {
			return err
		}
		f = r.Factor
		e := Event{At: now, Action: "resyncTotp", Subject: c.Subject, Target: id, RequestID: c.RequestID, Denied: !right}
		if !right {
			e.Detail = map[string]string{"reason": "wrong"}
		}
		return tx.Audit(ctx, e)
	})
	if err == nil && !right {
		err = ErrInvalidCode
	}
	if err != nil {
		return Factor{}, err
	}
	return f, nil
}

func (s *Service) resync(ctx context.Context, tx Tx, r *Record, session, first, second string, now time.Time) (bool, error) {
	seed, err := s.seed(r)
	if err != nil {
		return false, err
	}
	step, known, ok, err := totp.Resync(seed, r.Parameters, now, first, second)
	if err != nil || !ok {
		return false, err
	}
	for _, given := range []int64{step - 1, step} {
		if used, err := r.used(given, now); err != nil || used {
			return false, err
		}
	}
	r.LastStep, r.Clock, r.LastUsed = step, known, now
	return tx.SetClock(ctx, *r, session)
}
