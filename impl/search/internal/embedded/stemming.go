package embedded

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// maxDictionaries limits the number of stemming dictionaries.
const maxDictionaries = 100

// dictionary implements schema.Dictionaries over the settings. A dictionary is cached until it is replaced.
func (e *Engine) dictionary(name string) *text.Dictionary {
	if d, ok := e.dictionaries.Load(name); ok {
		return d.(*text.Dictionary)
	}
	kept, ok := e.settings.Get(settings.KindStemming, name)
	if !ok {
		return nil
	}
	d, err := rules.Dictionary(kept)
	if err != nil {
		e.log.Error("embedded engine: a stemming dictionary can't be read", "error", err)
		return nil
	}
	e.dictionaries.Store(name, d)
	return d
}

// PutDictionary stores a stemming dictionary under its name. If it has changed, the collections whose fields use it are indexed again, so
// that results do not depend on when a document was written. Writes to these collections wait until that is done.
func (e *Engine) PutDictionary(s rules.Stemming) error {
	kept, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode stemming dictionary: %w", err)
	}
	e.creating.Lock()
	defer e.creating.Unlock()
	if old, ok := e.settings.Get(settings.KindStemming, s.ID); ok && bytes.Equal(old, kept) {
		return nil
	}
	return e.withUsers(s.ID, func(users []*Collection) error {
		for _, c := range users {
			if err := c.forgetIndex(); err != nil {
				return errors.Join(err, e.remake(users))
			}
		}
		err := e.settings.Update(func(c *settings.Change) error {
			if _, there := c.Get(settings.KindStemming, s.ID); !there && len(c.Names(settings.KindStemming)) >= maxDictionaries {
				return settings.ErrFull
			}
			c.Put(settings.KindStemming, s.ID, kept)
			return nil
		})
		e.dictionaries.Delete(s.ID) // whatever happened to the change
		return errors.Join(err, e.remake(users))
	})
}

// DropDictionary deletes a stemming dictionary that no collection uses.
func (e *Engine) DropDictionary(name string) error {
	e.creating.Lock()
	defer e.creating.Unlock()
	if _, ok := e.settings.Get(settings.KindStemming, name); !ok {
		return ErrNoDictionary
	}
	return e.withUsers(name, func(users []*Collection) error {
		if len(users) > 0 {
			return &schema.Error{Status: http.StatusConflict, Text: fmt.Sprintf("The stemming dictionary is used by the collection `%s`.", users[0].Name())}
		}
		defer e.dictionaries.Delete(name)
		return e.settings.Update(func(c *settings.Change) error {
			c.Delete(settings.KindStemming, name)
			return nil
		})
	})
}

// ErrNoDictionary reports that a stemming dictionary does not exist.
var ErrNoDictionary = &schema.Error{Status: http.StatusNotFound, Text: "Stemming dictionary not found."}

// withUsers calls do with the collections that use a dictionary. No schema can change during the call. The caller holds e.creating.
func (e *Engine) withUsers(name string, do func(users []*Collection) error) error {
	var users []*Collection
	for _, c := range e.Collections() { // nothing else holds two of these locks
		c.writing.Lock()
		defer c.writing.Unlock()
		if !c.dropped && c.schema.Load().UsesDictionary(name) {
			users = append(users, c)
		}
	}
	return do(users)
}

// forgetIndex deletes the files of an index, so that a restart rebuilds it even if the process ends before it is rebuilt. Searches continue
// to use it from memory. The caller holds c.writing.
func (c *Collection) forgetIndex() error {
	c.idx().Stop()
	return index.Clear(c.indexDir())
}

// remake gives collections schemas with the current dictionaries and rebuilds their indexes. An index that can't be rebuilt is stale, and
// the next search or write tries again.
func (e *Engine) remake(users []*Collection) error {
	var all error
	for _, c := range users {
		c.schema.Store(c.schema.Load().With(e.dictionary))
		all = errors.Join(all, c.rebuild())
	}
	return all
}
