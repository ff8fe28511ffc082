package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"

	"github.com/fountainai/fountain/internal/store"
)

const rowsPerRead = 500

// Reasons why a chain does not hold.
const (
	BreakEvent      = "event"      // an event was changed, moved, added or removed
	BreakTail       = "tail"       // events at the end were removed, or lie beyond it
	BreakHead       = "head"       // the row that says where the chain ends was changed
	BreakKey        = "key"        // a key of the chain was changed or removed, or its data key was abandoned
	BreakCheckpoint = "checkpoint" // the chain does not hold what was signed: it was cut, rewritten or put back to an older state
)

// Report is what a verification found.
type Report struct {
	After      int64  // the events after this number were looked at
	Checked    int64  // how many hold, from the first on
	Unkeyed    int64  // how many of those are from before there was a key: nothing but the key's place vouches for them
	FirstBreak int64  // number of the first event that does not hold; 0: all do
	Reason     string // "" when all hold, else one of the reasons above
}

// Intact tells whether nothing was found.
func (r Report) Intact() bool { return r.FirstBreak == 0 }

func (r Report) broken(at int64, reason string) Report {
	r.FirstBreak, r.Reason = max(at, 1), reason
	return r
}

// position is an event and the hash that the next one follows.
type position struct {
	seq  int64
	hash []byte
}

var beginning = position{hash: genesis[:]}

// Verify walks the whole chain without its key: it finds what is wrong in the hashes alone. It returns how many events hold from the first on, and
// the number of the first one that does not (0: none). Events that are appended meanwhile are left out. err means that it could not look.
func Verify(ctx context.Context, q store.Querier) (checked, firstBreak int64, err error) {
	r, err := VerifyStored(ctx, q, "", nil)
	return r.Checked, r.FirstBreak, err
}

// VerifyStored walks the chain of a service without its key, and holds it against checkpoints that were kept elsewhere, which public signs: up to the
// newest of them nobody can have changed anything. What follows it is checked by its hashes alone. ErrSignature: a checkpoint is not signed so.
func VerifyStored(ctx context.Context, q store.Querier, service string, public ed25519.PublicKey, known ...Checkpoint) (Report, error) {
	end, err := readHead(ctx, q)
	if err != nil {
		return Report{}, err
	}
	for _, c := range known {
		if c.Service != service || c.Verify(public) != nil {
			return Report{}, ErrSignature
		}
		held, err := contains(ctx, q, c)
		if err != nil || !held {
			return Report{}.broken(min(c.Seq, end.Seq+1), BreakCheckpoint), err
		}
	}
	return walk(ctx, q, Report{}, beginning, end, func(row) (string, error) { return "", nil })
}

// walk looks at the events after a position up to the end. judge is asked of each that follows the one before; a reason other than "" ends the walk.
func walk(ctx context.Context, q store.Querier, report Report, at position, end head, judge func(row) (string, error)) (Report, error) {
	for at.seq < end.Seq {
		rows, err := read(ctx, q, at.seq, end.Seq)
		if err != nil {
			return report, err
		}
		for _, r := range rows {
			if !r.follows(at) {
				return report.broken(at.seq+1, BreakEvent), nil
			}
			reason, err := judge(r)
			if err != nil {
				return report, err
			}
			if reason != "" {
				return report.broken(r.Seq, reason), nil
			}
			report.Checked++
			at = position{r.Seq, r.Hash}
		}
		if len(rows) == 0 {
			return report.broken(at.seq+1, BreakTail), nil
		}
	}
	if at.seq > 0 && !bytes.Equal(at.hash, end.last()) {
		report.Checked = max(report.Checked-1, 0)
		return report.broken(at.seq, BreakHead), nil
	}
	forged, err := beyondHead(ctx, q)
	if forged > 0 {
		return report.broken(forged, BreakTail), nil
	}
	return report, err
}

// read returns the next events after a number, up to another.
func read(ctx context.Context, q store.Querier, after, end int64) (rows []row, err error) {
	err = q.Select(ctx, &rows, "SELECT "+columns+" FROM audit_events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", after, end, rowsPerRead)
	if err != nil {
		return nil, fmt.Errorf("read audit events: %w", err)
	}
	return rows, nil
}

// follows tells whether the row is the untouched successor of an event.
func (r row) follows(at position) bool {
	if r.Seq != at.seq+1 || !bytes.Equal(r.Hash, link(at.hash, r.Seq, r.Body)) {
		return false
	}
	event, err := decode(r.Body)
	return err == nil && event.At.UnixMicro() == r.At && event.Action == r.Action && event.Actor == r.Actor && event.Target == r.Target
}

// beyondHead returns the number of an event that lies after the head, which Append never leaves. The order of the two reads
// makes it true outside a snapshot as well: the head only grows.
func beyondHead(ctx context.Context, q store.Querier) (int64, error) {
	var bounds struct{ First, Last int64 }
	if err := q.Get(ctx, &bounds, "SELECT COALESCE(MIN(seq), 1) AS first, COALESCE(MAX(seq), 0) AS last FROM audit_events"); err != nil {
		return 0, fmt.Errorf("read last audit event: %w", err)
	}
	if bounds.First < 1 {
		return 1, nil
	}
	end, err := readHead(ctx, q)
	if err != nil || bounds.Last <= end.Seq {
		return 0, err
	}
	return bounds.Last, nil
}

// Verification says what a verification begins with.
type Verification struct {
	Known *Checkpoint // the chain must still hold it; nil: none is known
	After bool        // look only at what follows Known
}

// Verify walks the chain with its keys. Events that are appended meanwhile are left out. err means that it could not look, or that the checkpoint is none of
// this chain (ErrSignature).
func (c *Chain) Verify(ctx context.Context, v Verification) (Report, error) {
	q := c.db.Read(ctx)
	end, err := readHead(ctx, q)
	if err != nil {
		return Report{}, err
	}
	keys, err := c.keys(ctx, q, end.KeyID)
	if err != nil {
		return Report{}, err
	}
	start, report := beginning, Report{}
	if v.Known != nil {
		held, err := c.holds(ctx, q, *v.Known, keys)
		if err != nil || !held {
			return report.broken(min(v.Known.Seq, end.Seq+1), BreakCheckpoint), err
		}
		if v.After && v.Known.Seq > 0 {
			start, report.After = position{v.Known.Seq, v.Known.Hash}, v.Known.Seq
		}
	}
	return c.verifyFrom(ctx, q, report, start, end, keys)
}

// verifyNewest verifies what is not before a lost key.
func (c *Chain) verifyNewest(ctx context.Context) (Report, error) {
	q := c.db.Read(ctx)
	end, err := readHead(ctx, q)
	if err != nil {
		return Report{}, err
	}
	keys, err := c.keys(ctx, q, end.KeyID)
	if err != nil {
		return Report{}, err
	}
	start := beginning
	for i, k := range keys {
		if i > 0 && keys[i-1].lost && !k.lost {
			start = position{k.first - 1, k.prev}
		}
	}
	return c.verifyFrom(ctx, q, Report{After: start.seq}, start, end, keys)
}

func (c *Chain) verifyFrom(ctx context.Context, q store.Querier, report Report, start position, end head, keys []*key) (Report, error) {
	j, lost := newJudge(keys, start)
	if lost != nil {
		return report.broken(max(lost.first, start.seq+1), BreakKey), nil
	}
	report, err := walk(ctx, q, report, start, end, func(r row) (string, error) { return j.event(r), nil })
	report.Unkeyed = j.unkeyed
	if err != nil || !report.Intact() {
		return report, err
	}
	if !slices.ContainsFunc(keys, func(k *key) bool { return k.vouchesFor(end) }) {
		return report.broken(end.Seq, BreakHead), nil
	}
	return report, nil
}

// judge asks the keys about the events of a walk.
type judge struct {
	now     *key   // that events are under at this place; nil: they are from before the first
	next    []*key // those that begin later
	last    position
	unkeyed int64
}

// newJudge returns the judge of a walk that begins after start. lost is a key that this walk needs and that does not open.
func newJudge(keys []*key, start position) (j *judge, lost *key) {
	j = &judge{last: start}
	base := -1
	for i, k := range keys {
		switch {
		case k.lost:
		case k.first <= start.seq:
			j.now, base = k, i
		case k.follows(start.seq, start.hash):
			base = i - 1 // those before are not needed
		}
	}
	j.next = keys[base+1:]
	for _, k := range j.next {
		if k.lost {
			return nil, k
		}
	}
	return j, nil
}

// event returns why an event does not hold, or "".
func (j *judge) event(r row) string {
	for len(j.next) > 0 && j.next[0].first == r.Seq {
		if !j.next[0].follows(j.last.seq, j.last.hash) {
			return BreakKey
		}
		if e, err := decode(r.Body); err != nil || e.Detail["reason"] == reasonHead {
			return BreakHead
		}
		j.now, j.next = j.next[0], j.next[1:]
	}
	j.last = position{r.Seq, r.Hash}
	switch {
	case j.now != nil && j.now.vouches(r):
		return ""
	case j.now == nil && len(r.MAC) == 0:
		j.unkeyed++
		return ""
	}
	return BreakEvent
}
