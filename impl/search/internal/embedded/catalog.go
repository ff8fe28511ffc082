package embedded

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// Collection returns a collection by its name or an alias. A collection takes precedence over an alias of the same name.
func (e *Engine) Collection(name string) (*Collection, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	c, ok := e.collections[name]
	if ok {
		return c, nil
	}
	if body, ok := e.settings.Get(rules.KindAliases, name); ok {
		var a rules.Alias
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, fmt.Errorf("read alias: %w", err)
		}
		if c, ok = e.collections[a.Collection]; ok {
			return c, nil
		}
	}
	return nil, ErrCollection
}

// Exists reports whether a collection has the name. Aliases don't count.
func (e *Engine) Exists(name string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.collections[name] != nil
}

// Collections returns the collections, newest first.
func (e *Engine) Collections() []*Collection {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := make([]*Collection, 0, len(e.collections))
	for _, c := range e.collections {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Collection) int { return cmp.Compare(b.key, a.key) })
	return list
}

// Create creates a collection.
func (e *Engine) Create(s *schema.Schema) (*Collection, error) {
	e.creating.Lock()
	defer e.creating.Unlock()
	if e.Exists(s.Name) {
		return nil, &schema.Error{Status: http.StatusConflict, Text: fmt.Sprintf("A collection with name `%s` already exists.", s.Name)}
	}
	if e.Stats().Collections >= e.limits.Collections {
		return nil, tooMany("collections", e.limits.Collections)
	}
	if err := e.dropRules(s.Name); err != nil { // rules of an earlier collection, if the process ended before they were dropped
		return nil, err
	}
	s = s.With(e.dictionary)
	if err := s.MissingDictionary(); err != nil {
		return nil, err
	}
	s.CreatedAt = e.clock.Now().Unix()
	stored, err := s.Render(-1)
	if err != nil {
		return nil, err
	}
	key, err := e.store.Create(stored)
	if err != nil {
		return nil, fmt.Errorf("store collection: %w", err)
	}
	c := newCollection(key, s, e)
	if err := c.emptyIndex(); err != nil {
		return nil, errors.Join(err, e.store.Drop(key))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.collections[s.Name] = c
	return c, nil
}

// Clone creates a collection with the schema, the synonyms and the overrides of another one, but without its documents.
func (e *Engine) Clone(source, name string) (*Collection, error) {
	from, err := e.Collection(source)
	if err != nil {
		return nil, err
	}
	s, err := from.schema.Load().Renamed(name)
	if err != nil {
		return nil, err
	}
	c, err := e.Create(s)
	if err != nil {
		return nil, err
	}
	return c, e.settings.Update(func(change *settings.Change) error {
		for _, kind := range []string{rules.KindSynonyms, rules.KindOverrides} {
			change.CopyAll(settings.Kind(kind, from.Name()), settings.Kind(kind, name))
		}
		return nil
	})
}

// Drop deletes a collection, and returns its last description.
func (e *Engine) Drop(name string) ([]byte, error) {
	c, err := e.Collection(name)
	if err != nil {
		return nil, err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.dropped {
		return nil, ErrCollection
	}
	last, err := c.Render()
	if err != nil {
		return nil, err
	}
	if err := e.store.Drop(c.key); err != nil {
		return nil, fmt.Errorf("drop collection: %w", err)
	}
	c.dropped = true
	c.idx().Stop()
	if err := os.RemoveAll(c.indexDir()); err != nil {
		e.log.Warn("embedded engine: the index of a dropped collection can't be removed", "error", err)
	}
	e.documents.Add(-int64(c.idx().Stats().Documents))
	err = e.dropRules(c.Name()) // before the name is free, because a new collection may get rules of its own
	e.mu.Lock()
	delete(e.collections, c.Name())
	e.mu.Unlock()
	return last, err
}

// dropRules deletes the synonyms and overrides of a collection.
func (e *Engine) dropRules(collection string) error {
	kinds := []string{settings.Kind(rules.KindSynonyms, collection), settings.Kind(rules.KindOverrides, collection)}
	if !slices.ContainsFunc(kinds, func(kind string) bool { return len(e.settings.List(kind)) > 0 }) {
		return nil
	}
	return e.settings.Update(func(change *settings.Change) error {
		for _, kind := range kinds {
			change.DeleteAll(kind)
		}
		return nil
	})
}
