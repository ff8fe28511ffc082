// Package audit keeps a service's log of who did what, in the service's own database. Each event is written in the transaction of the change that it
// records, so a change that can't be logged does not happen.
//
// The hash of an event covers the hash of the event before it, and an HMAC under a sealed key covers the hash. So an attacker who can write to the
// database but does not have the key can't change, remove, move or add an event without being detected. Such an attacker can replace the whole chain
// by an older state of itself; a Checkpoint that was stored elsewhere detects that.
//
// A service opens its Chain once (Open), then appends (Append). Without the key, the chain can be verified by its hashes and a signed checkpoint
// (Verify, VerifyExport).
package audit

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"strings"
	"sync"

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

// Record is an Event with its place in the chain.
type Record struct {
	Seq int64 // 1 for the first, without gaps
	Event
	Hash []byte
}

var genesis = sha256.Sum256([]byte("fountain audit chain v1"))

// link returns the hash of one event: SHA-256 over the version, the previous hash, the number, the length and the stored bytes.
func link(prev []byte, seq int64, body []byte) []byte {
	return appendLink(make([]byte, 0, sha256.Size), prev, seq, body)
}

func appendLink(to, prev []byte, seq int64, body []byte) []byte {
	h := links.Get().(*hasher)
	defer links.Put(h)
	h.text = append(append(h.text[:0], "v1"...), prev...)
	h.text = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(h.text, uint64(seq)), uint64(len(body)))
	return h.appendTo(to, h.text, body)
}

// hasher is a hash that is reused, by one goroutine at a time, since every event of every service needs two.
type hasher struct {
	hash.Hash
	text []byte // buffer for what is hashed before the body
}

var links = sync.Pool{New: func() any { return &hasher{Hash: sha256.New()} }}

// appendTo appends the hash of the concatenated parts.
func (h *hasher) appendTo(to []byte, parts ...[]byte) []byte {
	h.Reset()
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(to)
}

// inserts are the statements that insert 1, 2, 4 ... events. With powers of two any number of events takes few statements, and few texts have to be
// kept prepared. The largest is far below the placeholder limits of both databases.
var inserts = func() (texts [7]string) {
	const row = "(?, ?, ?, ?, ?, ?, ?, ?)"
	for i := range texts {
		texts[i] = "INSERT INTO audit_events (" + columns + ") VALUES " + row + strings.Repeat(", "+row, 1<<i-1)
	}
	return texts
}()

// insertOne inserts one event. If its number is already in use, it inserts nothing.
var insertOne = inserts[0] + " ON CONFLICT DO NOTHING"

// ErrNoKey means that the chain of a database was not opened. Events can't be recorded, so the change must not happen.
var ErrNoKey = errors.New("the audit chain has no key")

// ErrOtherKey means that the chain continues under a key that this process does not have. The process must be restarted.
var ErrOtherKey = errors.New("the audit chain is under another key")

// ErrLate means that Append was called in a transaction that has already written its events.
var ErrLate = errors.New("the transaction has written its audit events")

// telling has the events of one transaction, in the order in which they were appended.
type telling struct {
	rows    []row
	refused error // set if an event can't be recorded: the transaction must then fail, even if its function ignores the error of Append
	written bool
}

func (t *telling) add(ctx context.Context, e Event) error {
	if e.Address == "" {
		e.Address = requestid.Client(ctx)
	}
	r, err := e.row()
	if err != nil {
		t.refused = err
		return err
	}
	t.rows = append(t.rows, r)
	return nil
}

// Append adds events to the chain in the caller's transaction. All events of a transaction are written together right before its commit
// (store.LastAudit), because every such transaction waits for the lock on the head of the chain. An error at that point fails the caller's
// transaction. Events without an address get the client address of the request in ctx.
func Append(ctx context.Context, tx *store.Tx, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	chain, _ := tx.Attached(attachment{}).(*Chain)
	if chain == nil {
		return ErrNoKey
	}
	told := tx.Kept(attachment{}, func() any {
		told := &telling{}
		tx.AtEnd(store.LastAudit, func(ctx context.Context) error {
			told.written = true
			if told.refused != nil {
				return told.refused
			}
			return chain.append(ctx, tx, told.rows)
		})
		return told
	}).(*telling)
	if told.written {
		return ErrLate
	}
	for _, e := range events {
		if err := told.add(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// AppendLater stores an event until the chain has a key; Open then adds it to the chain. It is for commands that run without access to a key.
func AppendLater(ctx context.Context, tx *store.Tx, e Event) error {
	r, err := e.row()
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "INSERT INTO audit_pending (id, body) SELECT COALESCE(MAX(id), 0) + 1, ? FROM audit_pending", r.Body)
	if err != nil {
		return fmt.Errorf("keep audit event: %w", err)
	}
	return nil
}

// head is the row that says where the chain ends.
type head struct {
	Seq   int64
	Hash  []byte // none before the first event
	KeyID int64  `db:"key_id"`
	MAC   []byte `db:"mac"`
}

// last returns the hash that the next event's hash covers.
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

// append locks the head of the chain until the transaction ends and writes the events after it. The last event of this process is usually still the
// end of the chain; then a single statement checks that nothing in the head row has changed and moves it.
func (c *Chain) append(ctx context.Context, tx *store.Tx, events []row) error {
	tip := c.tip.Load()
	if tip != nil && tip.Seq >= c.end.Load() {
		to := c.follow(*tip, events)
		if c.alone.Load() >= undisturbed && tx.Brief() && !tx.Cautious() {
			return c.appendLater(ctx, tx, *tip, events, to)
		}
		if appended, err := c.appendTo(ctx, tx, *tip, events, to); appended || err != nil {
			if err == nil {
				c.alone.Add(1)
			}
			return err
		}
	}
	c.alone.Store(0)
	return c.appendToHead(ctx, tx, events)
}

// undisturbed is how many consecutive appends must have found the chain where this process left it before the next one assumes that it still is
// (appendLater). Where other replicas or other transactions of this process append too, a transaction with that assumption would often be run twice.
// Only the transactions of group commits (store.Brief) make it; others always check at once.
const undisturbed = 16

// appendLater moves the head and writes the events after it. On PostgreSQL this is sent together with the commit if nothing else follows. If the head
// is not from, or an event exists after it, the transaction is rolled back and run again as a cautious one.
func (c *Chain) appendLater(ctx context.Context, tx *store.Tx, from head, added []row, to head) error {
	all := append([]store.Statement{moveHead(from, to)}, insertions(added)...)
	if len(added) == 1 {
		all[1].Query = insertOne
	}
	for _, s := range all {
		if err := tx.Later(ctx, s); err != nil {
			return fmt.Errorf("append to audit chain: %w", err)
		}
	}
	c.remember(tx, to)
	return nil
}

// moveHead returns the statement that moves the head of the chain if it is still from.
func moveHead(from, to head) store.Statement {
	return store.Statement{
		Query: "UPDATE audit_head SET seq = ?, hash = ?, mac = ? WHERE id = 1 AND seq = ? AND hash = ? AND mac = ? AND key_id = ?",
		Args:  []any{to.Seq, to.Hash, to.MAC, from.Seq, from.Hash, from.MAC, from.KeyID},
	}
}

// appendTo moves the head and writes the events after it; it returns false and changes nothing if the head is not from. A single event is sent
// together with the move of the head in one message.
func (c *Chain) appendTo(ctx context.Context, tx *store.Tx, from head, added []row, to head) (bool, error) {
	move := moveHead(from, to)
	if len(added) == 1 {
		moved, err := tx.ExecAll(ctx, move, store.Statement{
			Query: `INSERT INTO audit_events (` + columns + `) SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM audit_head WHERE id = 1 AND hash = ?)
				ON CONFLICT DO NOTHING`, // another process may just have written an event with this number; it has moved the head then, and this process has not
			Args: append(added[0].appendArgs(nil), to.Hash),
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

// appendToHead is append for when the end of the chain has to be read first.
func (c *Chain) appendToHead(ctx context.Context, tx *store.Tx, events []row) error {
	var h head
	err := tx.Get(ctx, &h, "UPDATE audit_head SET seq = seq + ? WHERE id = 1 RETURNING "+headColumns, len(events))
	if err != nil {
		return fmt.Errorf("lock audit chain: %w", err)
	}
	if h.KeyID != c.key.id {
		return ErrOtherKey
	}
	h.Seq -= int64(len(events))
	if !c.key.vouchesFor(h) { // continuing would hide that events at the end were removed
		return c.tampered("its head was changed")
	}
	if h.Seq < c.end.Load() { // end is set only after commits, and the head is locked
		return c.tampered("an older state was restored")
	}
	to := c.follow(h, events)
	if _, err := tx.Exec(ctx, "UPDATE audit_head SET hash = ?, mac = ? WHERE id = 1", to.Hash, to.MAC); err != nil {
		return fmt.Errorf("move audit head: %w", err)
	}
	return c.insert(ctx, tx, events, to)
}

// follow assigns the next numbers, hashes and HMACs to events and returns the head after them.
func (c *Chain) follow(h head, events []row) head {
	seq, hash := h.Seq, h.last()
	const size = sha256.Size
	sums := make([]byte, 0, 2*size*len(events))
	for i := range events {
		r := &events[i]
		seq++
		sums = appendLink(sums, hash, seq, r.Body)
		hash = sums[len(sums)-size : len(sums) : len(sums)]
		sums = c.key.appendSum(sums, ofEvent, seq, hash)
		r.Seq, r.Hash, r.MAC = seq, hash, sums[len(sums)-size:len(sums):len(sums)]
	}
	if len(events) > 0 {
		h.Seq, h.Hash = seq, hash
	}
	h.MAC = c.key.sum(ofHead, h.Seq, h.last())
	return h
}

// insert writes events, and remembers the new end of the chain once they are committed.
func (c *Chain) insert(ctx context.Context, tx *store.Tx, added []row, to head) error {
	if _, err := tx.ExecAll(ctx, insertions(added)...); err != nil {
		return fmt.Errorf("append to audit chain: %w", err)
	}
	c.remember(tx, to)
	return nil
}

// insertions returns the statements that write events.
func insertions(added []row) (all []store.Statement) {
	args := make([]any, 0, placeholders*len(added))
	for i := range added {
		args = added[i].appendArgs(args)
	}
	for size := len(inserts) - 1; size >= 0; size-- {
		for n := placeholders << size; len(args) >= n; args = args[n:] {
			all = append(all, store.Statement{Query: inserts[size], Args: args[:n:n]})
		}
	}
	return all
}

// remember stores the new end of the chain once the transaction is committed.
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

// row is a stored event.
type row struct {
	Seq    int64
	At     int64
	Action string
	Actor  string
	Target string
	Body   []byte
	Hash   []byte
	MAC    []byte `db:"mac"` // empty in events that are older than the first key
}

// placeholders is how many values appendArgs appends.
const placeholders = 8

// appendArgs appends the values in the order of columns.
func (r *row) appendArgs(to []any) []any {
	return append(to, r.Seq, r.At, r.Action, r.Actor, r.Target, r.Body, r.Hash, r.MAC)
}
