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
	if err := s.forgetUsed(ctx, now); err != nil {
		return ahead, err
	}
	return ahead, s.write(ctx, func(ctx context.Context, t *store.Tx) error {
		return deleteOld(ctx, t,
			store.Rows{Table: "session_tries", Key: []string{"subject", "session"}, Where: "last_at < ?", Args: before(now, factor.ProvenLife)},
			store.Rows{Table: "factors", Key: []string{"id"}, Where: "status = 'pending' AND expires_at < ?", Args: before(now, keepExpired)},
			store.Rows{Table: "factors", Key: []string{"id"}, Where: "status = 'revoked' AND revoked_at < ?", Args: before(now, keepRevoked)},
			store.Rows{Table: "subjects", Key: []string{"subject"}, Where: "full_at < ? AND NOT EXISTS (SELECT 1 FROM factors f WHERE f.subject = subjects.subject)",
				Args: before(now, factor.LongestLock)},
		)
	})
}

// forgottenAtOnce is how many used steps one transaction deletes at most.
const forgottenAtOnce = 500

// forgetEvery is the shortest time between two searches for old used steps.
const forgetEvery = time.Hour

// forgetUsed deletes the steps that were used more than keepUsed ago. It finds them by reading all steps in the order of their key, outside the transactions that delete.
// An index of the times would have to be updated for every accepted code.
func (s *Store) forgetUsed(ctx context.Context, now time.Time) error {
	if since := now.Sub(time.UnixMicro(s.forgot.Load())); since >= 0 && since < forgetEvery {
		return nil
	}
	before, last := micros(now.Add(-keepUsed)), usedStep{}
	for {
		var old []usedStep
		err := s.db.Read(ctx).Select(ctx, &old, `SELECT factor_id, step FROM used_steps WHERE used_at < ? AND (factor_id, step) > (?, CAST(? AS BIGINT)) ORDER BY factor_id, step LIMIT ?`,
			before, last.FactorID, last.Step, forgottenAtOnce)
		if err != nil {
			return err
		}
		if len(old) == 0 {
			s.forgot.Store(now.UnixMicro())
			return nil
		}
		last = old[len(old)-1]
		gone := make([]store.Statement, 0, len(old))
		for _, u := range old {
			gone = append(gone, store.Statement{Query: forgetOne, Args: []any{u.FactorID, u.Step, before}})
		}
		err = s.write(ctx, func(ctx context.Context, t *store.Tx) error {
			_, err := t.ExecAll(ctx, gone...)
			return err
		})
		if err != nil {
			return err
		}
	}
}

// forgetOne deletes one used step. For a statement with a list of several SQLite would read the whole table, while every code waits.
const forgetOne = `DELETE FROM used_steps WHERE factor_id = ? AND step = ? AND used_at < ?`

// usedStep identifies an accepted code.
type usedStep struct {
	FactorID string `db:"factor_id"`
	Step     int64  `db:"step"`
}

// before returns the argument of a condition that selects rows older than an age.
func before(now time.Time, age time.Duration) []any { return []any{micros(now.Add(-age))} }

// deleteOld deletes rows that are no longer needed.
func deleteOld(ctx context.Context, t *store.Tx, all ...store.Rows) error {
	for _, old := range all {
		if _, err := old.Delete(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// maxClamped is how many subjects one sweep corrects at most.
const maxClamped = 500

// clamp clears, subject by subject, locks, counts and last steps that only a clock that was ahead can have set, and records that in the audit trail. It returns the number of
// subjects that it has corrected.
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
