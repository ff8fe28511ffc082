package audit

import (
	"context"
	"encoding/json"

	"github.com/fountainai/fountain/internal/store"
)

// What an attacker with access to the database can do, for tests.
var (
	Link    = link
	Genesis = genesis[:]
)

// AppendUnkeyed appends an event as release 0.1 did.
func AppendUnkeyed(ctx context.Context, tx *store.Tx, e Event) error {
	h, err := readHead(ctx, tx)
	if err != nil {
		return err
	}
	r, err := e.row()
	if err != nil {
		return err
	}
	hash := link(h.last(), h.Seq+1, r.Body)
	_, err = tx.Exec(ctx, "INSERT INTO audit_events (seq, at, action, actor, target, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
		h.Seq+1, r.At, r.Action, r.Actor, r.Target, r.Body, hash)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "UPDATE audit_head SET seq = ?, hash = ?", h.Seq+1, hash)
	return err
}

// Stored returns the stored body of an event, and what encoding/json makes of it.
func Stored(e Event) (stored, want []byte, err error) {
	r, err := e.row()
	if err != nil {
		return nil, nil, err
	}
	back, err := decode(r.Body)
	if err != nil {
		return nil, nil, err
	}
	want, err = json.Marshal(body{
		At: back.At.Format(timeLayout), Action: clean(e.Action), Actor: clean(e.Actor), ActorKind: clean(e.ActorKind), Target: clean(e.Target),
		Outcome: clean(e.Outcome), RequestID: clean(e.RequestID), Detail: e.Detail, Address: clean(e.Address),
	})
	return r.Body, want, err
}

// VerifyOnce is the keeper's daily verification.
func (k *Keeper) VerifyOnce(ctx context.Context) { k.verifyOnce(ctx) }

// Compare is the keeper's comparison at its start.
func (k *Keeper) Compare(ctx context.Context) { k.compare(ctx) }

// MakeCheckpoint makes a checkpoint as the keeper does when one is due.
func (k *Keeper) MakeCheckpoint(ctx context.Context) error { return k.try(ctx) }

// Grown tells the chain about a commit of this process.
func (c *Chain) Grown(seq int64) { c.grown(seq) }

// RemoveArchived removes all ordered events.
func (c *Chain) RemoveArchived(ctx context.Context) error {
	for {
		more, err := c.removeSome(ctx)
		if err != nil || !more {
			return err
		}
	}
}

// RemoveSome removes a part of the ordered events.
func (c *Chain) RemoveSome(ctx context.Context) (bool, error) { return c.removeSome(ctx) }

// TakeArchived is the keeper's check for orders, made every minute.
func (k *Keeper) TakeArchived(ctx context.Context) {
	k.takeOrder(ctx)
	k.remove(ctx)
	k.measure(ctx)
}
