package store

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Restored is what EndRestored did to a restored copy of the database.
type Restored struct {
	Recovery  int64    // recovery codes that were voided
	Strangers []string // subjects that the kms does not know, whose factors were revoked
}

// EndRestored invalidates in a restored copy what may have been used or ended since the backup. Codes of steps up to now are refused. Recovery codes are void. Queued
// messages, open challenges and enrolments that were not confirmed are dropped. From the next start on another key signs proofs. known reports whether the kms knows a
// subject; factors of others are revoked.
func EndRestored(ctx context.Context, tx *store.Tx, at time.Time, known func(subject string) bool) (done Restored, err error) {
	defer tried.To(&err, "end what was issued before the restore")
	now := micros(at)
	if err := tx.Get(ctx, &done.Recovery, "SELECT COUNT(*) FROM recovery_codes WHERE used_at = 0"); err != nil {
		return done, err
	}
	if _, err := tx.Exec(ctx, "UPDATE restore_mark SET not_before = ? WHERE id = 1 AND not_before < ?", now, now); err != nil {
		return done, err
	}
	// A device whose clock is ahead may have used a code of a step that is in the future here.
	const step = "? / (period * 1000000) + CASE WHEN drift > 0 THEN drift ELSE 0 END"
	if _, err := tx.Exec(ctx, "UPDATE factors SET last_step = "+step+" WHERE type = 'totp' AND last_step < "+step, now, now); err != nil {
		return done, err
	}
	for _, statement := range []string{
		"DELETE FROM recovery_codes",
		"DELETE FROM proof_keys", // a proof that was used after the backup would be accepted again
		"DELETE FROM passkey_challenges",
		"DELETE FROM deliveries WHERE status = 'queued'",
		"UPDATE challenges SET status = 'cancelled' WHERE status = 'open'",
		"DELETE FROM factors WHERE status = 'pending'",
	} {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return done, fmt.Errorf("%s: %w", statement, err)
		}
	}
	var subjects []string
	if err := tx.Select(ctx, &subjects, "SELECT DISTINCT subject FROM factors WHERE status = 'active' ORDER BY subject"); err != nil {
		return done, err
	}
	for _, subject := range subjects {
		if known(subject) {
			continue
		}
		_, err := tx.Exec(ctx, "UPDATE factors SET status = 'revoked', sealed_seed = ?, revoked_at = ? WHERE subject = ? AND status = 'active'", []byte{}, now, subject)
		if err != nil {
			return done, err
		}
		done.Strangers = append(done.Strangers, subject)
	}
	return done, nil
}
