package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Admit implements factor.Repository. Factors are admitted in the order of their ids, in one transaction.
func (s *Store) Admit(ctx context.Context, subject string, digits int, now time.Time) (_ factor.Admission, err error) {
	defer tried.To(&err, "admit attempt")
	var ids []string
	err = s.db.Read(ctx).Select(ctx, &ids,
		`SELECT id FROM factors WHERE subject = ? AND type = 'totp' AND status = 'active' AND digits = ? ORDER BY id LIMIT ?`,
		subject, digits, factor.MaxFactors)
	if err != nil {
		return factor.Admission{}, outward(err)
	}
	var a factor.Admission
	err = s.write(ctx, func(ctx context.Context, t *store.Tx) (err error) {
		a = factor.Admission{}
		for _, id := range ids {
			if err := admitOne(ctx, t, id, now, &a); err != nil {
				return err
			}
		}
		if len(a.Records) == 0 && a.Until.IsZero() {
			a, err = admitDecoy(ctx, t, digits)
		}
		return err
	})
	return a, err
}

// admitOne adds the factor to the admission, or remembers when it will be unlocked.
func admitOne(ctx context.Context, t *store.Tx, id string, now time.Time, a *factor.Admission) error {
	var r row
	err := t.Get(ctx, &r, `UPDATE factors SET `+attempt+` WHERE id = ? AND status = 'active' AND `+open+` RETURNING `+columns,
		micros(now), id, micros(now), micros(now))
	if err == nil {
		a.Records = append(a.Records, r.record())
		return nil
	}
	if !none(err) {
		return err
	}
	err = t.Get(ctx, &r, `SELECT `+columns+` FROM factors WHERE id = ? AND status = 'active'`, id)
	if none(err) {
		return nil // revoked in between
	}
	if err != nil {
		return err
	}
	if until := unlocked(r, now); a.Until.IsZero() || until.Before(a.Until) {
		a.Until = until
	}
	return nil
}

// unlocked returns when a factor that takes no attempt may be tried again. Of one that is locked for good nobody knows; the
// longest lock keeps clients from asking all the time.
func unlocked(r row, now time.Time) time.Time {
	if r.Attempts >= factor.HardCap {
		return now.Add(factor.Locks[len(factor.Locks)-1])
	}
	return moment(r.LockedUntil)
}

// admitDecoy does the work of an admission for a subject without such a factor.
func admitDecoy(ctx context.Context, t *store.Tx, digits int) (factor.Admission, error) {
	var r row
	err := t.Get(ctx, &r, `UPDATE decoys SET attempts = attempts + 1 RETURNING id, sealed_seed`)
	if err != nil {
		return factor.Admission{}, err
	}
	r.Algorithm, r.Digits, r.Period = string(totp.SHA1), digits, totp.Default.Period
	return factor.Admission{Records: []factor.Record{r.record()}, Decoy: true}, nil
}

// KeepDecoy implements factor.Repository.
func (s *Store) KeepDecoy(ctx context.Context, r factor.Record) (err error) {
	defer tried.To(&err, "keep decoy")
	return s.write(ctx, func(ctx context.Context, t *store.Tx) error {
		_, err := t.Exec(ctx, `INSERT INTO decoys (id, sealed_seed, attempts) VALUES (?, ?, 0) ON CONFLICT DO NOTHING`, r.ID, r.SealedSeed)
		return err
	})
}

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
		return factor.NotFound(), nil
	case err != nil:
		return nil, err
	case r.ExpiresAt <= micros(now):
		return problem.New(problem.Gone, "The enrolment has expired; enrol again."), nil
	}
	return problem.New(problem.TooManyAttempts, "Too many wrong codes were given; wait before the next one.").
		WithRetryAfter(unlocked(r, now).Sub(now)), nil
}

// notRestored is the condition that a step is newer than the last restore of a backup; its placeholder is the step.
const notRestored = `CAST(? AS BIGINT) > (SELECT not_before FROM restore_mark WHERE id = 1) / (period * 1000000)`

// unused is the condition that no code of a step was accepted, nor one of a later step; its placeholders are the step, the current time and
// the step. A last step that no code of now could have was accepted by a clock that was ahead: then it alone does not count.
var unused = "(last_step < ? OR " + aheadOfTime + ") AND NOT EXISTS (SELECT 1 FROM used_steps WHERE factor_id = factors.id AND step = ?)"

// aheadOfTime is the condition that the last step was accepted by a clock that was ahead; its placeholder is the current time.
var aheadOfTime = fmt.Sprintf("last_step > CAST(? AS BIGINT) / (period * 1000000) + drift + %d", factor.FurthestStep)

// Use implements factor.Tx: exactly one winner for each step, and forward only.
func (t tx) Use(ctx context.Context, id string, step int64, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark step as used")
	n, err := t.Exec(ctx, `UPDATE factors SET last_step = ?, attempts = 0, locked_until = 0, last_used_at = ?
		WHERE id = ? AND status = 'active' AND `+unused+` AND `+notRestored,
		step, micros(now), id, step, micros(now), step, step)
	if err != nil || n == 0 {
		return false, err
	}
	return true, t.spend(ctx, id, step, now)
}

// spend remembers that a code of the step was accepted.
func (t tx) spend(ctx context.Context, id string, step int64, now time.Time) error {
	_, err := t.Exec(ctx, `INSERT INTO used_steps (factor_id, step, used_at) VALUES (?, ?, ?)`, id, step, micros(now))
	return err
}

// Refund implements factor.Tx. When the attempt was the one that locked the factor, the lock goes with it.
func (t tx) Refund(ctx context.Context, id string) (err error) {
	defer tried.To(&err, "refund attempt")
	_, err = t.Exec(ctx, refund, id)
	return err
}
