package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/store"
)

const (
	checkpointEvents = 1000             // most events between two checkpoints
	checkpointPause  = 60 * time.Second // longest time between an event and its checkpoint
	verifyPause      = 24 * time.Hour
	lastCheckpoint   = 5 * time.Second // limit for the checkpoint at shutdown
)

// Keeping says where the keeper of a chain stores checkpoints, reports failures and exchanges checkpoints.
type Keeping struct {
	// File stores the newest checkpoint of this process outside the database. The next start compares the chain with it.
	File       string
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Failed     func(work string) // counts failed work
	// Archive returns the order of another service to remove archived events from the chain; false: there is none. nil: no service gives such orders.
	Archive func(ctx context.Context) (Order, bool, error)
	// Witness has another service record a checkpoint in its chain, and returns a checkpoint of that service, to be recorded in this chain; nil:
	// there is no such service. After a failure a new checkpoint is made. Each process calls it at least once, even if nothing was appended, since
	// the retention time that the service sends with the checkpoint may have changed.
	Witness func(ctx context.Context, c Checkpoint) (Checkpoint, error)
}

// Keeper makes the checkpoints of a chain, verifies it and removes archived events.
type Keeper struct {
	Keeping
	chain  *Chain
	mu     sync.Mutex  // guards the checkpoints
	signed int64       // number of the event of the newest checkpoint
	last   *Checkpoint // the newest checkpoint that the chain contained when this process checked; nil: none
	cut    bool        // the chain does not contain the checkpoint in the file, or the last one

	stopping  bool // the other service may have stopped already
	witnessed bool // the other service has recorded a checkpoint of this process

	other *Checkpoint // newest checkpoint of the other service's chain

	refused int64 // number of the last event of a refused order, which was reported

	intact, end, checked, lost, archived, oldest, behind prometheus.Gauge
}

// NewKeeper returns the keeper of a chain. The caller must call Run, and Close before the database is closed.
func NewKeeper(c *Chain, k Keeping) *Keeper {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		k.Registerer.Unregister(g)
		k.Registerer.MustRegister(g)
		return g
	}
	made := &Keeper{
		Keeping: k, chain: c, signed: -1,
		intact:   gauge("fountain_audit_intact", "1 while the last verification of the audit chain found nothing, 0 when it found a change."),
		end:      gauge("fountain_audit_checkpoint_seq", "Number of the event at the newest checkpoint of the audit chain."),
		checked:  gauge("fountain_audit_verified_events", "Events that the last verification of the audit chain looked at."),
		lost:     gauge("fountain_audit_lost_keys", "Keys of the audit chain that do not open: changed in the database, or sealed by a data key that was abandoned."),
		behind:   gauge("fountain_audit_witness_behind", "1 while the kms's audit trail ended before the place, or otherwise than, this service has recorded of it: an older state or a copy answers."),
		archived: gauge("fountain_audit_archived_seq", "Number of the last event that was archived and removed from the audit trail; 0: none was."),
		oldest:   gauge("fountain_audit_oldest_event_timestamp_seconds", "When the oldest event that the audit trail still holds was recorded, in seconds since 1970."),
	}
	made.intact.Set(1)
	made.lost.Set(float64(c.Lost()))
	return made
}

// Run makes checkpoints, removes archived events, and verifies the chain at the start and every day, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	if n := k.chain.Lost(); n > 0 {
		k.Log.ErrorContext(ctx, "keys of the audit chain can't be opened; fountain audit verify reports why", "keys", n)
	}
	k.compare(ctx)
	var group sync.WaitGroup
	group.Go(func() { k.verify(ctx) })
	group.Go(func() { k.archives(ctx) })
	k.checkpoints(ctx)
	group.Wait()
	return nil
}

// checkpoints makes the due checkpoints.
func (k *Keeper) checkpoints(ctx context.Context) {
	timer := time.NewTimer(checkpointPause)
	defer timer.Stop()
	failed := k.try(ctx) != nil // the previous process may have been killed before its last checkpoint
	waiting := failed           // events wait for the timer
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.chain.appended:
			if !waiting {
				timer.Reset(checkpointPause)
				waiting = true
			}
			if failed || k.chain.End()-k.signedSeq() < checkpointEvents {
				continue
			}
		case <-timer.C:
			if !waiting {
				continue
			}
		}
		failed = k.try(ctx) != nil
		waiting = failed
		timer.Reset(checkpointPause)
	}
}

func (k *Keeper) signedSeq() int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return max(k.signed, 0)
}

// Close makes a last checkpoint if events were appended since the previous one.
func (k *Keeper) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastCheckpoint)
	defer cancel()
	k.mu.Lock()
	k.stopping = true
	k.mu.Unlock()
	_ = k.try(ctx) // the error is logged and counted
	return nil
}

// try makes a checkpoint. It logs and counts a failure.
func (k *Keeper) try(ctx context.Context) error {
	err := k.checkpoint(ctx)
	if err != nil && ctx.Err() == nil {
		k.Log.ErrorContext(ctx, "a checkpoint of the audit chain could not be made", "error", err)
		k.Failed("write an audit checkpoint")
		if errors.Is(err, ErrTampered) {
			k.intact.Set(0)
		}
	}
	return err
}

func (k *Keeper) checkpoint(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	told := k.witnessed || k.Witness == nil || k.stopping
	if refused := k.chain.refused.Swap(false); k.chain.End() == k.signed && !refused && told {
		return nil
	}
	c, err := k.chain.Checkpoint(ctx)
	if err != nil {
		return err
	}
	if err := k.holdsLast(ctx, c.Seq); err != nil { // a new checkpoint must not replace the proof that an older state was restored
		return err
	}
	k.last = &c
	k.Log.InfoContext(ctx, "audit checkpoint", "checkpoint", c)
	if !k.cut { // otherwise the file is the proof
		err = k.write(c)
	}
	k.end.Set(float64(c.Seq))
	seq := c.Seq
	if k.Witness != nil && !k.stopping {
		var witnessed error
		seq, witnessed = k.witness(ctx, c)
		k.witnessed = k.witnessed || witnessed == nil
		err = errors.Join(err, witnessed)
	}
	if err == nil {
		k.signed = seq
	}
	return err
}

// holdsLast returns ErrTampered, and raises the alarm, if the chain does not contain the last checkpoint or ends before it; end is the number of the
// chain's last event. The caller must hold mu.
func (k *Keeper) holdsLast(ctx context.Context, end int64) error {
	if k.last == nil {
		return nil
	}
	held, err := k.chain.stillHolds(ctx, *k.last)
	if err != nil {
		return err
	}
	if held && k.last.Seq <= end {
		return nil
	}
	k.cut = true
	k.alarm(ctx, Report{FirstBreak: min(k.last.Seq, end+1), Reason: BreakCheckpoint})
	return fmt.Errorf("%w: it does not contain its last checkpoint", ErrTampered)
}

// witness exchanges checkpoints with another service. It returns the number of the last event that needs no further checkpoint. This includes the
// event that witness itself appends; otherwise two chains would go on causing checkpoints of each other.
func (k *Keeper) witness(ctx context.Context, c Checkpoint) (int64, error) {
	other, err := k.Witness(ctx, c)
	if err != nil {
		return 0, err
	}
	if err := k.compareOther(ctx, other); err != nil {
		return 0, err
	}
	event := Event{At: k.chain.Clock.Now(), Action: "recordCheckpoint", ActorKind: System, Target: other.Service, Outcome: OK, Detail: map[string]string{
		"seq": strconv.FormatInt(other.Seq, 10), "hash": base64.StdEncoding.EncodeToString(other.Hash), "at": other.At.UTC().Format(timeLayout),
		"publicKey": base64.StdEncoding.EncodeToString(other.PublicKey), "signature": base64.StdEncoding.EncodeToString(other.Signature),
	}}
	var recorded int64
	err = k.chain.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := Append(ctx, tx, event); err != nil {
			return err
		}
		recorded, err = Head(ctx, tx)
		recorded++
		return err
	})
	if err != nil || recorded > c.Seq+1 { // other events were appended before it and are not in the checkpoint
		return c.Seq, err
	}
	return recorded, nil
}

// compareOther compares a checkpoint of the other service with the previous one: its chain can only grow. So it detects a kms whose database was
// replaced by an older state, or a second copy of one. The new checkpoint is recorded all the same.
func (k *Keeper) compareOther(ctx context.Context, other Checkpoint) error {
	if other.Verify(other.PublicKey) != nil {
		return fmt.Errorf("the checkpoint of %s: %w", other.Service, ErrSignature)
	}
	before := k.other
	k.other = &other
	if before == nil || other.Seq > before.Seq || other.Seq == before.Seq && bytes.Equal(other.Hash, before.Hash) {
		k.behind.Set(0)
		return nil
	}
	k.behind.Set(1)
	k.Log.ErrorContext(ctx, "the audit trail of the other service is not the one that was recorded: an older state was restored, or a copy answers too",
		"service", other.Service, "event", other.Seq, "recorded", before.Seq)
	return nil
}

// write replaces the checkpoint file in one step.
func (k *Keeper) write(c Checkpoint) error {
	text, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encode checkpoint: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(k.File), 0o700); err != nil { // a service on PostgreSQL may have written nothing to this directory yet
		return fmt.Errorf("write checkpoint: %w", err)
	}
	draft := k.File + ".new"
	if err := os.WriteFile(draft, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	if err := os.Rename(draft, k.File); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

// compare checks that the chain still contains the checkpoint in the file.
func (k *Keeper) compare(ctx context.Context) {
	known, err := ReadCheckpoint(k.File)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	held := false
	if err == nil {
		held, err = k.chain.stillHolds(ctx, known)
	}
	if err != nil {
		k.Log.ErrorContext(ctx, "the last checkpoint of the audit chain could not be compared with it", "error", err)
		k.Failed("compare the audit chain with its last checkpoint")
		return
	}
	k.mu.Lock()
	k.cut = !held
	if held {
		k.signed, k.last = known.Seq, &known
	}
	k.mu.Unlock()
	if held {
		return
	}
	k.alarm(ctx, Report{FirstBreak: known.Seq, Reason: BreakCheckpoint}, "file", k.File)
}

// verify verifies the chain at the start and every day.
func (k *Keeper) verify(ctx context.Context) {
	ticker := time.NewTicker(verifyPause)
	defer ticker.Stop()
	for {
		k.verifyOnce(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// verifyOnce verifies the events since the newest lost key. Earlier ones can't be verified any more, so an alarm about them would never end.
func (k *Keeper) verifyOnce(ctx context.Context) {
	report, err := k.chain.verifyNewest(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		k.Log.ErrorContext(ctx, "the audit chain could not be verified", "error", err)
		k.Failed("verify the audit chain")
	case !report.Intact():
		k.alarm(ctx, report)
	default:
		k.checked.Set(float64(report.Checked))
		k.verified(ctx)
	}
}

// verified sets the metric to intact, unless the chain lacks a checkpoint: an older state of the chain passes the verification.
func (k *Keeper) verified(ctx context.Context) {
	k.mu.Lock()
	defer k.mu.Unlock()
	end, err := k.chain.vouchedHead(ctx, k.chain.db.Read(ctx))
	if err == nil {
		err = k.holdsLast(ctx, end.Seq)
	}
	switch {
	case err == nil && !k.cut:
		k.intact.Set(1)
	case err == nil || ctx.Err() != nil:
	case errors.Is(err, ErrTampered):
		k.intact.Set(0)
		k.Log.ErrorContext(ctx, "the audit chain is not valid: it was changed in the database", "error", err)
	default:
		k.Log.ErrorContext(ctx, "the audit chain could not be compared with its last checkpoint", "error", err)
		k.Failed("verify the audit chain")
	}
}

func (k *Keeper) alarm(ctx context.Context, r Report, more ...any) {
	k.intact.Set(0)
	k.Log.ErrorContext(ctx, "the audit chain is not valid: it was changed in the database", append(more, "event", r.FirstBreak, "reason", r.Reason)...)
}

// ReadCheckpoint reads a file with one checkpoint. The error is fs.ErrNotExist when there is no file.
func ReadCheckpoint(path string) (c Checkpoint, err error) {
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("read checkpoint: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return Checkpoint{}, fmt.Errorf("read checkpoint %s: not a checkpoint in the form of fountain audit checkpoint --output json: %w", path, err)
	}
	return c, nil
}
