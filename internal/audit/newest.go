package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// Newest returns the time of the newest stored event; the zero time when there is none. It verifies nothing.
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

// NewestWithin returns the number and the time of the youngest stored event with a number above after and up to upTo, the event by which
// Chain.Archive decides whether an order is too early; 0 when there is none. It verifies nothing.
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

// Restored returns when the database was last restored, and the ID of the backup; the zero time when it never was. It also finds a restore after
// which the service has not started yet. It verifies nothing.
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
