// Package audit keeps a service's log of who did what, in the service's own database and in the transaction of the deed: what
// cannot be logged does not happen. Every event's hash covers the one before it, so that a changed, removed or moved
// event shows. Only a removed tail does not, unless its Checkpoint was kept elsewhere: export one now and then.
package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the audit tables (00010).
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

// Checkpoint is the end of the chain at one moment: whoever keeps it elsewhere can tell later whether the tail was cut.
type Checkpoint struct {
	Seq  int64
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

// Append adds events to the chain in the caller's transaction. They are written right before its commit (store.LastAudit), because the lock of
// the chain's head is one that every such transaction waits for; an error then fails the caller's change.
func Append(_ context.Context, tx *store.Tx, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	events = slices.Clone(events)
	tx.AtEnd(store.LastAudit, func(ctx context.Context) error { return appendNow(ctx, tx, events) })
	return nil
}

// appendNow locks the head of the chain until the transaction ends and writes the events behind it.
func appendNow(ctx context.Context, tx *store.Tx, events []Event) error {
	var head Checkpoint
	err := tx.Get(ctx, &head, "UPDATE audit_head SET seq = seq + ? WHERE id = 1 RETURNING seq, hash", len(events))
	if err != nil {
		return fmt.Errorf("lock audit chain: %w", err)
	}
	seq, hash := head.Seq-int64(len(events)), head.Hash
	if seq == 0 {
		hash = genesis[:]
	}
	for start := 0; start < len(events); start += rowsPerInsert {
		part := events[start:min(start+rowsPerInsert, len(events))]
		if hash, err = insert(ctx, tx, seq, hash, part); err != nil {
			return err
		}
		seq += int64(len(part))
	}
	if _, err := tx.Exec(ctx, "UPDATE audit_head SET hash = ? WHERE id = 1", hash); err != nil {
		return fmt.Errorf("move audit head: %w", err)
	}
	return nil
}

// insert writes events after the one with this number and hash, and returns the hash of the last.
func insert(ctx context.Context, tx *store.Tx, seq int64, hash []byte, events []Event) ([]byte, error) {
	args := make([]any, 0, 8*len(events))
	for _, e := range events {
		e, body, err := e.encode()
		if err != nil {
			return nil, err
		}
		seq++
		next := link(hash, seq, body)
		args = append(args, seq, e.At.UnixMicro(), e.Action, e.Actor, e.Target, body, hash, next)
		hash = next
	}
	rows := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?), ", len(events)), ", ")
	_, err := tx.Exec(ctx, "INSERT INTO audit_events (seq, at, action, actor, target, body, prev_hash, hash) VALUES "+rows, args...)
	if err != nil {
		return nil, fmt.Errorf("append to audit chain: %w", err)
	}
	return hash, nil
}

// Head returns the end of the chain; Seq 0 and no hash when it is empty.
func Head(ctx context.Context, q store.Querier) (Checkpoint, error) {
	var head Checkpoint
	if err := q.Get(ctx, &head, "SELECT seq, hash FROM audit_head WHERE id = 1"); err != nil {
		return Checkpoint{}, fmt.Errorf("read audit head: %w", err)
	}
	return head, nil
}

// Contains reports whether the chain still holds a checkpoint. False means that it was cut or rewritten since.
func Contains(ctx context.Context, q store.Querier, c Checkpoint) (bool, error) {
	if c.Seq == 0 {
		return len(c.Hash) == 0, nil
	}
	var hash []byte
	err := q.Get(ctx, &hash, "SELECT hash FROM audit_events WHERE seq = ?", c.Seq)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read audit event: %w", err)
	}
	return bytes.Equal(hash, c.Hash), nil
}

// Query selects records. Empty fields select everything.
type Query struct {
	Before   int64 // only records with a smaller Seq; 0: from the newest
	Action   string
	Actor    string
	Target   string
	From, To time.Time // From <= At < To
	Limit    int       // default 100, at most 1000
}

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// List returns the records that match, newest first.
func List(ctx context.Context, q store.Querier, query Query) ([]Record, error) {
	where, args := []string{"1 = 1"}, []any{}
	add := func(given bool, condition string, arg any) {
		if given {
			where, args = append(where, condition), append(args, arg)
		}
	}
	add(query.Before > 0, "seq < ?", query.Before)
	add(query.Action != "", "action = ?", query.Action)
	add(query.Actor != "", "actor = ?", query.Actor)
	add(query.Target != "", "target = ?", query.Target)
	add(!query.From.IsZero(), "at >= ?", query.From.UnixMicro())
	add(!query.To.IsZero(), "at < ?", query.To.UnixMicro())
	limit := query.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	var rows []row
	err := q.Select(ctx, &rows, "SELECT seq, at, action, actor, target, body, prev_hash, hash FROM audit_events WHERE "+
		strings.Join(where, " AND ")+" ORDER BY seq DESC LIMIT ?", append(args, min(limit, maxLimit))...)
	if err != nil {
		return nil, fmt.Errorf("list audit events: %w", err)
	}
	records := make([]Record, len(rows))
	for i, r := range rows {
		event, err := decode(r.Body)
		if err != nil {
			return nil, err
		}
		records[i] = Record{Seq: r.Seq, Event: event, Hash: r.Hash}
	}
	return records, nil
}

// row is an event as stored.
type row struct {
	Seq      int64
	At       int64
	Action   string
	Actor    string
	Target   string
	Body     []byte
	PrevHash []byte `db:"prev_hash"`
	Hash     []byte
}
