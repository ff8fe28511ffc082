package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/fountainai/fountain/internal/store"
)

// Kinds of lines of an export.
const (
	LineBegin      = "begin"      // the first: after which event the export begins, and that event's hash
	LineEvent      = "event"      // one event
	LineCheckpoint = "checkpoint" // the last: the signed end. An export without it is not whole.
)

// Line is a line of an export. Whoever keeps an export keeps its bytes: the text of an event is what its hash is made of.
type Line struct {
	Kind       string          `json:"kind"`
	Seq        int64           `json:"seq"`
	Hash       []byte          `json:"hash,omitempty"` // of LineBegin
	Event      json.RawMessage `json:"event,omitempty"`
	Checkpoint *Checkpoint     `json:"checkpoint,omitempty"`
}

// maxLine bounds one line of an export, in bytes.
const maxLine = 2 * maxBody

// Export calls emit with the lines of an export of the events after a number, at most limit of them (1 or more), oldest first; the last line is a
// checkpoint at the last of them. Every event is verified before it is given out: where the chain does not hold, the export ends with ErrTampered and has no last line.
func (c *Chain) Export(ctx context.Context, after, limit int64, emit func(Line) error) error {
	q := c.db.Read(ctx)
	end, err := c.vouchedHead(ctx, q)
	if err != nil {
		return err
	}
	keys, err := c.keys(ctx, q, end.KeyID)
	if err != nil {
		return err
	}
	if len(keys) == 0 || !c.key.same(keys[len(keys)-1]) { // without it nothing would ask for sums
		return fmt.Errorf("%w: its key was changed", ErrTampered)
	}
	start := beginning
	if after = min(after, end.Seq); after > 0 {
		start.seq = after
		if err := q.Get(ctx, &start.hash, "SELECT hash FROM audit_events WHERE seq = ?", after); err != nil {
			return fmt.Errorf("read audit event: %w", err)
		}
	}
	j, lost := newJudge(keys, start)
	if lost != nil {
		return fmt.Errorf("%w: a key of it does not open", ErrTampered)
	}
	if err := emit(Line{Kind: LineBegin, Seq: start.seq, Hash: start.hash}); err != nil {
		return err
	}
	limit = max(limit, 1) // the event vouches for where the export begins
	at, whole := start, end.Seq-start.seq <= limit
	if !whole {
		end.Seq = start.seq + limit
	}
	for at.seq < end.Seq {
		if at, err = exportPart(ctx, q, at, end.Seq, j, emit); err != nil {
			return err
		}
	}
	if whole && !bytes.Equal(at.hash, end.last()) {
		return fmt.Errorf("%w: its head was changed", ErrTampered)
	}
	if err := reachKey(ctx, q, at, j); err != nil {
		return err
	}
	made := c.key.checkpoint(c.Service, at.seq, at.hash, c.Clock.Now())
	return emit(Line{Kind: LineCheckpoint, Seq: at.seq, Checkpoint: &made})
}

// reachKey looks at the events between the last one of an export and the first key: from before a key, only the hash that the key is bound to vouches
// for an event, so nothing is signed that does not lead there.
func reachKey(ctx context.Context, q store.Querier, at position, j *judge) (err error) {
	for j.now == nil {
		if len(j.next) == 0 {
			return fmt.Errorf("%w: no key vouches for event %d", ErrTampered, at.seq)
		}
		first := j.next[0]
		if at.seq == first.first-1 {
			if !first.follows(at.seq, at.hash) {
				return fmt.Errorf("%w: event %d was changed", ErrTampered, at.seq)
			}
			return nil
		}
		if at, err = exportPart(ctx, q, at, first.first-1, j, func(Line) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// exportPart emits some events after at and returns the last of them.
func exportPart(ctx context.Context, q store.Querier, at position, end int64, j *judge, emit func(Line) error) (position, error) {
	rows, err := read(ctx, q, at.seq, end)
	if err != nil {
		return at, err
	}
	if len(rows) == 0 {
		return at, fmt.Errorf("%w: event %d is missing", ErrTampered, at.seq+1)
	}
	for _, r := range rows {
		if !r.follows(at) || j.event(r) != "" {
			return at, fmt.Errorf("%w: event %d was changed", ErrTampered, at.seq+1)
		}
		if err := emit(Line{Kind: LineEvent, Seq: r.Seq, Event: r.Body}); err != nil {
			return at, err
		}
		at = position{r.Seq, r.Hash}
	}
	return at, nil
}

// ErrExport says that a text is not a whole export, or that it does not hold; the text that wraps it says at which line.
var ErrExport = errors.New("the export does not hold")

// ErrOutside says that a known checkpoint is not of the events in the export, which therefore was not compared with it.
var ErrOutside = errors.New("the number of a known checkpoint outside the export")

// VerifyExport reads an export and checks it without any secret: every event's hash follows from the one before, and the last is the one that the
// checkpoint at the end signs with the given key. known are checkpoints from elsewhere which the export must hold too; ErrOutside: it does not reach one. The export is
// only as good as the public key is the right one: keep it apart from what it verifies. Several exports may follow each other in one text, each beginning
// where the one before ends.
func VerifyExport(r io.Reader, service string, public ed25519.PublicKey, known ...Checkpoint) (Report, error) {
	for _, c := range known {
		if c.Service != service || c.Verify(public) != nil {
			return Report{}, ErrSignature
		}
	}
	v := &exportVerifier{service: service, public: public, known: known}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if err := v.line(lines.Bytes()); err != nil {
			return v.report, fmt.Errorf("%w: line %d: %w", ErrExport, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return v.report, fmt.Errorf("%w: line %d: %w", ErrExport, n+1, err)
	}
	if !v.ended {
		return v.report, fmt.Errorf("%w: it has no checkpoint at its end", ErrExport)
	}
	for _, c := range known {
		if c.Seq > v.at.seq || c.Seq > 0 && c.Seq < v.report.After {
			return v.report, fmt.Errorf("%w: it has the events after %d up to %d, and %d is %w", ErrExport, v.report.After, v.at.seq, c.Seq, ErrOutside)
		}
	}
	return v.report, nil
}

type exportVerifier struct {
	service string
	public  ed25519.PublicKey
	known   []Checkpoint
	report  Report
	at      position
	begun   bool
	ended   bool
}

func (v *exportVerifier) line(text []byte) error {
	var l Line
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return errors.New("it is no JSON of an export")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text follows the JSON")
	}
	switch {
	case l.Kind == LineBegin && !v.begun:
		return v.begin(l)
	case l.Kind == LineBegin && v.ended:
		return v.goOn(l)
	case l.Kind == LineEvent && v.begun && !v.ended:
		return v.event(l)
	case l.Kind == LineCheckpoint && v.begun && !v.ended:
		return v.end(l)
	}
	return errors.New("a line of this kind has no place here")
}

func (v *exportVerifier) begin(l Line) error {
	if l.Seq < 0 || len(l.Hash) != len(genesis) || l.Seq == 0 && !bytes.Equal(l.Hash, genesis[:]) {
		return errors.New("the beginning is none")
	}
	v.begun, v.at, v.report.After = true, position{l.Seq, bytes.Clone(l.Hash)}, l.Seq
	return v.compare()
}

// goOn begins a further part where the one before ended.
func (v *exportVerifier) goOn(l Line) error {
	if l.Seq != v.at.seq || !bytes.Equal(l.Hash, v.at.hash) {
		return errors.New("this part does not begin where the one before ends")
	}
	v.ended = false
	return nil
}

func (v *exportVerifier) event(l Line) error {
	if l.Seq != v.at.seq+1 {
		return errors.New("an event is missing, or stands at another place")
	}
	if _, err := decode(l.Event); err != nil {
		return errors.New("it holds no event")
	}
	v.at = position{l.Seq, link(v.at.hash, l.Seq, l.Event)}
	v.report.Checked++
	return v.compare()
}

// compare holds the place that was reached against the known checkpoints.
func (v *exportVerifier) compare() error {
	for _, c := range v.known {
		if c.Seq == v.at.seq && c.Seq > 0 && !bytes.Equal(c.Hash, v.at.hash) {
			return errors.New("a known checkpoint has another hash at this place: the chain was rewritten")
		}
	}
	return nil
}

func (v *exportVerifier) end(l Line) error {
	c := l.Checkpoint
	if c == nil || c.Service != v.service || c.Seq != l.Seq || c.Verify(v.public) != nil {
		return fmt.Errorf("the last line: %w", ErrSignature)
	}
	if c.Seq != v.at.seq || c.Seq > 0 && !bytes.Equal(c.Hash, v.at.hash) {
		return errors.New("the checkpoint is not of these events")
	}
	v.ended = true
	return nil
}
