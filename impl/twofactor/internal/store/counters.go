package store

import (
	"context"
	"time"

	"github.com/fountainai/fountain/internal/tried"
)

// Spend implements challenge.Tx. One statement counts and decides.
func (t tx) Spend(ctx context.Context, kind, key string, most int, window time.Duration, now time.Time) (_ bool, err error) {
	defer tried.To(&err, "count against a budget")
	begins := now.Truncate(window)
	n, err := t.Exec(ctx, `INSERT INTO send_counters (kind, key, begins, ends, n) VALUES (?, ?, ?, ?, 1)
		ON CONFLICT (kind, key, begins) DO UPDATE SET n = send_counters.n + 1 WHERE send_counters.n < ?`,
		kind, key, micros(begins), micros(begins.Add(window)), most)
	return n == 1 && most > 0, err
}

// GiveBack implements challenge.Tx.
func (t tx) GiveBack(ctx context.Context, kind, key string, window time.Duration, now time.Time) (err error) {
	defer tried.To(&err, "give back to a budget")
	_, err = t.Exec(ctx, `UPDATE send_counters SET n = n - 1 WHERE kind = ? AND key = ? AND begins = ? AND n > 0`, kind, key, micros(now.Truncate(window)))
	return err
}
