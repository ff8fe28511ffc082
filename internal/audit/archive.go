package audit

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// Refusals of an Order; match them with errors.Is.
var (
	// ErrSeam means that the archive does not begin where the stored chain begins. Events would be removed that are in no archive.
	ErrSeam = errors.New("the archive does not begin where the stored audit chain begins")
	// ErrYoung means that an event of the archive is younger than the minimum age for removal.
	ErrYoung = errors.New("events of the archive are too young to be removed")
	// ErrLostKey means that a key of the chain does not open (fountain recover data-key), so that the events to be removed can't be verified.
	ErrLostKey = errors.New("a key of the audit chain does not open")
	// ErrArchiving means that the events of an earlier order are still being removed.
	ErrArchiving = errors.New("events of an earlier archive are still being removed")
)

// ArchiveAudit is the action of the event that records an order to remove archived events from the chain.
const ArchiveAudit = "archiveAudit"

// Order asks for the removal of archived events from a chain.
type Order struct {
	After int64         // number of the last event before the archive; the stored chain must begin right after it
	End   Checkpoint    // checkpoint at the end of the archive, signed by the chain; its event is the last one to be removed
	Keep  time.Duration // no event younger than this is removed
	Event Event         // names who ordered it; action, target and the numbers are filled in
}

// Archive records, in the caller's transaction, an order to remove the events of an archive. The order is itself an event of the chain. Archive
// removes nothing: the keeper does, beginning with the oldest event, and the chain can be verified at every moment. Repeating the order has no
// effect. Archive returns where the stored chain begins now.
//
// It fails with ErrSignature when the checkpoint is not one of this chain, with ErrArchived when its events were removed before, with ErrTampered
// when the chain no longer contains what it signed, and with ErrSeam, ErrYoung, ErrArchiving or ErrLostKey for the reasons stated there.
func (c *Chain) Archive(ctx context.Context, tx *store.Tx, o Order) (Beginning, error) {
	b, keys, err := c.lockBase(ctx, tx)
	if err != nil {
		return Beginning{}, err
	}
	if o.End.Seq < 1 || !signedByAny(keys, c.Service, o.End) {
		return Beginning{}, unsigned(keys)
	}
	if b.TargetSeq == o.End.Seq && bytes.Equal(b.TargetHash, o.End.Hash) {
		return b.beginning(), nil
	}
	switch {
	case b.Seq < b.TargetSeq:
		return Beginning{}, ErrArchiving
	case o.End.Seq <= b.Seq:
		return Beginning{}, b.archived()
	case o.After != b.Seq:
		return Beginning{}, ErrSeam
	}
	if _, lost := newJudge(keys, b.position()); lost != nil {
		return Beginning{}, ErrLostKey
	}
	if err := c.mayGo(ctx, tx, b, o); err != nil {
		return Beginning{}, err
	}
	b.TargetSeq, b.TargetHash = o.End.Seq, o.End.Hash
	if err := c.putBase(ctx, tx, b); err != nil {
		return Beginning{}, err
	}
	if err := Append(ctx, tx, o.event(c)); err != nil {
		return Beginning{}, err
	}
	tx.AfterCommit(c.wakeRemoval)
	return b.beginning(), nil
}

// event returns the event that records an order.
func (o Order) event(c *Chain) Event {
	e := o.Event
	e.Action, e.Target, e.Outcome = ArchiveAudit, c.Service, OK
	if e.At.IsZero() {
		e.At = c.Clock.Now()
	}
	detail := map[string]string{"after": strconv.FormatInt(o.After, 10), "seq": strconv.FormatInt(o.End.Seq, 10), "hash": base64.StdEncoding.EncodeToString(o.End.Hash)}
	for name, value := range e.Detail {
		detail[name] = value
	}
	e.Detail = detail
	return e
}

// lockBase locks the base row until the transaction ends and returns it with the keys of the chain. It fails with ErrTampered when the row is not
// what the last order or removal wrote, with ErrLostKey when the key that would show this does not open, and with ErrOtherKey when the chain has
// another key now.
func (c *Chain) lockBase(ctx context.Context, tx *store.Tx) (b base, keys []*key, err error) {
	err = tx.Get(ctx, &b, "UPDATE audit_base SET seq = seq WHERE id = 1 RETURNING "+baseColumns)
	if errors.Is(err, sql.ErrNoRows) {
		return b, nil, c.tampered("its base was removed")
	}
	if err != nil {
		return b, nil, fmt.Errorf("lock audit base: %w", err)
	}
	h, err := readHead(ctx, tx)
	if err != nil {
		return b, nil, err
	}
	if keys, err = c.keys(ctx, tx, h.KeyID); err != nil {
		return b, nil, err
	}
	switch {
	case h.KeyID != c.key.id:
		return b, nil, ErrOtherKey
	case len(keys) == 0 || !c.key.same(keys[len(keys)-1]):
		return b, nil, c.tampered("its key was changed")
	case b.vouchedBy(keys):
		return b, keys, nil
	case slices.ContainsFunc(keys, func(k *key) bool { return k.id == b.KeyID && k.lost }):
		return b, nil, ErrLostKey
	}
	return b, nil, c.tampered("its base was changed")
}

// mayGo refuses an order whose end is not in the chain (ErrTampered), and one with events that are too young to be removed (ErrYoung).
func (c *Chain) mayGo(ctx context.Context, tx *store.Tx, b base, o Order) error {
	var hash []byte
	err := tx.Get(ctx, &hash, "SELECT hash FROM audit_events WHERE seq = ?", o.End.Seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read audit event: %w", err)
	}
	if !bytes.Equal(hash, o.End.Hash) {
		return c.tampered("it does not contain the end of an archive that it has signed")
	}
	var newest int64
	err = tx.Get(ctx, &newest, "SELECT COALESCE(MAX(at), 0) FROM audit_events WHERE seq > ? AND seq <= ?", b.Seq, o.End.Seq)
	if err != nil {
		return fmt.Errorf("read newest event of the archive: %w", err)
	}
	if newest > c.Clock.Now().Add(-o.Keep).UnixMicro() {
		return ErrYoung
	}
	return nil
}

// putBase writes the base row with its HMAC.
func (c *Chain) putBase(ctx context.Context, tx *store.Tx, b base) error {
	b.KeyID = c.key.id
	_, err := tx.Exec(ctx, "UPDATE audit_base SET seq = ?, hash = ?, target_seq = ?, target_hash = ?, key_id = ?, mac = ? WHERE id = 1",
		b.Seq, b.Hash, b.TargetSeq, b.TargetHash, b.KeyID, c.key.sumBase(b))
	if err != nil {
		return fmt.Errorf("move audit base: %w", err)
	}
	return nil
}

// removeSome removes a bounded number of the oldest ordered events and moves the base in the same transaction, so the chain can be verified wherever
// it is interrupted. Each event is verified first; if one was changed, nothing is removed (ErrTampered). more reports whether events remain to be
// removed.
func (c *Chain) removeSome(ctx context.Context) (more bool, err error) {
	if b, err := readBase(ctx, c.db.Read(ctx)); err == nil && b.Seq == b.TargetSeq {
		return false, nil // a change of both numbers is found by the daily verification
	}
	err = c.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		more = false
		b, keys, err := c.lockBase(ctx, tx)
		if err != nil || b.Seq == b.TargetSeq {
			return err
		}
		last, err := c.verifyOldest(ctx, tx, b, keys)
		if err != nil {
			return err
		}
		removed, err := tx.Exec(ctx, "DELETE FROM audit_events WHERE seq > ? AND seq <= ?", b.Seq, last.seq)
		if err != nil {
			return fmt.Errorf("remove archived events: %w", err)
		}
		if removed != last.seq-b.Seq {
			return c.tampered("archived events were changed while they were removed")
		}
		b.Seq, b.Hash = last.seq, last.hash
		more = b.Seq < b.TargetSeq
		return c.putBase(ctx, tx, b)
	})
	return more && err == nil, err
}

// verifyOldest verifies a bounded number of the oldest events of an order and returns the position of the last one.
func (c *Chain) verifyOldest(ctx context.Context, tx *store.Tx, b base, keys []*key) (position, error) {
	at := b.position()
	j, lost := newJudge(keys, at)
	if lost != nil {
		return at, ErrLostKey
	}
	rows, err := read(ctx, tx, b.Seq, b.TargetSeq)
	if err != nil {
		return at, err
	}
	for _, r := range rows {
		if !r.follows(at) || j.event(r) != "" {
			return at, c.tampered(fmt.Sprintf("event %d was changed", at.seq+1))
		}
		at = position{r.Seq, r.Hash}
	}
	if len(rows) == 0 || at.seq == b.TargetSeq && !bytes.Equal(at.hash, b.TargetHash) {
		return at, c.tampered(fmt.Sprintf("it does not lead to the end of the archive, event %d", b.TargetSeq))
	}
	return at, nil
}

// wakeRemoval wakes the keeper to remove the ordered events.
func (c *Chain) wakeRemoval() {
	select {
	case c.ordered <- struct{}{}:
	default:
	}
}

// unsigned returns the error for a checkpoint that no open key of the chain has signed: ErrLostKey if a lost key may have signed it, otherwise
// ErrSignature.
func unsigned(keys []*key) error {
	if slices.ContainsFunc(keys, func(k *key) bool { return k.lost }) {
		return ErrLostKey
	}
	return ErrSignature
}

// signedByAny reports whether an open key of the chain has signed the checkpoint for the service.
func signedByAny(keys []*key, service string, known Checkpoint) bool {
	for _, k := range keys {
		if !k.lost && known.Service == service && known.Verify(k.public()) == nil {
			return true
		}
	}
	return false
}
