package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
)

// DropSealed ends what was sealed with a data key that is lost. It revokes every factor, and deletes the recovery codes, the keys that sign proofs, all
// challenges and all codes that were sent.
func DropSealed(ctx context.Context, tx *store.Tx, now time.Time) error {
	n, err := tx.Exec(ctx, `UPDATE factors SET status = 'revoked', sealed_seed = ?, revoked_at = ? WHERE status <> 'revoked'`, []byte{}, micros(now))
	if err != nil {
		return fmt.Errorf("revoke factors: %w", err)
	}
	for _, table := range []string{"proof_keys", "recovery_codes", "challenges", "deliveries", "passkey_challenges"} {
		if _, err := tx.Exec(ctx, "DELETE FROM "+table); err != nil {
			return fmt.Errorf("delete %s: %w", table, err)
		}
	}
	return audit.AppendLater(ctx, tx, audit.Event{
		At: now, Action: "abandonDataKey", ActorKind: audit.System, Outcome: audit.OK, Detail: map[string]string{"factors": strconv.FormatInt(n, 10)},
	})
}
