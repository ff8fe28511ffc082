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

// Item is one change of a document: Document replaces or makes it, nil deletes it.
type Item struct {
	ID       string
	Document json.RawMessage
	// Tenant is whose document it is in a tenant-scoped collection; nil elsewhere.
	Tenant *string
	// IfVersion is the version that the document must have, 0 for none; nil is any. If is another condition of it; nil is none. Engine looks at neither.
	IfVersion *int64
	If        func(version int64) bool
	// Mark tells a change that has a condition from all others, where it may come again; "" where it does not.
	Mark string
}

// Conditional reports whether the change has a condition.
func (i Item) Conditional() bool { return i.IfVersion != nil || i.If != nil }

// Holds reports whether the change's condition does for a version of the document.
func (i Item) Holds(version int64) bool {
	return (i.IfVersion == nil || *i.IfVersion == version) && (i.If == nil || i.If(version))
}

// Stored is the document's id at the engine.
func (i Item) Stored() string {
	if i.Tenant == nil {
		return i.ID
	}
	return owner.DocumentID(*i.Tenant, i.ID)
}

// Outcome is what became of an Item; nil is success.
type Outcome error

// Bounds of one import, and of the ids of one deletion, which stand in the target.
const (
	importDocuments = 1000
	importBytes     = 4 << 20
	deletionBytes   = 3500
)

// Sync brings documents up to date and returns an outcome for each item. Of several items with one id the last counts, and all
// get its outcome. When the engine can't be used, or does not keep up, the whole fails and may be repeated: nothing that is repeated does harm.
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

// lastOf tells for each item which is the last one with its id.
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

// partly is the error of a change of which a part was carried out.
type partly struct{ error }

// Unwrap implements errors.Unwrap.
func (p partly) Unwrap() error { return p.error }

func after(calls int, err error) error {
	if calls == 0 {
		return err
	}
	return partly{err}
}

// Untouched reports whether an error says that nothing was changed: the engine was not reached, did not take the key, or was not asked at all.
func Untouched(err error) bool {
	var part partly
	return !errors.As(err, &part) && !errors.Is(err, tsclient.ErrDoubt) && (errors.Is(err, tsclient.ErrNotSent) || errors.Is(err, errFull) || Denied(err))
}

// upserts imports, in chunks, the documents of the items that count, and counts the calls that went well.
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
		text, of = nil, of[:0] // what was sent may be read still
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

// textRoom is about how many bytes the lines of the next import take.
func textRoom(items []Item) int {
	const beside = 64 // an id and its name
	size := 0
	for i := range items {
		if size += len(items[i].Document) + beside; i == importDocuments || size >= importBytes {
			break
		}
	}
	return size
}

// outcomeOf reads a line; the error is for faults of the engine, after which nothing is known of the rest.
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

// deletes removes the documents of the items that count, many in one call but those whose ids a filter can't name. A document that is not there is no error.
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
