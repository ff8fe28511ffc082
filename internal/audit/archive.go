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
	// ErrSeam says that the archive does not begin where the stored chain begins: something would be in no archive.
	ErrSeam = errors.New("the archive does not begin where the stored audit chain begins")
	// ErrYoung says that an event of the archive has not been kept for the least time.
	ErrYoung = errors.New("events of the archive are too young to be removed")
	// ErrLostKey says that a key of the chain does not open (fountain recover data-key): nobody vouches for what would be removed.
	ErrLostKey = errors.New("a key of the audit chain does not open")
	// ErrArchiving says that the events of an earlier order are still being removed.
	ErrArchiving = errors.New("events of an earlier archive are still being removed")
)

// ArchiveAudit is the action of the event by which a chain tells that events are removed from it, because they are in an archive.
const ArchiveAudit = "archiveAudit"

// Order has the events of an archive removed from a chain.
type Order struct {
	After int64         // number of the event after which the archive begins: the stored chain must begin there
	End   Checkpoint    // that ends the archive, signed by the chain: the last event that is removed
	Keep  time.Duration // no event younger than this is removed
	Event Event         // who orders it; action, target and the numbers are filled in
}

// Archive orders in the caller's transaction that the events of an archive are removed. It removes none: the keeper does, from the oldest on, and the chain holds
// at every moment. The order is an event of the chain. The same order again changes nothing and tells how far it is. ErrSignature: the checkpoint is none of this
// chain's. ErrSeam, ErrYoung, ErrArchiving, ErrLostKey: it is refused. ErrTampered: the chain does not hold what was signed.
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

// event is what the chain tells of an order.
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

// lockBase locks the base until the transaction ends. ErrTampered: no removal left it so. ErrLostKey: nobody can say.
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

// mayGo refuses an order whose end the chain does not hold, and one for events that have to be kept.
func (c *Chain) mayGo(ctx context.Context, tx *store.Tx, b base, o Order) error {
	var hash []byte
	err := tx.Get(ctx, &hash, "SELECT hash FROM audit_events WHERE seq = ?", o.End.Seq)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read audit event: %w", err)
	}
	if !bytes.Equal(hash, o.End.Hash) {
		return c.tampered("it does not hold the end of an archive that it has signed")
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

// putBase writes the base with its sum.
func (c *Chain) putBase(ctx context.Context, tx *store.Tx, b base) error {
	b.KeyID = c.key.id
	_, err := tx.Exec(ctx, "UPDATE audit_base SET seq = ?, hash = ?, target_seq = ?, target_hash = ?, key_id = ?, mac = ? WHERE id = 1",
		b.Seq, b.Hash, b.TargetSeq, b.TargetHash, b.KeyID, c.key.sumBase(b))
	if err != nil {
		return fmt.Errorf("move audit base: %w", err)
	}
	return nil
}

// removeSome removes the oldest events of an order, a bounded number, and moves the base in the same transaction: whenever it is broken off, the chain holds. Each
// event is verified first; what was changed is not removed (ErrTampered). more: there are further ones.
func (c *Chain) removeSome(ctx context.Context) (more bool, err error) {
	if b, err := readBase(ctx, c.db.Read(ctx)); err == nil && b.Seq == b.TargetSeq {
		return false, nil // whoever moved both is found by the verification of the day
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

// verifyOldest verifies the oldest events of an order and returns the last of them.
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

// wakeRemoval has the keeper remove what was ordered.
func (c *Chain) wakeRemoval() {
	select {
	case c.ordered <- struct{}{}:
	default:
	}
}

// unsigned refuses a checkpoint that no key of the chain has signed, as far as anybody can say: a lost one may have.
func unsigned(keys []*key) error {
	if slices.ContainsFunc(keys, func(k *key) bool { return k.lost }) {
		return ErrLostKey
	}
	return ErrSignature
}

// signedByAny reports whether a key of the chain has signed the checkpoint.
func signedByAny(keys []*key, service string, known Checkpoint) bool {
	for _, k := range keys {
		if !k.lost && known.Service == service && known.Verify(k.public()) == nil {
			return true
		}
	}
	return false
}
