package audit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// Query selects records. Empty fields select everything.
type Query struct {
	Before   int64 // only records with a smaller Seq; 0: begin with the newest
	Action   string
	Actor    string
	Target   string
	Outcome  string
	From, To time.Time // From <= At < To
	Limit    int       // default 100, at most 1000
}

const (
	defaultLimit = 100
	maxLimit     = 1000
	// maxScan is how many events one List looks at. Events have no index except their number: every change would pay for it, and few searches would
	// use it.
	maxScan = 20_000
)

// List returns the matching records, newest first, and the Before of the next call; 0 when the search has reached the first stored event. It looks at
// a bounded number of events, so it may return fewer records than Limit, or none, although older ones match.
func List(ctx context.Context, q store.Querier, query Query) (records []Record, next int64, err error) {
	before := query.Before
	if before <= 0 {
		h, err := readHead(ctx, q)
		if err != nil {
			return nil, 0, err
		}
		before = h.Seq + 1
	}
	limit := query.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	b, err := readBase(ctx, q)
	if err != nil {
		return nil, 0, err
	}
	first := b.Seq + 1
	oldest := max(before-maxScan, first)
	where, args := query.where(oldest, before)
	var rows []row
	err = q.Select(ctx, &rows, "SELECT "+columns+" FROM audit_events WHERE "+where+" ORDER BY seq DESC LIMIT ?", append(args, limit)...)
	if err != nil {
		return nil, 0, fmt.Errorf("list audit events: %w", err)
	}
	for _, r := range rows {
		event, err := decode(r.Body)
		if err != nil {
			return nil, 0, err
		}
		if query.Outcome == "" || query.Outcome == event.Outcome {
			records = append(records, Record{Seq: r.Seq, Event: event, Hash: r.Hash})
		}
	}
	if len(rows) == limit {
		oldest = rows[limit-1].Seq
	}
	if oldest <= first {
		return records, 0, nil
	}
	return records, oldest, nil
}

func (query Query) where(oldest, before int64) (string, []any) {
	where, args := []string{"seq >= ?", "seq < ?"}, []any{oldest, before}
	add := func(given bool, condition string, arg any) {
		if given {
			where, args = append(where, condition), append(args, arg)
		}
	}
	add(query.Action != "", "action = ?", query.Action)
	add(query.Actor != "", "actor = ?", query.Actor)
	add(query.Target != "", "target = ?", query.Target)
	add(!query.From.IsZero(), "at >= ?", query.From.UnixMicro())
	add(!query.To.IsZero(), "at < ?", query.To.UnixMicro())
	return strings.Join(where, " AND "), args
}
