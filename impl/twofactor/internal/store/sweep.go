package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Sweep implements factor.Repository.
func (s *Store) Sweep(ctx context.Context, now time.Time) (ahead int64, err error) {
	defer tried.To(&err, "delete old factors")
	if ahead, err = s.clamp(ctx, now); err != nil {
		return ahead, err
	}
	return ahead, s.write(ctx, func(ctx context.Context, t *store.Tx) error {
		for _, old := range []struct {
			query  string
			before time.Time
		}{
			{`DELETE FROM used_steps WHERE used_at < ?`, now.Add(-keepUsed)},
			{`DELETE FROM session_tries WHERE last_at < ?`, now.Add(-factor.ProvenLife)},
			{`DELETE FROM factors WHERE status = 'pending' AND expires_at < ?`, now.Add(-keepExpired)},
			{`DELETE FROM factors WHERE status = 'revoked' AND revoked_at < ?`, now.Add(-keepRevoked)},
			{`DELETE FROM subjects WHERE full_at < ? AND NOT EXISTS (SELECT 1 FROM factors f WHERE f.subject = subjects.subject)`, now.Add(-factor.LongestLock)},
		} {
			if _, err := t.Exec(ctx, old.query, micros(old.before)); err != nil {
				return err
			}
		}
		return nil
	})
}

// maxClamped bounds how many subjects one sweep sets right.
const maxClamped = 500

// clamp takes away, subject by subject, what only a clock that was ahead can have set, and records it. It returns the number of the subjects that had such.
func (s *Store) clamp(ctx context.Context, now time.Time) (clamped int64, err error) {
	var subjects []string
	longest := now.Add(factor.LongestLock)
	full := now.Add(factor.MaxGuesses*factor.GuessEvery + clock.Slack)
	err = s.db.Read(ctx).Select(ctx, &subjects, `SELECT subject FROM subjects WHERE locked_until > ? OR full_at > ?
		UNION SELECT subject FROM factors WHERE status <> 'revoked' AND (locked_until > ? OR `+ahead(bigint)+`) ORDER BY 1 LIMIT ?`,
		micros(longest), micros(full), micros(longest), micros(now), maxClamped)
	if err != nil {
		return 0, err
	}
	for _, subject := range subjects {
		if err := s.Write(ctx, func(ctx context.Context, t factor.Tx) error { return clampOne(ctx, t, subject, now) }); err != nil {
			return clamped, err
		}
		clamped++
	}
	return clamped, nil
}

func clampOne(ctx context.Context, t factor.Tx, subject string, now time.Time) error {
	open, ok := t.(tx)
	if !ok {
		return fmt.Errorf("clamp: transaction is a %T", t)
	}
	if _, err := open.Lock(ctx, subject, now); err != nil {
		return err
	}
	longest, full := micros(now.Add(factor.LongestLock)), micros(now.Add(factor.MaxGuesses*factor.GuessEvery+clock.Slack))
	_, err := open.Exec(ctx, `UPDATE subjects SET locked_until = CASE WHEN locked_until > ? THEN 0 ELSE locked_until END,
		full_at = CASE WHEN full_at > ? THEN 0 ELSE full_at END WHERE subject = ?`, longest, full, subject)
	if err != nil {
		return err
	}
	_, err = open.Exec(ctx, `UPDATE factors SET locked_until = CASE WHEN locked_until > ? THEN 0 ELSE locked_until END,
		last_step = CASE WHEN `+ahead(bigint)+` THEN -1 ELSE last_step END WHERE subject = ? AND status <> 'revoked'`, longest, micros(now), subject)
	if err != nil {
		return err
	}
	return open.Audit(ctx, factor.Event{At: now, Action: "clampFactors", Subject: subject, Target: subject, Detail: map[string]string{"reason": "the clock was ahead"}})
}
