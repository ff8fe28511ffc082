package store

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// Notify implements factor.Tx. It copies the sealed target, because the same transaction may revoke the factor.
func (t tx) Notify(ctx context.Context, subject string, n factor.Notice, but string, before, now time.Time) (err error) {
	defer tried.To(&err, "notify subject")
	const addresses = `status = 'active' AND type IN ('email', 'sms', 'webhook')`
	var ids []string
	err = t.Select(ctx, &ids, `SELECT id FROM factors WHERE subject = ? AND `+addresses+` AND id <> ? AND created_at <= ? ORDER BY id LIMIT ?`,
		subject, but, micros(before), factor.MaxFactors)
	if err != nil || len(ids) == 0 {
		return err
	}
	within, err := t.Spend(ctx, "notice", subject, factor.NoticesPerDay, 24*time.Hour, now)
	if err != nil || !within {
		return err
	}
	for _, address := range ids {
		_, err := t.Exec(ctx, `INSERT INTO deliveries (id, challenge_id, subject, factor_id, channel, sealed_code, notice, status, tries, lease, due_at, gives_up_at, provider,
			provider_id, reason, created_at, sent_at, changed_at)
			SELECT ?, '', subject, id, type, sealed_seed, ?, 'queued', 0, '', ?, ?, '', '', '', ?, 0, ? FROM factors WHERE id = ? AND `+addresses,
			id.New("dlv"), string(n), micros(now), micros(now.Add(factor.NoticeLife)), micros(now), micros(now), address)
		if err != nil {
			return err
		}
	}
	return nil
}
