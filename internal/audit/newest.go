package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// Newest returns when the newest event of the stored trail was recorded; the zero time when there is none. Nothing is verified.
func Newest(ctx context.Context, q store.Querier) (time.Time, error) {
	var at int64
	err := q.Get(ctx, &at, "SELECT at FROM audit_events ORDER BY seq DESC LIMIT 1")
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read newest audit event: %w", err)
	}
	return time.UnixMicro(at), nil
}

// NewestWithin returns number and time of the youngest stored event after a number and up to another, as Order judges it; 0 when there is none. Nothing is verified.
func NewestWithin(ctx context.Context, q store.Querier, after, upTo int64) (seq int64, at time.Time, err error) {
	var r row
	err = q.Get(ctx, &r, "SELECT seq, at FROM audit_events WHERE seq > ? AND seq <= ? ORDER BY at DESC, seq DESC LIMIT 1", after, upTo)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, time.Time{}, nil
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("read youngest audit event: %w", err)
	}
	return r.Seq, time.UnixMicro(r.At).UTC(), nil
}

// Restored returns when the database of a stored trail was last restored, and the id of the backup; the zero time when it never was. A restore that no
// start has followed yet counts. Nothing is verified.
func Restored(ctx context.Context, q store.Querier) (at time.Time, backup string, err error) {
	for _, where := range []string{
		"SELECT body FROM audit_pending ORDER BY id DESC LIMIT 100",
		"SELECT body FROM audit_events WHERE action = '" + RestoreBackup + "' ORDER BY seq DESC LIMIT 1",
	} {
		var bodies [][]byte
		if err := q.Select(ctx, &bodies, where); err != nil {
			return time.Time{}, "", fmt.Errorf("look for a restore in the audit trail: %w", err)
		}
		for _, body := range bodies {
			if event, err := decode(body); err == nil && event.Action == RestoreBackup {
				return event.At, event.Detail["backup"], nil
			}
		}
	}
	return time.Time{}, "", nil
}
