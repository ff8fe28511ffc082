package docstore

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/fountainai/fountain/internal/store"
)

// Tx is a transaction on one collection. It can write only inside Write. After a database error all further calls return nothing, and Read
// or Write returns the error.
type Tx struct {
	ctx   context.Context
	q     store.Querier
	tx    *store.Tx // nil inside Read
	key   uint64
	table string
	err   error

	next, begun uint64 // the next number, now and at the start
	commits     uint64
	changed     []uint64
	// pending holds documents that were put but are not in the table yet, so that several are written in one statement.
	pending []*row
	byID    map[string]*row
	bySeq   map[uint64]*row
}

// row is a document in the table.
type row struct {
	Number   uint64 `db:"number"`
	ID       string `db:"id"`
	Sum      uint32 `db:"sum"`
	Document []byte `db:"document"`
}

// rowsAtOnce is the maximum number of documents in one statement.
const rowsAtOnce = 64

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum returns the checksum of a document together with its number and ID, so that a document stored under another's number or ID is
// detected.
func sum(number uint64, id string, document []byte) uint32 {
	head := append(binary.BigEndian.AppendUint64(make([]byte, 0, 64), number), id...)
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, document)
}

func open(ctx context.Context, q store.Querier, key uint64) (*Tx, error) {
	var state struct {
		Next    uint64 `db:"next_number"`
		Commits uint64 `db:"commits"`
	}
	err := q.Get(ctx, &state, "SELECT next_number, commits FROM collections WHERE key = ?", key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoCollection
	}
	if err != nil {
		return nil, fmt.Errorf("read collection: %w", err)
	}
	return &Tx{
		ctx: ctx, q: q, key: key, table: documents(key), next: state.Next, begun: state.Next, commits: state.Commits,
		byID: map[string]*row{}, bySeq: map[uint64]*row{},
	}, nil
}

// fail records the first error.
func (t *Tx) fail(err error) {
	if err != nil && t.err == nil && !errors.Is(err, sql.ErrNoRows) {
		t.err = err
	}
}

// Find returns the number of the document with the ID.
func (t *Tx) Find(id string) (seq uint64, ok bool) {
	if r := t.byID[id]; r != nil {
		return r.Number, true
	}
	if t.err != nil {
		return 0, false
	}
	err := t.q.Get(t.ctx, &seq, "SELECT number FROM "+t.table+" WHERE id = ?", id)
	t.fail(err)
	return seq, err == nil
}

// Get returns a document, or nil if it does not exist.
func (t *Tx) Get(seq uint64) []byte {
	if r := t.bySeq[seq]; r != nil {
		return r.Document
	}
	if t.err != nil {
		return nil
	}
	r := row{Number: seq}
	if err := t.q.Get(t.ctx, &r, "SELECT id, sum, document FROM "+t.table+" WHERE number = ?", seq); err != nil {
		t.fail(err)
		return nil
	}
	if t.fail(r.check()); t.err != nil {
		return nil
	}
	return r.Document
}

func (r *row) check() error {
	if sum(r.Number, r.ID, r.Document) != r.Sum {
		return fmt.Errorf("%w: document %d has another checksum", ErrDamaged, r.Number)
	}
	return nil
}

// Count returns the number of documents in the collection.
func (t *Tx) Count() (n int, err error) {
	t.flush()
	if t.err == nil {
		t.fail(t.q.Get(t.ctx, &n, "SELECT count(*) FROM "+t.table))
	}
	return n, t.err
}

// Next returns a new number, starting at 0. A number of a committed transaction is never reused, even if its document was refused.
func (t *Tx) Next() (uint64, error) {
	t.next++
	return t.next - 1, t.err
}

// Put stores a document under its number.
func (t *Tx) Put(seq uint64, id string, doc []byte) error {
	if r := t.bySeq[seq]; r != nil {
		r.Document, r.Sum = doc, sum(seq, id, doc)
		return t.err
	}
	r := &row{Number: seq, ID: id, Document: doc, Sum: sum(seq, id, doc)}
	t.pending, t.byID[id], t.bySeq[seq] = append(t.pending, r), r, r
	t.changed = append(t.changed, seq)
	if len(t.pending) == rowsAtOnce {
		t.flush()
	}
	return t.err
}

// Delete deletes a document.
func (t *Tx) Delete(seq uint64, id string) error {
	t.flush()
	if t.err == nil {
		_, err := t.tx.Exec(t.ctx, "DELETE FROM "+t.table+" WHERE number = ? AND id = ?", seq, id)
		t.fail(err)
	}
	t.changed = append(t.changed, seq)
	return t.err
}

// flush writes the pending documents.
func (t *Tx) flush() {
	rows := t.pending
	for len(rows) > 0 && t.err == nil {
		n := 1 // only a few different statements, because they are cached
		if len(rows) >= rowsAtOnce {
			n = rowsAtOnce
		} else if len(rows) >= 8 {
			n = 8
		}
		args := make([]any, 0, 4*n)
		for _, r := range rows[:n] {
			args = append(args, r.Number, r.ID, r.Sum, r.Document)
		}
		_, err := t.tx.Exec(t.ctx, "INSERT INTO "+t.table+" (number, id, sum, document) VALUES (?, ?, ?, ?)"+strings.Repeat(", (?, ?, ?, ?)", n-1)+
			" ON CONFLICT (number) DO UPDATE SET sum = excluded.sum, document = excluded.document", args...)
		t.fail(err)
		rows = rows[n:]
	}
	t.pending = nil
	clear(t.byID)
	clear(t.bySeq)
}

// SetSchema replaces the collection's schema.
func (t *Tx) SetSchema(schema []byte) error {
	if t.err == nil {
		_, err := t.tx.Exec(t.ctx, "UPDATE collections SET schema = ? WHERE key = ?", schema, t.key)
		t.fail(err)
	}
	return t.err
}

// Commit returns the number of this transaction's commit. Each commit that changes documents gets the next number.
func (t *Tx) Commit() uint64 { return t.commits + 1 }

// finish writes what remains to be written before the commit.
func (t *Tx) finish() error {
	t.flush()
	if t.err != nil || len(t.changed) == 0 && t.next == t.begun {
		return t.err
	}
	if _, err := t.tx.Exec(t.ctx, "UPDATE collections SET next_number = ?, commits = ? WHERE key = ?", t.next, t.Commit(), t.key); err != nil {
		return err
	}
	_, err := t.tx.Exec(t.ctx, "INSERT INTO changes (collection, commit_number, numbers) VALUES (?, ?, ?)", t.key, t.Commit(), encodeNumbers(t.changed))
	return err
}

// Scan calls fn for up to limit documents in order, starting at number from. It returns the number at which to continue, and done if there
// are no more documents.
func (t *Tx) Scan(from uint64, limit int, fn func(seq uint64, doc []byte) error) (next uint64, done bool, err error) {
	var rows []row
	err = t.q.Select(t.ctx, &rows, "SELECT number, id, sum, document FROM "+t.table+" WHERE number >= ? ORDER BY number LIMIT ?", from, limit)
	if err != nil {
		return from, false, err
	}
	for i := range rows {
		next = rows[i].Number + 1
		if err := rows[i].check(); err != nil {
			return next, false, err
		}
		if err := fn(rows[i].Number, rows[i].Document); err != nil {
			return next, false, err
		}
	}
	return next, len(rows) < limit, nil
}

// encodeNumbers encodes numbers, sorted and without duplicates, as differences.
func encodeNumbers(numbers []uint64) []byte {
	numbers = slices.Compact(slices.Sorted(slices.Values(numbers)))
	out, last := []byte{}, uint64(0)
	for _, n := range numbers {
		out = binary.AppendUvarint(out, n-last)
		last = n
	}
	return out
}

func decodeNumbers(data []byte) ([]uint64, error) {
	var out []uint64
	last := uint64(0)
	for len(data) > 0 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, fmt.Errorf("%w: a list of changes is broken", ErrDamaged)
		}
		last, data = last+v, data[n:]
		out = append(out, last)
	}
	return out, nil
}
