// Package engine is the search service's access to its engine, Typesense or the embedded one. It repeats a call with a fresh key when the
// engine refuses the key, limits concurrent bulk writes, and turns the engine's refusals into problems of the service.
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/typesense/typesense-go/v3/typesense/api"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// Keys is the source of the engine's key.
type Keys interface {
	Refresh(ctx context.Context) error
}

// Engine calls the search engine. It is safe for concurrent use.
type Engine struct {
	client *tsclient.Client
	keys   Keys
	writes pacer
}

// New returns an Engine over a client whose key comes from keys.
func New(client *tsclient.Client, keys Keys) *Engine { return &Engine{client: client, keys: keys} }

// again runs do. If the engine refuses the key, it reads a fresh one and runs do once more. A refused key is never the caller's fault, and
// becomes engine_unavailable.
func (e *Engine) again(ctx context.Context, do func() error) error {
	first := do()
	if !refusesKey(first) {
		return mapped(first)
	}
	if err := e.keys.Refresh(ctx); err != nil {
		return unavailable(errors.Join(err, doubt(first)))
	}
	err := do()
	if err != nil && doubt(first) != nil { // the second attempt can't vouch for the first
		err = fmt.Errorf("%w: %w", doubt(first), err)
	}
	if refusesKey(err) {
		return unavailable(err)
	}
	return mapped(err)
}

// doubt returns tsclient.ErrDoubt if an error wraps it, and otherwise nil.
func doubt(err error) error {
	if errors.Is(err, tsclient.ErrDoubt) {
		return tsclient.ErrDoubt
	}
	return nil
}

func refusesKey(err error) bool { return tsclient.RefusesKey(err) }

// Collection is a collection in the engine's form.
type Collection struct {
	Name                string  `json:"name"`
	Fields              []Field `json:"fields"`
	DefaultSortingField string  `json:"default_sorting_field,omitempty"`
	// SynonymSets and CurationSets are the sets that the collection uses (Typesense 30).
	SynonymSets  []string `json:"synonym_sets,omitempty"`
	CurationSets []string `json:"curation_sets,omitempty"`
	// Documents and CreatedAt (Unix seconds) are only received, never sent.
	Documents int64 `json:"num_documents,omitempty"`
	CreatedAt int64 `json:"created_at,omitempty"`
}

// Field is a field of a collection. A nil flag means the engine's default.
type Field struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Facet    *bool  `json:"facet,omitempty"`
	Optional *bool  `json:"optional,omitempty"`
	Index    *bool  `json:"index,omitempty"`
	Sort     *bool  `json:"sort,omitempty"`
}

// Create creates a collection. Problems: already_exists, validation_failed, unsupported_query, limit_reached, engine_unavailable.
func (e *Engine) Create(ctx context.Context, c Collection) (made Collection, err error) {
	body, err := json.Marshal(c)
	if err != nil {
		return made, fmt.Errorf("write schema: %w", err)
	}
	err = e.again(ctx, func() error {
		answer, err := e.client.CreateCollection(ctx, body)
		if err != nil {
			return err
		}
		return decode(answer, &made)
	})
	return made, err
}

// Collection reads a collection. Problem: not_found.
func (e *Engine) Collection(ctx context.Context, name string) (c Collection, err error) {
	err = e.again(ctx, func() error {
		answer, err := e.client.Collection(ctx, name)
		if err != nil {
			return err
		}
		return decode(answer, &c)
	})
	return c, err
}

// Collections reads all collections, sorted by name.
func (e *Engine) Collections(ctx context.Context) (list []Collection, err error) {
	err = e.again(ctx, func() error {
		answers, err := e.client.Collections(ctx)
		if err != nil {
			return err
		}
		list = make([]Collection, len(answers))
		for i, a := range answers {
			if err := decode(a, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b Collection) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// Delete drops a collection with its documents. Problem: not_found.
func (e *Engine) Delete(ctx context.Context, name string) error {
	defer e.writes.drop(name)
	return e.again(ctx, func() error { return e.client.DeleteCollection(ctx, name) })
}

// Healthy returns nil if the engine can work.
func (e *Engine) Healthy(ctx context.Context) error { return mapped(e.client.Health(ctx)) }

// Examine checks each node. It returns an error if no node can work.
func (e *Engine) Examine(ctx context.Context) error { return mapped(e.client.Examine(ctx)) }

// Nodes returns the state of the engine's nodes.
func (e *Engine) Nodes() []tsclient.NodeState { return e.client.Nodes() }

// Version returns the version of the engine, and whether it is the embedded one.
func (e *Engine) Version(ctx context.Context) (version string, embedded bool, err error) {
	err = e.again(ctx, func() (err error) {
		version, embedded, err = e.client.Version(ctx)
		return err
	})
	return version, embedded, err
}

// importDocs creates or replaces n documents, one per line. The result has a line for each.
func (e *Engine) importDocs(ctx context.Context, collection string, text []byte, n int) (lines []tsclient.ImportLine, err error) {
	err = e.paced(ctx, collection, func() (err error) {
		lines, err = e.client.ImportLines(ctx, collection, api.Upsert, text, n)
		return err
	})
	return lines, err
}

// plainID matches IDs without characters that are special in a filter of any engine.
var plainID = regexp.MustCompile(`^[A-Za-z0-9_.:~-]+$`)

// deleteDoc deletes the document with an ID, which may be any text. A missing document is not an error.
func (e *Engine) deleteDoc(ctx context.Context, collection, id string) error {
	err := e.paced(ctx, collection, func() error { return e.client.EnsureDeleted(ctx, collection, id) })
	if errors.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// deleteDocs deletes the documents with these IDs, which match plainID. Missing documents are not an error.
func (e *Engine) deleteDocs(ctx context.Context, collection string, ids []string) error {
	return e.paced(ctx, collection, func() error {
		return e.client.EnsureNone(ctx, collection, "id:=[`"+strings.Join(ids, "`,`")+"`]", len(ids))
	})
}

// deletionBatch is how many documents a deletion by filter deletes at a time.
const deletionBatch = 500

// DeleteWhere deletes the documents that match a filter, which must not be empty, and returns their number. Problems: validation_failed
// (the filter does not fit the collection, or is too long for a URL), engine_unavailable, overloaded.
func (e *Engine) DeleteWhere(ctx context.Context, collection, filter string) (n int64, err error) {
	if filter == "" || len(url.QueryEscape(filter)) > deletionBytes {
		return 0, problem.New(problem.ValidationFailed, "The filter is too long to delete by.").WithField("body", "/filter", "maxLength", "is too long as a whole")
	}
	err = e.paced(ctx, collection, func() (err error) {
		n, err = e.client.DeleteDocuments(ctx, collection, filter, deletionBatch)
		return err
	})
	return n, err
}

// paced sends a bulk write once the collection has room for it.
func (e *Engine) paced(ctx context.Context, collection string, do func() error) error {
	leave, err := e.writes.enter(ctx, collection)
	if err != nil {
		return err
	}
	err = e.again(ctx, do)
	leave(isBehind(err))
	return err
}

// isBehind reports whether an error means that the engine does not keep up.
func isBehind(err error) bool {
	return errors.Is(err, problem.EngineUnavailable) || errors.Is(err, problem.Overloaded) || errors.Is(err, problem.UpstreamTimeout)
}

func decode(body []byte, out any) error {
	if err := json.Unmarshal(body, out); err != nil {
		return problem.New(problem.BadUpstream, "The search engine's answer can't be read.").Wrap(err)
	}
	return nil
}

// pause is the Retry-After value while the engine is unavailable.
const pause = 2 * time.Second

func unavailable(err error) error {
	return problem.New(problem.EngineUnavailable, "The search engine can't be used at the moment.").WithRetryAfter(pause).Wrap(err)
}
