package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Action is what a write does, depending on whether the document exists.
type Action uint8

// The actions, named as the values of the action parameter.
const (
	Create Action = iota
	Upsert
	Update
	Emplace
)

// ParseAction parses an action parameter.
func ParseAction(v string) (Action, error) {
	switch v {
	case "create":
		return Create, nil
	case "upsert":
		return Upsert, nil
	case "update":
		return Update, nil
	case "emplace":
		return Emplace, nil
	}
	return 0, &schema.Error{Status: 400, Text: "Parameter `action` must be a create|update|upsert."}
}

const (
	// ChunkDocs and ChunkBytes limit one transaction of an import.
	ChunkDocs  = 1000
	ChunkBytes = 4 << 20
	// maxIDBytes limits the length of a document's ID, in bytes.
	maxIDBytes = 1024
)

// ErrCollection reports that a collection does not exist.
var ErrCollection = &schema.Error{Status: 404, Text: "Collection not found"}

// Collection is an open collection. Writes are serialised. Searches run concurrently with them.
type Collection struct {
	key    uint64
	store  *docstore.Store
	limits Limits
	total  *atomic.Int64 // documents of all collections
	spare  func() int64  // bytes left of the memory budget

	waiting tickets
	writing sync.Mutex
	dropped bool // guarded by writing
	schema  atomic.Pointer[schema.Schema]
	index   atomic.Pointer[index.Segments]
	// stale reports that the index must be rebuilt before it is used.
	stale   atomic.Bool
	dir     string // of the engine
	flush   int    // Config.FlushChanges
	log     *slog.Logger
	ruleset atomic.Pointer[ruleset]
}

// newCollection returns a collection without an index.
func newCollection(key uint64, s *schema.Schema, e *Engine) *Collection {
	c := &Collection{key: key, store: e.store, limits: e.limits, total: &e.documents, spare: e.spareMemory, dir: e.dir, flush: e.flush, log: e.log}
	c.schema.Store(s)
	return c
}

// Name returns the collection's name.
func (c *Collection) Name() string { return c.schema.Load().Name }

// Write is the write of one document.
type Write struct {
	Action Action
	// ID is the document's ID if it is given by the request's path.
	ID    string
	Dirty string
	Line  []byte
	// Doc, if not nil, is used instead of Line.
	Doc schema.Document
	// Add holds increments of integer fields, relative to the document at the time of the write.
	Add map[string]int64
	// Remove deletes the document with the ID.
	Remove bool
}

// Written is the result of a Write.
type Written struct {
	ID  string
	Doc []byte // as stored; for a removal as it was
	Err error
}

// Apply carries out writes in order and makes them visible to searches. The error concerns all of them; the error of a single write is in
// its result. Writes of callers that wait at the same time share a transaction.
func (c *Collection) Apply(writes []Write) ([]Written, error) {
	t := &ticket{writes: writes}
	c.waiting.add(t)
	c.writing.Lock()
	defer c.writing.Unlock()
	for !t.done {
		c.commit(c.waiting.take())
	}
	return t.results, t.err
}

// errBrokenOff is the error of writes whose transaction ended in a panic.
var errBrokenOff = errors.New("the write was interrupted: whether it is stored is unknown")

// commit carries out tickets in one transaction. If one of them fails the transaction, each gets a transaction of its own. The caller holds
// c.writing.
func (c *Collection) commit(tickets []*ticket) {
	defer func() { // after a panic nothing else completes them, and their callers would wait for ever
		for _, t := range tickets {
			if !t.done {
				t.done, t.err = true, errBrokenOff
				c.stale.Store(true)
			}
		}
	}()
	var all []Write
	for _, t := range tickets {
		all = append(all, t.writes...)
	}
	results, err := c.transact(all)
	if err != nil && len(tickets) > 1 && !errors.Is(err, docstore.ErrDiskFull) {
		for _, t := range tickets {
			c.commit([]*ticket{t})
		}
		return
	}
	for _, t := range tickets {
		if t.done, t.err = true, err; err == nil {
			t.results, results = results[:len(t.writes)], results[len(t.writes):]
		}
	}
}

// transact carries out writes in one transaction. An error means that none of them is stored, so that they may be retried. The caller holds
// c.writing.
func (c *Collection) transact(writes []Write) ([]Written, error) {
	if c.dropped {
		return nil, ErrCollection
	}
	if c.stale.Load() {
		if err := c.anew(errStale); err != nil {
			return nil, err
		}
	}
	b := &batch{c: c, schema: c.schema.Load(), memory: c.spare() > 0}
	b.docs = c.idx().Stats().Documents
	results := make([]Written, len(writes))
	err := c.store.Write(c.key, func(tx *docstore.Tx) error {
		for i, w := range writes {
			var err error
			if results[i], err = b.one(tx, w); err != nil {
				return err
			}
		}
		for i := range b.changes {
			b.changes[i].Commit = tx.Commit()
		}
		if b.schema == c.schema.Load() {
			return nil
		}
		stored, err := b.schema.Render(-1)
		if err != nil {
			return err
		}
		return tx.SetSchema(stored)
	})
	if err != nil {
		return nil, fmt.Errorf("write documents: %w", err)
	}
	c.schema.Store(b.schema)
	c.total.Add(int64(b.grown))
	if err := c.idx().Apply(b.changes); err != nil {
		if err := c.anew(err); err != nil { // the writes are stored in any case
			c.stale.Store(true)
			c.log.Error("embedded engine: an index can't be rebuilt: the next search or write tries again", "collection", c.Name(), "error", err)
		}
	}
	return results, nil
}

// batch is the state of one transaction.
type batch struct {
	c       *Collection
	schema  *schema.Schema
	changes index.Batch
	docs    int // documents of the collection, including this batch
	grown   int
	memory  bool // the budget is not exhausted
}

// one carries out one write. An error ends the transaction.
func (b *batch) one(tx *docstore.Tx, w Write) (Written, error) {
	if w.Remove {
		return b.remove(tx, w.ID)
	}
	doc := w.Doc
	if doc == nil {
		if int64(len(w.Line)) > b.c.limits.DocumentBytes {
			return Written{Err: tooLarge("a document", b.c.limits.DocumentBytes)}, nil
		}
		var err error
		if doc, err = schema.ParseDocument(w.Line); err != nil {
			return Written{Err: err}, nil
		}
	}
	res, err := b.put(tx, doc, w)
	var refused *schema.Error
	if errors.As(err, &refused) {
		res.Err, err = refused, nil
	}
	return res, err
}

func (b *batch) put(tx *docstore.Tx, doc schema.Document, w Write) (Written, error) {
	id, err := documentID(doc, w)
	if err != nil {
		return Written{}, err
	}
	res := Written{ID: id}
	seq, exists := uint64(0), false
	if id != "" {
		seq, exists = tx.Find(id)
	}
	switch {
	case exists && w.Action == Create:
		return res, &schema.Error{Status: 409, Text: fmt.Sprintf("A document with id %s already exists.", id)}
	case !exists && w.Action == Update:
		return res, missing(id)
	case exists && w.Action != Upsert:
		old, err := schema.ParseDocument(tx.Get(seq))
		if err != nil {
			return res, fmt.Errorf("read stored document: %w", err)
		}
		doc = old.Merge(doc)
	case exists:
	default:
		if err := b.room(); err != nil {
			return res, err
		}
		if seq, err = tx.Next(); err != nil {
			return res, err
		}
		if id == "" {
			if id, seq, err = freeID(tx, seq); err != nil {
				return res, err
			}
			res.ID = id
		}
	}
	if w.Add != nil {
		doc = added(doc, w.Add)
	}
	doc["id"] = id
	return b.store(tx, seq, doc, exists, w, res)
}

// store checks a document, writes it and records the change for the index.
func (b *batch) store(tx *docstore.Tx, seq uint64, doc schema.Document, exists bool, w Write, res Written) (Written, error) {
	dirty, err := b.schema.ParseDirty(w.Dirty)
	if err != nil {
		return res, err
	}
	typed, added, err := b.schema.Check(doc, dirty)
	if err != nil {
		return res, err
	}
	if res.Doc, err = doc.Encode(); err != nil {
		return res, err
	}
	switch {
	case int64(len(res.Doc)) > b.c.limits.DocumentBytes:
		return res, tooLarge("a document", b.c.limits.DocumentBytes)
	case len(b.schema.Fields)+len(added) > b.c.limits.Fields:
		return res, tooMany("fields in a collection", b.c.limits.Fields)
	}
	if err := tx.Put(seq, res.ID, res.Doc); err != nil {
		return res, fmt.Errorf("store document: %w", err)
	}
	change := index.Change{Seq: seq, New: typed}
	if exists {
		change.Old = &schema.Typed{ID: res.ID}
	} else {
		b.docs++
		b.grown++
	}
	if len(added) > 0 {
		b.schema = b.schema.Extend(added)
	}
	change.Schema = b.schema
	b.changes = append(b.changes, change)
	return res, nil
}

// room refuses a new document if it would exceed a limit.
func (b *batch) room() error {
	switch {
	case b.docs >= b.c.limits.DocumentsPerCollection:
		return tooMany("documents in a collection", b.c.limits.DocumentsPerCollection)
	case b.c.total.Load()+int64(b.grown) >= int64(b.c.limits.Documents):
		return tooMany("documents", b.c.limits.Documents)
	case !b.memory:
		return errMemory
	}
	return nil
}

func (b *batch) remove(tx *docstore.Tx, id string) (Written, error) {
	seq, ok := tx.Find(id)
	if !ok {
		return Written{ID: id, Err: missing(id)}, nil
	}
	stored := tx.Get(seq)
	if err := tx.Delete(seq, id); err != nil {
		return Written{}, fmt.Errorf("delete document: %w", err)
	}
	b.docs--
	b.grown--
	b.changes = append(b.changes, index.Change{Seq: seq, Schema: b.schema, Old: &schema.Typed{ID: id}})
	return Written{ID: id, Doc: stored}, nil
}

// typedOf returns the typed values of a stored document. Values that do not fit the schema have never been indexed, and are dropped.
func typedOf(s *schema.Schema, doc schema.Document) *schema.Typed {
	typed, _, err := s.Check(doc, schema.CoerceOrDrop) // documents may need coercion after a change of the schema
	if err != nil {                                    // a required value that does not fit: impossible for a stored document; nothing is indexed then
		id, _ := doc["id"].(string)
		return &schema.Typed{ID: id}
	}
	return typed
}

func missing(id string) *schema.Error {
	return &schema.Error{Status: 404, Text: "Could not find a document with id: " + id}
}

// documentID reads and checks the ID. It returns "" if the document has none and one may be generated.
func documentID(doc schema.Document, w Write) (string, error) {
	if w.ID != "" {
		return w.ID, nil
	}
	raw, present := doc["id"]
	if !present {
		if w.Action == Update {
			return "", &schema.Error{Status: 400, Text: "For update, the `id` key must be provided."}
		}
		return "", nil
	}
	id, ok := raw.(string)
	switch {
	case !ok:
		return "", &schema.Error{Status: 400, Text: "Document's `id` field should be a string."}
	case id == "":
		return "", &schema.Error{Status: 400, Text: "The `id` should not be empty."}
	case len(id) > maxIDBytes:
		return "", &schema.Error{Status: 422, Text: fmt.Sprintf("The `id` should not be longer than %d bytes.", maxIDBytes)}
	}
	return id, nil
}

// freeID generates an ID from a sequence number, such that no document has it yet.
func freeID(tx *docstore.Tx, seq uint64) (string, uint64, error) {
	for {
		id := strconv.FormatUint(seq, 10)
		if _, taken := tx.Find(id); !taken {
			return id, seq, nil
		}
		var err error
		if seq, err = tx.Next(); err != nil {
			return "", 0, err
		}
	}
}

// Get returns a document as it is stored.
func (c *Collection) Get(id string) (doc []byte, err error) {
	err = c.store.Read(c.key, func(tx *docstore.Tx) error {
		seq, ok := tx.Find(id)
		if !ok {
			return missing(id)
		}
		doc = tx.Get(seq)
		return nil
	})
	return doc, err
}

// bySeq reads documents by sequence number. A document that has been deleted in the meantime is nil.
func (c *Collection) bySeq(seqs []uint64) ([][]byte, error) {
	out := make([][]byte, len(seqs))
	err := c.store.Read(c.key, func(tx *docstore.Tx) error {
		for i, seq := range seqs {
			out[i] = tx.Get(seq)
		}
		return nil
	})
	return out, err
}

// Render returns the description of the collection in Typesense's format.
func (c *Collection) Render() (json.RawMessage, error) {
	return c.schema.Load().Render(c.idx().Stats().Documents)
}
