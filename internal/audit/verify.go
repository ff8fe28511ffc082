package audit

import (
	"bytes"
	"context"
	"fmt"

	"github.com/fountainai/fountain/internal/store"
)

const rowsPerRead = 500

// Verify walks the whole chain. It returns how many events hold from the first on, and the number of the first one that was
// changed, moved or removed (0: none). Events that are appended meanwhile are left out. err means that it could not look.
func Verify(ctx context.Context, q store.Querier) (checked, firstBreak int64, err error) {
	end, err := Head(ctx, q)
	if err != nil {
		return 0, 0, err
	}
	hash := genesis[:]
	for checked < end.Seq {
		var rows []row
		err := q.Select(ctx, &rows, "SELECT seq, at, action, actor, target, body, prev_hash, hash FROM audit_events "+
			"WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", checked, end.Seq, rowsPerRead)
		if err != nil {
			return checked, 0, fmt.Errorf("read audit events: %w", err)
		}
		for _, r := range rows {
			if !r.follows(checked, hash) {
				return checked, checked + 1, nil
			}
			checked, hash = r.Seq, r.Hash
		}
		if len(rows) == 0 {
			return checked, checked + 1, nil // the tail is missing
		}
	}
	if checked > 0 && !bytes.Equal(hash, end.Hash) {
		return checked - 1, checked, nil
	}
	forged, err := beyondHead(ctx, q)
	if forged > 0 {
		return checked, forged, nil
	}
	return checked, 0, err
}

// follows tells whether the row is the untouched successor of the event with this number and hash.
func (r row) follows(seq int64, hash []byte) bool {
	if r.Seq != seq+1 || !bytes.Equal(r.PrevHash, hash) || !bytes.Equal(r.Hash, link(hash, r.Seq, r.Body)) {
		return false
	}
	event, err := decode(r.Body)
	return err == nil && event.At.UnixMicro() == r.At && event.Action == r.Action && event.Actor == r.Actor && event.Target == r.Target
}

// beyondHead returns the number of an event that lies after the head, which Append never leaves. The order of the two reads
// makes it true outside a snapshot as well: the head only grows.
func beyondHead(ctx context.Context, q store.Querier) (int64, error) {
	var last int64
	if err := q.Get(ctx, &last, "SELECT COALESCE(MAX(seq), 0) FROM audit_events"); err != nil {
		return 0, fmt.Errorf("read last audit event: %w", err)
	}
	head, err := Head(ctx, q)
	if err != nil || last <= head.Seq {
		return 0, err
	}
	return last, nil
}
