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
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// Kinds of lines of an export.
const (
	LineBegin      = "begin"      // the first line: number and hash of the event after which the export begins
	LineEvent      = "event"      // one event
	LineCheckpoint = "checkpoint" // the last line: the signed end. An export without it is incomplete.
)

// Line is a line of an export. An export must be stored byte for byte, because the hash of an event covers its text.
type Line struct {
	Kind       string          `json:"kind"`
	Seq        int64           `json:"seq"`
	Hash       []byte          `json:"hash,omitempty"` // at LineBegin
	Event      json.RawMessage `json:"event,omitempty"`
	Checkpoint *Checkpoint     `json:"checkpoint,omitempty"`
}

// maxLine bounds one line of an export, in bytes.
const maxLine = 2 * maxBody

// Export calls emit with the lines of an export of the events with numbers above after, oldest first and at most limit events (1 or more). The last
// line is a checkpoint at the last of them. Every event is verified before it is emitted: if the chain was changed, Export fails with ErrTampered and
// emits no last line.
//
// If events were archived, an export from the beginning starts at the first stored event. If after is before that, and not 0, Export fails with
// ErrArchived.
func (c *Chain) Export(ctx context.Context, after, limit int64, emit func(Line) error) error {
	return c.ExportBefore(ctx, after, limit, time.Time{}, emit)
}

// ExportBefore is Export, but it ends before the first event that was recorded at the given time or later; the zero time is no bound.
func (c *Chain) ExportBefore(ctx context.Context, after, limit int64, before time.Time, emit func(Line) error) error {
	q := c.db.Read(ctx)
	end, err := c.vouchedHead(ctx, q)
	if err != nil {
		return err
	}
	keys, err := c.keys(ctx, q, end.KeyID)
	if err != nil {
		return err
	}
	if len(keys) == 0 || !c.key.same(keys[len(keys)-1]) { // without the key no HMAC would be verified
		return fmt.Errorf("%w: its key was changed", ErrTampered)
	}
	start, err := c.exportFrom(ctx, q, min(after, end.Seq), keys)
	if err != nil {
		return err
	}
	j, lost := newJudge(keys, start)
	if lost != nil {
		return fmt.Errorf("%w: a key of it does not open", ErrTampered)
	}
	if err := emit(Line{Kind: LineBegin, Seq: start.seq, Hash: start.hash}); err != nil {
		return err
	}
	limit = max(limit, 1) // the event proves the place at which the export begins
	at, whole := start, end.Seq-start.seq <= limit
	last := end.Seq
	if !whole {
		last = start.seq + limit
	}
	for at.seq < last {
		next, young, err := exportPart(ctx, q, at, last, before, j, emit)
		if err != nil {
			return err
		}
		at, whole = next, whole && !young
		if young {
			break
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

// exportFrom returns the position after which an export begins.
func (c *Chain) exportFrom(ctx context.Context, q store.Querier, after int64, keys []*key) (position, error) {
	b, good, err := vouchedBase(ctx, q, keys)
	switch {
	case err != nil:
		return position{}, err
	case !good:
		return position{}, fmt.Errorf("%w: its base was changed", ErrTampered)
	case after <= 0 || after == b.Seq:
		return b.position(), nil
	case after < b.Seq:
		return position{}, b.archived()
	}
	start := position{seq: after}
	if err := q.Get(ctx, &start.hash, "SELECT hash FROM audit_events WHERE seq = ?", after); err != nil {
		return position{}, fmt.Errorf("read audit event: %w", err)
	}
	return start, nil
}

// ExportStored is Export without the chain's key, for an archive of any service's trail. It exports the first stored event up to the event of a given
// checkpoint. It verifies nothing; VerifyExport does, with the public key. It fails with ErrArchived when the checkpoint's event was removed.
func ExportStored(ctx context.Context, q store.Querier, end Checkpoint, emit func(Line) error) error {
	b, err := readBase(ctx, q)
	if err != nil {
		return err
	}
	if end.Seq <= b.Seq {
		return b.archived()
	}
	at := b.position()
	if err := emit(Line{Kind: LineBegin, Seq: at.seq, Hash: at.hash}); err != nil {
		return err
	}
	for at.seq < end.Seq {
		rows, err := read(ctx, q, at.seq, end.Seq)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return fmt.Errorf("%w: event %d is missing", ErrTampered, at.seq+1)
		}
		for _, r := range rows {
			if err := emit(Line{Kind: LineEvent, Seq: r.Seq, Event: r.Body}); err != nil {
				return err
			}
			at = position{r.Seq, r.Hash}
		}
	}
	return emit(Line{Kind: LineCheckpoint, Seq: end.Seq, Checkpoint: &end})
}

// reachKey verifies the events between the last one of an export and the first key. Events before the first key are protected only by the hash to
// which the key is bound, so a checkpoint is signed only if the chain leads to that hash.
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
		if at, _, err = exportPart(ctx, q, at, first.first-1, time.Time{}, j, func(Line) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// exportPart emits some events after at and returns the position of the last one. young reports that the next event was recorded at the given time or
// later.
func exportPart(ctx context.Context, q store.Querier, at position, end int64, before time.Time, j *judge, emit func(Line) error) (_ position, young bool, err error) {
	rows, err := read(ctx, q, at.seq, end)
	if err != nil {
		return at, false, err
	}
	if len(rows) == 0 {
		if err := moved(ctx, q, at); err != nil {
			return at, false, err
		}
		return at, false, fmt.Errorf("%w: event %d is missing", ErrTampered, at.seq+1)
	}
	for _, r := range rows {
		if !r.follows(at) || j.event(r) != "" {
			if err := moved(ctx, q, at); err != nil {
				return at, false, err
			}
			return at, false, fmt.Errorf("%w: event %d was changed", ErrTampered, at.seq+1)
		}
		if !before.IsZero() && r.At >= before.UnixMicro() { // this event proves the place before it, where the export ends
			return at, true, nil
		}
		if err := emit(Line{Kind: LineEvent, Seq: r.Seq, Event: r.Body}); err != nil {
			return at, false, err
		}
		at = position{r.Seq, r.Hash}
	}
	return at, false, nil
}

// ErrExport means that a text is not a complete export, or was changed. The error that wraps it names the line and the first event that is not valid.
// Hashes are compared only at checkpoints: for a changed event it names the two between which the event is.
var ErrExport = errors.New("the export is not valid")

// ErrOutside means that the event of a known checkpoint is not in the export, so the export was not compared with that checkpoint.
var ErrOutside = errors.New("the number of a known checkpoint outside the export")

// VerifyExport reads an export and verifies it without any secret: every event's hash must follow from the one before, and the checkpoint at the end
// must sign the last one with the given key. The export must also contain the known checkpoints, which come from elsewhere; ErrOutside means that it
// does not reach one of them.
//
// The result is worth only as much as the public key, so the key must be stored apart from the export. One text may consist of several exports, each
// of which begins where the previous one ends.
func VerifyExport(r io.Reader, service string, public ed25519.PublicKey, known ...Checkpoint) (Report, error) {
	if err := agree(service, public, known); err != nil {
		return Report{}, err
	}
	v := &exportVerifier{service: service, public: public, known: known}
	if err := v.read(r); err != nil {
		return v.report, err
	}
	return v.report, v.reaches()
}

// read verifies one text.
func (v *exportVerifier) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	n := 0
	for lines.Scan() {
		n++
		if err := v.line(lines.Bytes()); err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrExport, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: line %d: %w", ErrExport, n+1, err)
	}
	if !v.ended || n == 0 {
		return fmt.Errorf("%w: it has no checkpoint at its end, after event %d", ErrExport, v.at.seq)
	}
	return nil
}

// reaches returns ErrOutside unless all known checkpoints were compared.
func (v *exportVerifier) reaches() error {
	for _, c := range v.known {
		if c.Seq > v.at.seq || c.Seq > 0 && c.Seq < v.report.After {
			return fmt.Errorf("%w: it has the events after %d up to %d, and %d is %w", ErrExport, v.report.After, v.at.seq, c.Seq, ErrOutside)
		}
	}
	return nil
}

// VerifyPart is VerifyExport for a single archive, which may begin at any event. It also returns the archive's end.
func VerifyPart(r io.Reader, service string, public ed25519.PublicKey) (Archived, error) {
	v := &exportVerifier{service: service, public: public}
	err := v.read(r)
	return Archived{Report: v.report, Seq: v.at.seq, Hash: v.at.hash, End: v.last}, err
}

// Text is an archive of a trail, or an export of the events that the trail still has.
type Text struct {
	Name string // for error messages
	Read io.Reader
}

// Archived describes the events of one archive, or of several consecutive ones.
type Archived struct {
	Report
	Seq  int64  // number of the last event
	Hash []byte // hash of that event
	End  Checkpoint
}

// VerifyArchives is VerifyExport for consecutive archives of a trail from its first event on; the last text may be a later export. It fails with
// ErrExport and the name of the text when an archive is missing, cut off, changed or out of order.
func VerifyArchives(texts []Text, service string, public ed25519.PublicKey, known ...Checkpoint) (Archived, error) {
	if err := agree(service, public, known); err != nil {
		return Archived{}, err
	}
	v := &exportVerifier{service: service, public: public, known: known, whole: true}
	if len(texts) == 0 {
		return Archived{}, fmt.Errorf("%w: there is none", ErrExport)
	}
	for _, text := range texts {
		if err := v.read(text.Read); err != nil {
			return Archived{Report: v.report}, fmt.Errorf("%s: %w", text.Name, err)
		}
	}
	return Archived{Report: v.report, Seq: v.at.seq, Hash: v.at.hash, End: v.last}, v.reaches()
}

type exportVerifier struct {
	service string
	public  ed25519.PublicKey
	known   []Checkpoint
	report  Report
	at      position
	last    Checkpoint
	held    int64      // the last event whose hash was compared, or the place where the text begins
	rooted  bool       // that place is the beginning of the trail, or was compared
	by      Checkpoint // with which it was compared; the zero value: with none
	begun   bool
	ended   bool
	whole   bool // must begin with the first event of the trail
}

func (v *exportVerifier) line(text []byte) error {
	var l Line
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return v.misplaced("it is not a line of an export")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return v.misplaced("text follows the JSON")
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
	return v.misplaced("a line of this kind has no place here")
}

func (v *exportVerifier) begin(l Line) error {
	if l.Seq < 0 || len(l.Hash) != len(genesis) || l.Seq == 0 && !bytes.Equal(l.Hash, genesis[:]) {
		return errors.New("it does not begin as an export does")
	}
	if v.whole && l.Seq != 0 {
		return fmt.Errorf("it begins after event %d: the archives before it are missing", l.Seq)
	}
	v.begun, v.at, v.report.After = true, position{l.Seq, bytes.Clone(l.Hash)}, l.Seq
	v.held, v.rooted = l.Seq, l.Seq == 0
	return v.compare()
}

// goOn begins a further export where the previous one ended.
func (v *exportVerifier) goOn(l Line) error {
	if l.Seq != v.at.seq || !bytes.Equal(l.Hash, v.at.hash) {
		return fmt.Errorf("this part does not begin where the one before ends: that ends with event %d, and this begins after %d", v.at.seq, l.Seq)
	}
	v.ended = false
	return nil
}

func (v *exportVerifier) event(l Line) error {
	if l.Seq != v.at.seq+1 {
		return fmt.Errorf("event %d is missing, or stands at another place", v.at.seq+1)
	}
	if _, err := decode(l.Event); err != nil {
		return fmt.Errorf("event %d is not one", l.Seq)
	}
	v.at = position{l.Seq, link(v.at.hash, l.Seq, l.Event)}
	v.report.Checked++
	return v.compare()
}

// compare compares the position that was reached with the known checkpoints.
func (v *exportVerifier) compare() error {
	for _, c := range v.known {
		if c.Seq != v.at.seq || c.Seq == 0 {
			continue
		}
		if !bytes.Equal(c.Hash, v.at.hash) {
			return v.changed(c)
		}
		v.matched(c)
	}
	return nil
}

func (v *exportVerifier) end(l Line) error {
	c := l.Checkpoint
	if c != nil {
		c.Source = "the checkpoint at the end"
	}
	if c == nil || c.Service != v.service || c.Seq != l.Seq || c.Verify(v.public) != nil || !bytes.Equal(c.PublicKey, v.public) || c.KeyID != KeyName(v.public) {
		return fmt.Errorf("the last line: %w", ErrSignature)
	}
	switch {
	case c.Seq > v.at.seq:
		return fmt.Errorf("event %d is missing: the checkpoint is of event %d", v.at.seq+1, c.Seq)
	case c.Seq < v.at.seq:
		return fmt.Errorf("event %d lies beyond the checkpoint", c.Seq+1)
	case c.Seq > 0 && !bytes.Equal(c.Hash, v.at.hash):
		return v.changed(*c)
	}
	v.matched(*c)
	v.ended, v.last = true, *c
	v.last.Source = ""
	return nil
}

// matched notes that the place that was reached is the checkpoint's.
func (v *exportVerifier) matched(c Checkpoint) { v.held, v.rooted, v.by = c.Seq, true, c }

// changed is the error of a checkpoint that has another hash than the place that was reached. Only hashes that were compared vouch for events, so the change lies
// anywhere behind the last one. Where the last one is of this very event, the two checkpoints exclude each other, whatever the text says.
func (v *exportVerifier) changed(c Checkpoint) error {
	if v.by.Seq == v.at.seq {
		return contradiction(v.by, c)
	}
	what := fmt.Sprintf("one of the events %d to %d was changed", v.held+1, v.at.seq)
	switch v.at.seq - v.held {
	case 0:
		what = fmt.Sprintf("the hash of event %d, where it begins, was changed", v.at.seq)
	case 1:
		what = fmt.Sprintf("event %d was changed", v.at.seq)
	}
	if !v.rooted && v.at.seq > v.held {
		what += fmt.Sprintf(", or the hash of event %d, where it begins", v.held)
	}
	return fmt.Errorf("%s: %s has another hash of event %d", what, c.name(), v.at.seq)
}

// misplaced is the error of a line that can't be read or has no place where it is.
func (v *exportVerifier) misplaced(what string) error {
	if !v.begun {
		return errors.New(what)
	}
	return fmt.Errorf("%s, after event %d", what, v.at.seq)
}
