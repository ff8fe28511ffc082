package kmsdb

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/store"
)

// Revocations implements revocation.Rows: the rows of the revocation feed.
type Revocations struct{}

// Name stores a name for the feed unless it has one, and returns the stored one.
func (Revocations) Name(ctx context.Context, tx *store.Tx, name string) (string, error) {
	if _, err := tx.Exec(ctx, "UPDATE revocation_head SET feed = ? WHERE id = 1 AND feed = ''", name); err != nil {
		return "", fmt.Errorf("name feed: %w", err)
	}
	var named string
	if err := tx.Get(ctx, &named, "SELECT feed FROM revocation_head WHERE id = 1"); err != nil {
		return "", fmt.Errorf("read feed name: %w", err)
	}
	return named, nil
}

// Append stores an entry at the next position. The head's row stays locked until the transaction ends, so that a reader who sees a position sees all
// lower ones too.
func (Revocations) Append(ctx context.Context, tx *store.Tx, e revocation.Entry) (position int64, err error) {
	if err := tx.Get(ctx, &position, "UPDATE revocation_head SET position = position + 1 WHERE id = 1 RETURNING position"); err != nil {
		return 0, fmt.Errorf("take feed position: %w", err)
	}
	_, err = tx.Exec(ctx, "INSERT INTO revocations (position, kind, id, epoch, at, until) VALUES (?, ?, ?, ?, ?, ?)",
		position, e.Kind, e.ID, e.Epoch, e.At.UnixMicro(), e.Until.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("insert ending: %w", err)
	}
	return position, nil
}

// Head returns the last assigned position; 0 before the first.
func (Revocations) Head(ctx context.Context, q store.Querier) (position int64, err error) {
	if err := q.Get(ctx, &position, "SELECT position FROM revocation_head WHERE id = 1"); err != nil {
		return 0, fmt.Errorf("read feed head: %w", err)
	}
	return position, nil
}

// After returns at most limit entries with higher positions, lowest first.
func (Revocations) After(ctx context.Context, q store.Querier, position int64, limit int) ([]revocation.Entry, error) {
	var rows []struct {
		Position, Epoch, At, Until int64
		Kind, ID                   string
	}
	err := q.Select(ctx, &rows, "SELECT position, kind, id, epoch, at, until FROM revocations WHERE position > ? ORDER BY position LIMIT ?", position, limit)
	if err != nil {
		return nil, fmt.Errorf("read feed: %w", err)
	}
	entries := make([]revocation.Entry, len(rows))
	for i, r := range rows {
		entries[i] = revocation.Entry{Position: r.Position, Kind: r.Kind, ID: r.ID, Epoch: r.Epoch, At: at(r.At), Until: at(r.Until)}
	}
	return entries, nil
}

// Sweep deletes entries that have expired at the time.
func (Revocations) Sweep(ctx context.Context, tx *store.Tx, at time.Time) error {
	over := store.Rows{Table: "revocations", Key: []string{"position"}, Where: "until < ?", Args: []any{at.UnixMicro()}}
	if _, err := over.Delete(ctx, tx); err != nil {
		return fmt.Errorf("delete old endings: %w", err)
	}
	return nil
}
