package store

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Lock implements factor.Tx.
func (t tx) Lock(ctx context.Context, subject string, now time.Time) (_ factor.Counts, err error) {
	defer tried.To(&err, "lock subject")
	_, err = t.Exec(ctx, `INSERT INTO subjects (subject, changes) VALUES (?, 1)
		ON CONFLICT (subject) DO UPDATE SET changes = subjects.changes + 1`, subject)
	if err != nil {
		return factor.Counts{}, err
	}
	return count(ctx, t.Tx, subject, now)
}

// Count implements factor.Repository.
func (s *Store) Count(ctx context.Context, subject string, now time.Time) (_ factor.Counts, err error) {
	defer tried.To(&err, "count factors")
	c, err := count(ctx, s.db.Read(ctx), subject, now)
	return c, err
}

func count(ctx context.Context, q store.Querier, subject string, now time.Time) (factor.Counts, error) {
	var c struct {
		Active int `db:"active"`
		Total  int `db:"total"`
	}
	err := q.Get(ctx, &c, `SELECT COUNT(CASE WHEN status = 'active' AND raises = 1 THEN 1 END) AS active, COUNT(*) AS total FROM factors
		WHERE subject = ? AND (status = 'active' OR (status = 'pending' AND expires_at > ?))`, subject, micros(now))
	return factor.Counts{Active: c.Active, Total: c.Total}, err
}

// Insert implements factor.Tx.
func (t tx) Insert(ctx context.Context, r factor.Record) (err error) {
	defer tried.To(&err, "insert factor")
	steppedUp := 0
	if r.SteppedUp {
		steppedUp = 1
	}
	_, err = t.Exec(ctx, `INSERT INTO factors (`+columns+`, revoked_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)`,
		r.ID, r.Subject, r.Type, r.Label, string(r.Status), r.SealedSeed, string(r.Parameters.Algorithm), r.Parameters.Digits,
		r.Parameters.Period, r.LastStep, r.Clock.Drift, r.Clock.Offset, r.Attempts, 0, steppedUp,
		micros(r.Created), micros(r.Expires), micros(r.Confirmed), micros(r.LastUsed), r.InvitationID, r.MaskedTarget)
	return err
}

// Activate implements factor.Tx.
func (t tx) Activate(ctx context.Context, subject, id string, step int64, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "activate factor")
	n, err := t.Exec(ctx, `UPDATE factors SET status = 'active', last_step = ?, attempts = 0, locked_until = 0, confirmed_at = ?, last_used_at = ?
		WHERE id = ? AND subject = ? AND status = 'pending' AND expires_at > ? AND `+newStep(bigint, bigint),
		step, micros(now), micros(now), id, subject, micros(now), step, micros(now), step, step)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = t.Exec(ctx, `INSERT INTO used_steps (factor_id, step, used_at, session) VALUES (?, ?, ?, '')`, id, step, micros(now))
	return err == nil, err
}

// IsActive implements factor.Tx.
func (t tx) IsActive(ctx context.Context, subject, id string) (_ bool, err error) {
	defer tried.To(&err, "look for factor")
	var n int
	err = t.Get(ctx, &n, `SELECT COUNT(*) FROM factors WHERE id = ? AND subject = ? AND status = 'active'`, id, subject)
	return n > 0, err
}

// Revoke implements factor.Tx.
func (t tx) Revoke(ctx context.Context, subject, id string, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark factor as revoked")
	n, err := t.Exec(ctx, `UPDATE factors SET status = 'revoked', sealed_seed = ?, revoked_at = ?
		WHERE id = ? AND subject = ? AND (status = 'active' OR (status = 'pending' AND expires_at > ?))`,
		[]byte{}, micros(now), id, subject, micros(now))
	return n == 1, err
}

// RevokeAll implements factor.Tx.
func (t tx) RevokeAll(ctx context.Context, subject string, before, now time.Time) (_ int64, err error) {
	defer tried.To(&err, "mark factors as revoked")
	return t.Exec(ctx, `UPDATE factors SET status = 'revoked', sealed_seed = ?, revoked_at = ? WHERE subject = ? AND status <> 'revoked' AND created_at <= ?`,
		[]byte{}, micros(now), subject, micros(before))
}

// Active implements factor.Tx.
func (t tx) Active(ctx context.Context, subject, id string) (_ factor.Record, err error) {
	defer tried.To(&err, "read factor")
	var r row
	err = t.Get(ctx, &r, `SELECT `+columns+`, spent FROM factors WHERE id = ? AND subject = ? AND status = 'active' AND type = ?`, id, subject, factor.TypeTOTP)
	if none(err) {
		return factor.Record{}, factor.ErrUnknown
	}
	return r.record(), err
}

// SetClock implements factor.Tx.
func (t tx) SetClock(ctx context.Context, r factor.Record, session string) (_ bool, err error) {
	defer tried.To(&err, "set clock of factor")
	step, now := r.LastStep, micros(r.LastUsed)
	n, err := t.Exec(ctx, `UPDATE factors SET last_step = ?, drift = ?, last_offset = ?, last_used_at = ? WHERE id = ? AND status = 'active'
		AND `+newStep(bigint, bigint)+` AND `+newStep(bigint, bigint),
		step, r.Clock.Drift, r.Clock.Offset, now, r.ID, step-1, now, step-1, step-1, step, now, step, step)
	if err != nil || n == 0 {
		return false, err
	}
	_, err = t.Exec(ctx, `INSERT INTO used_steps (factor_id, step, used_at, session) `+store.Values(2, store.Text, store.Bigint, store.Bigint, store.Text),
		r.ID, step-1, now, session, r.ID, step, now, session)
	return err == nil, err
}

// Rename implements factor.Tx.
func (t tx) Rename(ctx context.Context, subject, id, label string, now time.Time) (_ factor.Record, err error) {
	defer tried.To(&err, "change label of factor")
	var r row
	err = t.Get(ctx, &r, `UPDATE factors SET label = ? WHERE id = ? AND subject = ? AND (status = 'active' OR (status = 'pending' AND expires_at > ?)) RETURNING `+columns,
		label, id, subject, micros(now))
	if none(err) {
		return factor.Record{}, factor.ErrUnknown
	}
	return r.record(), err
}

// Pending implements factor.Repository.
func (s *Store) Pending(ctx context.Context, subject, id string, now time.Time) (_ factor.Record, err error) {
	defer tried.To(&err, "read pending factor")
	var r row
	err = s.db.Read(ctx).Get(ctx, &r, `SELECT `+columns+` FROM factors
		WHERE id = ? AND subject = ? AND status = 'pending' AND expires_at > ?`, id, subject, micros(now))
	if none(err) {
		return factor.Record{}, factor.ErrUnknown
	}
	return r.record(), err
}

// List implements factor.Repository.
func (s *Store) List(ctx context.Context, subject string, after factor.Cursor, limit int, now time.Time) (_ []factor.Record, err error) {
	defer tried.To(&err, "read factors")
	var rows []row
	created := micros(after.Created)
	err = s.db.Read(ctx).Select(ctx, &rows, `SELECT `+columns+` FROM factors
		WHERE subject = ? AND (status = 'active' OR (status = 'pending' AND expires_at > ?))
		AND (created_at > ? OR (created_at = ? AND id > ?)) ORDER BY created_at, id LIMIT ?`,
		subject, micros(now), created, created, after.ID, limit)
	if err != nil {
		return nil, err
	}
	records := make([]factor.Record, 0, len(rows))
	for _, r := range rows {
		records = append(records, r.record())
	}
	return records, nil
}

const (
	// keepExpired is how long a late confirmation is answered "expired" instead of "unknown".
	keepExpired = 24 * time.Hour
	// keepRevoked is how long the row of a revoked factor is kept for inspection. Its seed is deleted at once.
	keepRevoked = 30 * 24 * time.Hour
)
