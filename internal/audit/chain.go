package audit

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

// Sealer seals the keys of a chain. In the kms this is the keyset under the root key; in other services it is the data key that the kms has wrapped
// for them.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Options name the service of a chain and its dependencies.
type Options struct {
	Service string // the service's word, which checkpoints contain
	Sealer  Sealer
	Clock   clock.Clock
}

// Chain is the audit chain of one database with its key. It is safe for concurrent use.
type Chain struct {
	Options
	db   *store.DB
	key  *key
	lost int64 // how many older keys do not open

	tip      atomic.Pointer[head] // the head that this process committed last, or nil; others may have moved it since
	end      atomic.Int64         // number of the newest event that this process knows of
	appended chan struct{}        // has one element when a checkpoint may be due
	ordered  chan struct{}        // has one element when archived events are to be removed
	refused  atomic.Bool          // an append found the chain changed, and the keeper has not looked at it yet
	alone    atomic.Int64         // how many consecutive appends found the chain where this process left it
}

// attachment is the key under which a database stores its Chain.
type attachment struct{}

// Open opens the chain of a database and attaches it, so that the database's transactions can append. If the chain has no key yet, its newest key
// does not open or that key does not match the head of the chain, Open creates a new key. Events before the first key keep their places; the key is
// bound to the hash of the last of them.
func Open(ctx context.Context, db *store.DB, o Options) (*Chain, error) {
	c := &Chain{Options: o, db: db, appended: make(chan struct{}, 1), ordered: make(chan struct{}, 1)}
	err := db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		var h head
		if err := tx.Get(ctx, &h, "UPDATE audit_head SET seq = seq WHERE id = 1 RETURNING "+headColumns); err != nil {
			return fmt.Errorf("lock audit chain: %w", err)
		}
		keys, err := c.keys(ctx, tx, h.KeyID)
		if err != nil {
			return err
		}
		c.key, c.lost = nil, 0
		for _, k := range keys {
			if k.lost {
				c.lost++
			}
		}
		reason := ""
		switch n := len(keys); {
		case n > 0 && keys[n-1].vouchesFor(h):
			c.key = keys[n-1]
			c.end.Store(h.Seq)
			return c.tellCommands(ctx, tx)
		case n > 0 && !keys[n-1].lost:
			reason = reasonHead
		case n > 0:
			reason = reasonLost
		case h.Seq > 0:
			reason = reasonFirst
		}
		return c.begin(ctx, tx, h, keys, reason)
	})
	if err != nil {
		return nil, fmt.Errorf("open audit chain: %w", err)
	}
	db.Attach(attachment{}, c)
	return c, nil
}

// Why a chain continues under a new key, as recorded in the first event under that key.
const (
	reasonFirst = "the events before have no key"
	reasonLost  = "the key before does not open"
	reasonHead  = "the head of the chain was changed"
)

// begin creates the next key and continues the chain under it.
func (c *Chain) begin(ctx context.Context, tx *store.Tx, h head, keys []*key, reason string) error {
	id := h.KeyID + 1
	if n := len(keys); n > 0 {
		id = max(id, keys[n-1].id+1)
	}
	made, sealed, err := newKey(c.Options, id, h.Seq+1, h.last())
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO audit_keys (id, first, prev, sealed) VALUES (?, ?, ?, ?)", made.id, made.first, made.prev, sealed)
	if err != nil {
		return fmt.Errorf("store audit key: %w", err)
	}
	c.key = made
	if _, err := tx.Exec(ctx, "UPDATE audit_head SET key_id = ?, mac = ? WHERE id = 1", made.id, made.sum(ofHead, h.Seq, h.last())); err != nil {
		return fmt.Errorf("put audit chain under its key: %w", err)
	}
	events, err := takePending(ctx, tx)
	if err != nil {
		return err
	}
	if reason != "" {
		events = slices.Insert(events, 0, Event{
			At: c.Clock.Now(), Action: "beginAuditKey", ActorKind: System, Target: made.name(), Outcome: OK, Detail: map[string]string{"reason": reason},
		})
	}
	return c.appendNow(ctx, tx, events...)
}

// appendNow appends to a chain that is being opened and not attached to the database yet.
func (c *Chain) appendNow(ctx context.Context, tx *store.Tx, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([]row, len(events))
	for i, e := range events {
		var err error
		if rows[i], err = e.row(); err != nil {
			return err
		}
	}
	return c.append(ctx, tx, rows)
}

// RestoreBackup is the action of the event which records in a chain that its database was restored, MoveStore that it was moved to another place.
const (
	RestoreBackup = "restoreBackup"
	MoveStore     = "moveStore"
)

// tellCommands appends the events that a restore or a move has left, when the chain's key still opens. It accepts no other pending events: an
// attacker who can write to the database without the key could have inserted them.
func (c *Chain) tellCommands(ctx context.Context, tx *store.Tx) error {
	var pending []struct {
		ID   int64
		Body []byte
	}
	if err := tx.Select(ctx, &pending, "SELECT id, body FROM audit_pending ORDER BY id LIMIT 100"); err != nil {
		return fmt.Errorf("read pending audit events: %w", err)
	}
	for _, p := range pending {
		e, err := decode(p.Body)
		if err != nil || e.Action != RestoreBackup && e.Action != MoveStore {
			continue
		}
		if _, err := tx.Exec(ctx, "DELETE FROM audit_pending WHERE id = ?", p.ID); err != nil {
			return fmt.Errorf("take pending audit event: %w", err)
		}
		e.Actor, e.ActorKind = "", System
		if err := c.appendNow(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

// takePending removes and returns the events that were stored while there was no key.
func takePending(ctx context.Context, tx *store.Tx) (events []Event, err error) {
	var pending [][]byte
	if err := tx.Select(ctx, &pending, "SELECT body FROM audit_pending ORDER BY id"); err != nil {
		return nil, fmt.Errorf("read pending audit events: %w", err)
	}
	if _, err := tx.Exec(ctx, "DELETE FROM audit_pending"); err != nil {
		return nil, fmt.Errorf("take pending audit events: %w", err)
	}
	for _, body := range pending {
		e, err := decode(body)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// Lost returns how many keys of the chain do not open. Their rows were changed or removed, or the data key that sealed them was abandoned.
func (c *Chain) Lost() int64 { return c.lost }

// End returns the number of the newest event that this process knows of.
func (c *Chain) End() int64 { return c.end.Load() }

// grown stores the number of a newly committed event and wakes the keeper.
func (c *Chain) grown(seq int64) {
	for {
		known := c.end.Load()
		if seq <= known {
			return
		}
		if c.end.CompareAndSwap(known, seq) {
			break
		}
	}
	c.wake()
}

// wake wakes the keeper to look at the chain.
func (c *Chain) wake() {
	select {
	case c.appended <- struct{}{}:
	default:
	}
}

// tampered returns ErrTampered with a reason, and wakes the keeper to look at the chain.
func (c *Chain) tampered(what string) error {
	c.refused.Store(true)
	c.wake()
	return fmt.Errorf("%w: %s", ErrTampered, what)
}
