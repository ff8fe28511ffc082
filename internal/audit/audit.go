// Package audit keeps a service's log of who did what, in the service's own database and in the transaction of the deed: what
// cannot be logged does not happen. Every event's hash covers the one before it, and a sum under a sealed key covers the hash, so that who can
// write to the database but has not the key can't change, remove, move or add an event unseen. What such a person can do is to put an older state of the
// whole chain back; a Checkpoint that was kept elsewhere shows it.
//
// A service opens its Chain once (Open), then appends (Append). Whoever has no key can verify by the hashes and a signed checkpoint (Verify, VerifyExport).
package audit

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/fountainai/fountain/internal/requestid"
	"github.com/fountainai/fountain/internal/store"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the audit tables (00010, 00013, 00017).
var Migrations = must(fs.Sub(files, "migrations"))

func must(f fs.FS, err error) fs.FS {
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return f
}

// Record is an Event in the chain.
type Record struct {
	Seq int64 // 1 for the first, without gaps
	Event
	Hash []byte
}

var genesis = sha256.Sum256([]byte("fountain audit chain v1"))

// link is the hash of one event: SHA-256 over the version, the hash before, the number, the length and the bytes as stored.
func link(prev []byte, seq int64, body []byte) []byte {
	h := sha256.New()
	h.Write([]byte("v1"))
	h.Write(prev)
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(seq)))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(body))))
	h.Write(body)
	return h.Sum(nil)
}

// rowsPerInsert keeps a statement far below the placeholder limits of both databases.
const rowsPerInsert = 100

// ErrNoKey says that the chain of a database was not opened: nothing can be recorded, so nothing is done.
var ErrNoKey = errors.New("the audit chain has no key")

// ErrOtherKey says that the chain goes on under a key that this process does not have; it must be started anew.
var ErrOtherKey = errors.New("the audit chain is under another key")

// Append adds events to the chain in the caller's transaction. They are written right before its commit (store.LastAudit), because the lock of
// the chain's head is one that every such transaction waits for; an error then fails the caller's change. Events without an address get that of
// the request in ctx.
func Append(ctx context.Context, tx *store.Tx, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	chain, _ := tx.Attached(attachment{}).(*Chain)
	if chain == nil {
		return ErrNoKey
	}
	events = slices.Clone(events)
	for i := range events {
		if events[i].Address == "" {
			events[i].Address = requestid.Client(ctx)
		}
	}
	tx.AtEnd(store.LastAudit, func(ctx context.Context) error { return chain.append(ctx, tx, events) })
	return nil
}

// AppendLater keeps an event until the chain has a key, with which Open then begins it: for commands that run where no key can be had.
func AppendLater(ctx context.Context, tx *store.Tx, e Event) error {
	_, body, err := e.encode()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO audit_pending (id, body) SELECT COALESCE(MAX(id), 0) + 1, ? FROM audit_pending", body)
	if err != nil {
		return fmt.Errorf("keep audit event: %w", err)
	}
	return nil
}

// head is the one row that says where the chain ends.
type head struct {
	Seq   int64
	Hash  []byte // none before the first event
	KeyID int64  `db:"key_id"`
	MAC   []byte `db:"mac"`
}

// last is the hash that the next event follows.
func (h head) last() []byte {
	if h.Seq == 0 {
		return genesis[:]
	}
	return h.Hash
}

const headColumns = "seq, hash, key_id, mac"

func readHead(ctx context.Context, q store.Querier) (h head, err error) {
	if err := q.Get(ctx, &h, "SELECT "+headColumns+" FROM audit_head WHERE id = 1"); err != nil {
		return head{}, fmt.Errorf("read audit head: %w", err)
	}
	return h, nil
}

// append locks the head of the chain until the transaction ends and writes the events behind it. What this process has appended last is mostly still the end
// of the chain: then one statement sees that nothing of the head was changed and moves it.
func (c *Chain) append(ctx context.Context, tx *store.Tx, events []Event) error {
	tip := c.tip.Load()
	if tip != nil && tip.Seq >= c.end.Load() {
		added, err := c.follow(*tip, events)
		if err != nil {
			return err
		}
		to := added.end(*tip, c.key)
		if appended, err := c.appendTo(ctx, tx, *tip, added, to); appended || err != nil {
			return err
		}
	}
	return c.appendToHead(ctx, tx, events)
}

// appendTo moves the head and writes the events behind it, unless the head is not the one that is given. One event goes with the head in one message.
func (c *Chain) appendTo(ctx context.Context, tx *store.Tx, from head, added linked, to head) (bool, error) {
	move := store.Statement{
		Query: "UPDATE audit_head SET seq = ?, hash = ?, mac = ? WHERE id = 1 AND seq = ? AND hash = ? AND mac = ? AND key_id = ?",
		Args:  []any{to.Seq, to.Hash, to.MAC, from.Seq, from.Hash, from.MAC, from.KeyID},
	}
	if len(added) == 1 {
		moved, err := tx.ExecAll(ctx, move, store.Statement{
			Query: `INSERT INTO audit_events (` + columns + `) SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM audit_head WHERE id = 1 AND hash = ?)
				ON CONFLICT DO NOTHING`, // another process may just have written the very same event there; then the head was not moved by this one
			Args: append(added[0].args(), to.Hash),
		})
		switch {
		case err != nil:
			return false, fmt.Errorf("append to audit chain: %w", err)
		case moved[0] == 0:
			return false, nil
		case moved[1] == 0:
			return false, c.tampered("there is an event behind its end")
		}
		c.remember(tx, to)
		return true, nil
	}
	moved, err := tx.Exec(ctx, move.Query, move.Args...)
	if err != nil {
		return false, fmt.Errorf("move audit head: %w", err)
	}
	if moved == 0 {
		return false, nil
	}
	return true, c.insert(ctx, tx, added, to)
}

// appendToHead is append for whoever has to look where the chain ends.
func (c *Chain) appendToHead(ctx context.Context, tx *store.Tx, events []Event) error {
	var h head
	err := tx.Get(ctx, &h, "UPDATE audit_head SET seq = seq + ? WHERE id = 1 RETURNING "+headColumns, len(events))
	if err != nil {
		return fmt.Errorf("lock audit chain: %w", err)
	}
	if h.KeyID != c.key.id {
		return ErrOtherKey
	}
	h.Seq -= int64(len(events))
	if !c.key.vouchesFor(h) { // to go on would hide that the end was cut off
		return c.tampered("its head was changed")
	}
	if h.Seq < c.end.Load() { // it is set after commits alone, and the head is locked
		return c.tampered("an older state was put back")
	}
	added, err := c.follow(h, events)
	if err != nil {
		return err
	}
	to := added.end(h, c.key)
	if _, err := tx.Exec(ctx, "UPDATE audit_head SET hash = ?, mac = ? WHERE id = 1", to.Hash, to.MAC); err != nil {
		return fmt.Errorf("move audit head: %w", err)
	}
	return c.insert(ctx, tx, added, to)
}

// linked are events with their places in the chain.
type linked []row

// follow links events to the end of the chain.
func (c *Chain) follow(h head, events []Event) (linked, error) {
	added := make(linked, 0, len(events))
	seq, hash := h.Seq, h.last()
	for _, e := range events {
		e, body, err := e.encode()
		if err != nil {
			return nil, err
		}
		seq++
		hash = link(hash, seq, body)
		added = append(added, row{
			Seq: seq, At: e.At.UnixMicro(), Action: e.Action, Actor: e.Actor, Target: e.Target, Body: body, Hash: hash, MAC: c.key.sum(ofEvent, seq, hash),
		})
	}
	return added, nil
}

// end is the head after the events that follow one.
func (l linked) end(h head, k *key) head {
	if len(l) > 0 {
		last := l[len(l)-1]
		h.Seq, h.Hash = last.Seq, last.Hash
	}
	h.MAC = k.sum(ofHead, h.Seq, h.last())
	return h
}

// insert writes events, and remembers the end of the chain when they are committed.
func (c *Chain) insert(ctx context.Context, tx *store.Tx, added linked, to head) error {
	for part := range slices.Chunk(added, rowsPerInsert) {
		args := make([]any, 0, 8*len(part))
		for _, r := range part {
			args = append(args, r.args()...)
		}
		rows := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?), ", len(part)), ", ")
		if _, err := tx.Exec(ctx, "INSERT INTO audit_events ("+columns+") VALUES "+rows, args...); err != nil {
			return fmt.Errorf("append to audit chain: %w", err)
		}
	}
	c.remember(tx, to)
	return nil
}

// remember notes the end of the chain when it is committed.
func (c *Chain) remember(tx *store.Tx, to head) {
	tx.AfterCommit(func() {
		c.tip.Store(&to)
		c.grown(to.Seq)
	})
}

const columns = "seq, at, action, actor, target, body, hash, mac"

// Head returns the number of the newest event; 0 when there is none.
func Head(ctx context.Context, q store.Querier) (int64, error) {
	h, err := readHead(ctx, q)
	return h.Seq, err
}

// row is an event as stored.
type row struct {
	Seq    int64
	At     int64
	Action string
	Actor  string
	Target string
	Body   []byte
	Hash   []byte
	MAC    []byte `db:"mac"` // none in events from before there was a key
}

// args are the values of columns.
func (r row) args() []any {
	return []any{r.Seq, r.At, r.Action, r.Actor, r.Target, r.Body, r.Hash, r.MAC}
}
