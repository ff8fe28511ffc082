package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// AdmitPending implements factor.Repository.
func (s *Store) AdmitPending(ctx context.Context, subject, id string, now time.Time) (_ factor.Record, err error) {
	defer tried.To(&err, "admit attempt at pending factor")
	var r row
	var refusal error
	err = s.write(ctx, func(ctx context.Context, t *store.Tx) error {
		refusal = nil
		err := t.Get(ctx, &r, `UPDATE factors SET `+attempt+
			` WHERE id = ? AND subject = ? AND type = 'totp' AND status = 'pending' AND expires_at > ? AND `+open+` RETURNING `+columns,
			micros(now), id, subject, micros(now), micros(now), micros(now))
		if none(err) {
			refusal, err = whyNotPending(ctx, t, subject, id, now)
		}
		return err
	})
	if err == nil {
		err = refusal
	}
	return r.record(), err
}

func whyNotPending(ctx context.Context, t *store.Tx, subject, id string, now time.Time) (refusal, err error) {
	var r row
	err = t.Get(ctx, &r, `SELECT `+columns+` FROM factors WHERE id = ? AND subject = ? AND type = 'totp' AND status = 'pending'`, id, subject)
	switch {
	case none(err):
		return factor.ErrUnknown, nil
	case err != nil:
		return nil, err
	case r.ExpiresAt <= micros(now):
		return factor.ErrExpired, nil
	}
	return &factor.TooManyAttempts{After: moment(r.LockedUntil).Sub(now)}, nil
}

// newStep returns the condition that no code of the step or of a later one was accepted, and that the step is newer than the last restore of a backup. step and
// now, in microseconds, are SQL expressions. A last step that no code can have now was set while the clock was ahead. It is ignored; the rows of used_steps are
// not.
func newStep(step, now string) string {
	return laterStep(step, now) + `
		AND NOT EXISTS (SELECT 1 FROM used_steps u WHERE u.factor_id = factors.id AND u.step = ` + step + `)`
}

// laterStep is newStep without used_steps. It is for a statement that takes effect only together with another one, which stores the step as used unless it was.
func laterStep(step, now string) string {
	return "(last_step < " + step + " OR " + ahead(now) + ") AND " + step + " > (SELECT not_before FROM restore_mark WHERE id = 1) / (period * 1000000)"
}

// ahead returns the condition that the last step was set while the clock was ahead.
func ahead(now string) string {
	return fmt.Sprintf("last_step > %s / (period * 1000000) + drift + %d", now, factor.FurthestStep)
}
