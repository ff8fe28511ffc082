package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/fountainai/fountain/internal/store"
)

const rowsPerRead = 500

// Reasons why a chain is not intact.
const (
	BreakEvent      = "event"      // an event was changed, moved, added or removed
	BreakTail       = "tail"       // events at the end were removed, or lie beyond it
	BreakHead       = "head"       // the row that says where the chain ends was changed
	BreakKey        = "key"        // a key of the chain was changed or removed, or its data key was abandoned
	BreakBase       = "base"       // the row that says where the stored chain begins was changed: events before it may have been removed without an archive
	BreakCheckpoint = "checkpoint" // the chain does not contain what was signed: it was cut off, rewritten or replaced by an older state
)

// Report is the result of a verification.
type Report struct {
	After      int64  // the events after this number were verified
	Checked    int64  // how many events are intact, from the first verified one on
	Unkeyed    int64  // how many of these are older than the first key: only the hash to which that key is bound protects them
	FirstBreak int64  // number of the first event that is not intact; 0: all are
	Reason     string // "" when all are intact, otherwise one of the reasons above
}

// Intact reports whether the verification found no change.
func (r Report) Intact() bool { return r.FirstBreak == 0 }

func (r Report) broken(at int64, reason string) Report {
	r.FirstBreak, r.Reason = max(at, 1), reason
	return r
}

// position is a place in the chain: the number and the hash of an event.
type position struct {
	seq  int64
	hash []byte
}

var beginning = position{hash: genesis[:]}

// Verify walks the whole chain without its key and finds errors in the hashes. It returns how many events are intact from the first on, and the
// number of the first one that is not (0: all are). Events that are appended meanwhile are not included. err means that the chain could not be read.
func Verify(ctx context.Context, q store.Querier) (checked, firstBreak int64, err error) {
	r, err := VerifyStored(ctx, q, "", nil)
	return r.Checked, r.FirstBreak, err
}

// VerifyStored walks the chain of a service without its key, and compares it with checkpoints that were stored elsewhere, signed by the key public.
// It proves that nothing was changed up to the newest of them; later events are verified by their hashes alone.
//
// If events were archived, the walk begins after them, and the order to remove them must be an event of the chain.
//
// It fails with ErrSignature when a checkpoint is not signed by public for this service, with ErrContradiction when two of them exclude each other, and
// with ErrArchived when the event of a checkpoint was archived.
func VerifyStored(ctx context.Context, q store.Querier, service string, public ed25519.PublicKey, known ...Checkpoint) (Report, error) {
	end, err := readHead(ctx, q)
	if err != nil {
		return Report{}, err
	}
	if err := agree(service, public, known); err != nil {
		return Report{}, err
	}
	for _, c := range known {
		held, err := contains(ctx, q, c)
		if err != nil || !held {
			return Report{}.broken(min(c.Seq, end.Seq+1), BreakCheckpoint), err
		}
	}
	for {
		b, err := readBaseBeside(ctx, q) // before the head, which is never before the base
		if errors.Is(err, ErrTampered) {
			return Report{}.broken(1, BreakBase), nil
		}
		if err != nil {
			return Report{}, err
		}
		if end, err = readHead(ctx, q); err != nil {
			return Report{}, err
		}
		report, told, err := walkToOrder(ctx, q, b, end)
		if errors.Is(err, errMoved) {
			continue // ends, since the base only grows
		}
		if err == nil && report.Intact() && !told {
			return report.broken(b.Seq, BreakBase), nil
		}
		return report, err
	}
}

// walkToOrder walks the stored chain without its key. told reports whether an event of the chain orders the removal of the events before it, or no
// events were removed.
func walkToOrder(ctx context.Context, q store.Querier, b base, end head) (report Report, told bool, err error) {
	told = b.Seq == 0
	if len(b.Hash) != len(genesis) && b.Seq != 0 || b.Seq < 0 {
		return Report{}.broken(b.Seq, BreakBase), told, nil
	}
	start := b.position()
	report, err = walk(ctx, q, Report{After: start.seq}, b.Seq, start, end, func(r row) (string, error) {
		if r.Action == ArchiveAudit && !told {
			e, err := decode(r.Body)
			told = err == nil && e.Detail["seq"] == strconv.FormatInt(b.TargetSeq, 10) && e.Detail["hash"] == base64.StdEncoding.EncodeToString(b.TargetHash) &&
				b.Seq <= b.TargetSeq && (b.Seq < b.TargetSeq || bytes.Equal(b.Hash, b.TargetHash))
		}
		return "", nil
	})
	return report, told, err
}

// errMoved means that the next events of a walk were archived and removed while it was running.
var errMoved = errors.New("the events that come next were archived meanwhile")

// moved returns errMoved when the stored chain now begins after a position.
func moved(ctx context.Context, q store.Querier, at position) error {
	b, err := readBaseBeside(ctx, q)
	if err == nil && b.Seq > at.seq {
		return errMoved
	}
	if errors.Is(err, ErrTampered) {
		return nil
	}
	return err
}

// walk verifies the events after the position at, up to the end. It calls judge for each event that follows the one before; a reason other than ""
// ends the walk. first is the number of the last archived event: no stored event may have that number or a lower one. After errMoved the walk must be
// started again.
func walk(ctx context.Context, q store.Querier, report Report, first int64, at position, end head, judge func(row) (string, error)) (Report, error) {
	for at.seq < end.Seq {
		rows, err := read(ctx, q, at.seq, end.Seq)
		if err != nil {
			return report, err
		}
		for _, r := range rows {
			if !r.follows(at) {
				return report.broken(at.seq+1, BreakEvent), moved(ctx, q, at)
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
			return report.broken(at.seq+1, BreakTail), moved(ctx, q, at)
		}
	}
	if at.seq > 0 && !bytes.Equal(at.hash, end.last()) {
		report.Checked = max(report.Checked-1, 0)
		return report.broken(at.seq, BreakHead), nil
	}
	forged, reason, err := outside(ctx, q, first)
	if reason != "" {
		return report.broken(forged, reason), nil
	}
	return report, err
}

// read returns the next events after a number, up to end and at most rowsPerRead.
func read(ctx context.Context, q store.Querier, after, end int64) (rows []row, err error) {
	err = q.Select(ctx, &rows, "SELECT "+columns+" FROM audit_events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", after, end, rowsPerRead)
	if err != nil {
		return nil, fmt.Errorf("read audit events: %w", err)
	}
	return rows, nil
}

// follows reports whether the row is the unchanged successor of an event.
func (r row) follows(at position) bool {
	if r.Seq != at.seq+1 || !bytes.Equal(r.Hash, link(at.hash, r.Seq, r.Body)) {
		return false
	}
	event, err := decode(r.Body)
	return err == nil && event.At.UnixMicro() == r.At && event.Action == r.Action && event.Actor == r.Actor && event.Target == r.Target
}

// outside returns the number of an event after the head or before the base, where no event may be, and the reason to report. The order of its reads
// makes the result right outside a snapshot, too, since head and base only grow.
func outside(ctx context.Context, q store.Querier, first int64) (seq int64, reason string, err error) {
	var bounds struct{ First, Last int64 }
	if err := q.Get(ctx, &bounds, "SELECT COALESCE(MIN(seq), ?) AS first, COALESCE(MAX(seq), 0) AS last FROM audit_events", first+1); err != nil {
		return 0, "", fmt.Errorf("read last audit event: %w", err)
	}
	if bounds.First <= first {
		return bounds.First, BreakEvent, nil
	}
	end, err := readHead(ctx, q)
	if err != nil || bounds.Last <= end.Seq {
		return 0, "", err
	}
	return bounds.Last, BreakTail, nil
}

// Verification says what a verification starts with.
type Verification struct {
	Known *Checkpoint // the chain must still contain it; nil: none is known
	After bool        // verify only the events after Known
}

// Verify walks the chain with its keys, from the first stored event on. Events that are appended meanwhile are not included. err means that the chain
// could not be read, that the checkpoint is not one of this chain (ErrSignature), or that the checkpoint's event was archived (ErrArchived).
func (c *Chain) Verify(ctx context.Context, v Verification) (Report, error) {
	return c.verifyStored(ctx, func(q store.Querier, report Report, b base, end head, keys []*key) (position, Report, error) {
		start := b.position()
		if v.Known == nil {
			return start, report, nil
		}
		held, err := c.holds(ctx, q, *v.Known, keys)
		if err != nil || !held {
			return start, report.broken(min(v.Known.Seq, end.Seq+1), BreakCheckpoint), err
		}
		if v.After && v.Known.Seq > start.seq {
			start = position{v.Known.Seq, v.Known.Hash}
		}
		return start, report, nil
	})
}

// verifyNewest verifies the events since the newest lost key.
func (c *Chain) verifyNewest(ctx context.Context) (Report, error) {
	return c.verifyStored(ctx, func(_ store.Querier, report Report, b base, _ head, keys []*key) (position, Report, error) {
		start := b.position()
		for i, k := range keys {
			if i > 0 && keys[i-1].lost && !k.lost && k.first-1 >= start.seq {
				start = position{k.first - 1, k.prev}
			}
		}
		return start, report, nil
	})
}

// verifyStored walks the chain from the position that begin returns; begin may also report a break itself. When the next events are archived during
// the walk, it starts again.
func (c *Chain) verifyStored(ctx context.Context, begin func(store.Querier, Report, base, head, []*key) (position, Report, error)) (Report, error) {
	q := c.db.Read(ctx)
	for {
		b, err := readBase(ctx, q) // before the head, which is never before the base
		if errors.Is(err, ErrTampered) {
			return Report{}.broken(1, BreakBase), nil
		}
		if err != nil {
			return Report{}, err
		}
		end, err := readHead(ctx, q)
		if err != nil {
			return Report{}, err
		}
		keys, err := c.keys(ctx, q, end.KeyID)
		if err != nil {
			return Report{}, err
		}
		start, report, err := begin(q, Report{}, b, end, keys)
		if err != nil || !report.Intact() {
			return report, err
		}
		report.After = start.seq
		if !b.vouchedBy(keys) && !lostBefore(keys, b, start) {
			return report.broken(b.Seq, BreakBase), nil
		}
		report, err = c.verifyFrom(ctx, q, report, b.Seq, start, end, keys)
		if !errors.Is(err, errMoved) {
			return report, err
		}
	}
}

// lostBefore reports whether the base can't be verified because its key is lost, and need not be because the walk starts after the events of that
// key.
func lostBefore(keys []*key, b base, start position) bool {
	for i, k := range keys {
		if k.id == b.KeyID && k.lost {
			return i+1 < len(keys) && keys[i+1].first-1 <= start.seq && b.Seq <= start.seq
		}
	}
	return false
}

func (c *Chain) verifyFrom(ctx context.Context, q store.Querier, report Report, first int64, start position, end head, keys []*key) (Report, error) {
	j, lost := newJudge(keys, start)
	if lost != nil {
		return report.broken(max(lost.first, start.seq+1), BreakKey), nil
	}
	report, err := walk(ctx, q, report, first, start, end, func(r row) (string, error) { return j.event(r), nil })
	report.Unkeyed = j.unkeyed
	if err != nil || !report.Intact() {
		return report, err
	}
	if !slices.ContainsFunc(keys, func(k *key) bool { return k.vouchesFor(end) }) {
		return report.broken(end.Seq, BreakHead), nil
	}
	return report, nil
}

// judge verifies the HMACs of the events of a walk.
type judge struct {
	now     *key   // key of the events at this place; nil: they are older than the first key
	next    []*key // the later keys
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
			base = i - 1 // earlier keys are not needed
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

// event returns the reason why an event is not intact, or "".
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
