package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// Item is a change of one document. Document creates or replaces it; a nil Document deletes it.
type Item struct {
	ID       string
	Document json.RawMessage
	// Tenant is the tenant that the document belongs to, in a tenant-scoped collection; nil in others.
	Tenant *string
	// IfVersion is the version that the document must have: 0 for a document that must not exist, nil for any. If is a further condition on
	// the version; nil for none. Engine ignores both.
	IfVersion *int64
	If        func(version int64) bool
	// Mark identifies a conditional change that may be repeated, so that its own earlier write is recognised. It is "" for changes that are
	// not repeated.
	Mark string
}

// Conditional reports whether the change has a condition.
func (i Item) Conditional() bool { return i.IfVersion != nil || i.If != nil }

// Holds reports whether the condition of the change holds for a version of the document.
func (i Item) Holds(version int64) bool {
	return (i.IfVersion == nil || *i.IfVersion == version) && (i.If == nil || i.If(version))
}

// Stored returns the document's ID at the engine.
func (i Item) Stored() string {
	if i.Tenant == nil {
		return i.ID
	}
	return owner.DocumentID(*i.Tenant, i.ID)
}

// Outcome is the result of an Item; nil is success.
type Outcome error

// importDocuments and importBytes limit one import. deletionBytes limits the IDs or the filter of one deletion, which are in the URL.
const (
	importDocuments = 1000
	importBytes     = 4 << 20
	deletionBytes   = 3500
)

// Sync applies items and returns an outcome for each. Among several items with the same ID the last one is applied, and all get its
// outcome. If the engine can't be used or does not keep up, the whole call fails. It may be repeated without harm.
func (e *Engine) Sync(ctx context.Context, collection string, items []Item) ([]Outcome, error) {
	last := lastOf(items)
	outcomes, calls := make([]Outcome, len(items)), 0
	if err := e.upserts(ctx, collection, items, last, outcomes, &calls); err != nil {
		return nil, after(calls, err)
	}
	if err := e.deletes(ctx, collection, items, last, &calls); err != nil {
		return nil, after(calls, err)
	}
	for i := range items {
		outcomes[i] = outcomes[last[i]]
	}
	return outcomes, nil
}

// lastOf returns, for each item, the index of the last item with the same ID.
func lastOf(items []Item) []int {
	of, last := make(map[string]int, len(items)), make([]int, len(items))
	for i := len(items) - 1; i >= 0; i-- {
		id := items[i].Stored()
		at, later := of[id]
		if !later {
			of[id], at = i, i
		}
		last[i] = at
	}
	return last
}

// partialError is the error of a call that was partly carried out.
type partialError struct{ error }

// Unwrap implements errors.Unwrap.
func (p partialError) Unwrap() error { return p.error }

func after(calls int, err error) error {
	if calls == 0 {
		return err
	}
	return partialError{err}
}

// Untouched reports whether an error means that nothing was changed: the engine was not reached, refused the key, or was not called at all.
func Untouched(err error) bool {
	var part partialError
	return !errors.As(err, &part) && !errors.Is(err, tsclient.ErrDoubt) && (errors.Is(err, tsclient.ErrNotSent) || errors.Is(err, errFull) || Denied(err))
}

// upserts imports, in batches, the documents of those items that are the last of their ID. It counts successful calls.
func (e *Engine) upserts(ctx context.Context, collection string, items []Item, last []int, outcomes []Outcome, calls *int) error {
	var text []byte
	var of []int
	flush := func() error {
		if len(of) == 0 {
			return nil
		}
		lines, err := e.importDocs(ctx, collection, text, len(of))
		if err != nil {
			return err
		}
		*calls++
		for i, line := range lines {
			outcome, err := outcomeOf(line)
			if err != nil {
				return err
			}
			outcomes[of[i]] = outcome
		}
		text, of = nil, of[:0] // the sent text may still be read
		return nil
	}
	for i := range items {
		if items[i].Document == nil || last[i] != i {
			continue
		}
		if text == nil {
			text = make([]byte, 0, textRoom(items[i:]))
		}
		longer, err := appendLine(text, items[i])
		if err != nil {
			outcomes[i] = err
			continue
		}
		text, of = append(longer, '\n'), append(of, i)
		if len(of) >= importDocuments || len(text) >= importBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// textRoom estimates the size in bytes of the next import.
func textRoom(items []Item) int {
	const beside = 64 // for an ID and its name
	size := 0
	for i := range items {
		if size += len(items[i].Document) + beside; i == importDocuments || size >= importBytes {
			break
		}
	}
	return size
}

// outcomeOf converts a line of an import result. An error means a fault of the engine, after which the state of the other lines is unknown.
func outcomeOf(line tsclient.ImportLine) (Outcome, error) {
	if line.Success {
		return nil, nil
	}
	if line.Code == 0 {
		line.Code = http.StatusBadRequest
	}
	err := refused(&tsclient.Error{Status: line.Code, Message: line.Error})
	if errors.Is(err, problem.EngineUnavailable) || errors.Is(err, problem.BadUpstream) {
		return nil, unavailable(err)
	}
	return err, nil
}

// deletes deletes the documents of those items that are the last of their ID. IDs that can be written in a filter are deleted in batches,
// and others one by one. Missing documents are not an error.
func (e *Engine) deletes(ctx context.Context, collection string, items []Item, last []int, calls *int) error {
	var ids []string
	size := 0
	flush := func() error {
		if len(ids) == 0 {
			return nil
		}
		err := e.deleteDocs(ctx, collection, ids)
		if ids, size = nil, 0; err == nil {
			*calls++
		}
		return err
	}
	for i := range items {
		if items[i].Document != nil || last[i] != i {
			continue
		}
		id := items[i].Stored()
		if !plainID.MatchString(id) {
			if err := e.deleteDoc(ctx, collection, id); err != nil {
				return err
			}
			*calls++
			continue
		}
		if size += len(url.QueryEscape("`" + id + "`,")); size > deletionBytes {
			if err := flush(); err != nil {
				return err
			}
			size = len(url.QueryEscape("`" + id + "`,"))
		}
		ids = append(ids, id)
	}
	return flush()
}
