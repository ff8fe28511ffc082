package store

import (
	"context"
	"time"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// PutRecoveryCodes implements factor.Tx.
func (t tx) PutRecoveryCodes(ctx context.Context, subject string, hashes [][]byte, now time.Time) (err error) {
	defer tried.To(&err, "put recovery codes")
	if _, err := t.Exec(ctx, `DELETE FROM recovery_codes WHERE subject = ?`, subject); err != nil {
		return err
	}
	var args []any
	for _, hash := range hashes {
		args = append(args, hash, subject, micros(now), 0)
	}
	_, err = t.Exec(ctx, `INSERT INTO recovery_codes (hash, subject, created_at, used_at) `+
		store.Values(len(hashes), store.Blob, store.Text, store.Bigint, store.Bigint), args...)
	return err
}

// UseRecoveryCode implements factor.Tx. Exactly one caller wins.
func (t tx) UseRecoveryCode(ctx context.Context, subject string, hash []byte, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "mark recovery code as used")
	n, err := t.Exec(ctx, `UPDATE recovery_codes SET used_at = ? WHERE hash = ? AND subject = ? AND used_at = 0
		AND created_at > (SELECT not_before FROM restore_mark WHERE id = 1)`, micros(now), hash, subject)
	return n == 1, err
}

// DropRecoveryCodes implements factor.Tx.
func (t tx) DropRecoveryCodes(ctx context.Context, subject string, before time.Time) (unused int64, err error) {
	defer tried.To(&err, "delete recovery codes")
	err = t.Get(ctx, &unused, `SELECT COUNT(*) FROM recovery_codes WHERE subject = ? AND created_at <= ? AND used_at = 0`, subject, micros(before))
	if err != nil {
		return 0, err
	}
	_, err = t.Exec(ctx, `DELETE FROM recovery_codes WHERE subject = ? AND created_at <= ?`, subject, micros(before))
	return unused, err
}

// RecoveryCodes implements factor.Repository.
func (s *Store) RecoveryCodes(ctx context.Context, subject string) (left int, made time.Time, err error) {
	defer tried.To(&err, "read recovery codes")
	return recoveryCodes(ctx, s.db.Read(ctx), subject)
}

// RecoveryCodes implements factor.Tx.
func (t tx) RecoveryCodes(ctx context.Context, subject string) (left int, made time.Time, err error) {
	defer tried.To(&err, "read recovery codes")
	return recoveryCodes(ctx, t.Tx, subject)
}

func recoveryCodes(ctx context.Context, q store.Querier, subject string) (left int, made time.Time, err error) {
	var c struct {
		Left int   `db:"unused"`
		Made int64 `db:"made"`
	}
	err = q.Get(ctx, &c, `SELECT COUNT(CASE WHEN used_at = 0 THEN 1 END) AS unused, COALESCE(MAX(created_at), 0) AS made FROM recovery_codes
		WHERE subject = ? AND created_at > (SELECT not_before FROM restore_mark WHERE id = 1)`, subject)
	return c.Left, moment(c.Made), err
}

// Prove implements factor.Tx.
func (t tx) Prove(ctx context.Context, subject, session string, now time.Time) (err error) {
	defer tried.To(&err, "note proven session")
	return keepSessionTries(ctx, t.Tx, subject, session, 0, now)
}

// EndLock implements factor.Tx.
func (t tx) EndLock(ctx context.Context, subject string, all bool) (err error) {
	defer tried.To(&err, "end lock")
	change := "wrong = 0, locked_until = 0"
	if all {
		change += ", full_at = 0, run = 0, run_session = ''"
	}
	_, err = t.Exec(ctx, "UPDATE subjects SET "+change+" WHERE subject = ?", subject)
	return err
}
