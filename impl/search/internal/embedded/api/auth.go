package api

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/keys"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// kindNext holds the next number to assign, by the kind that is numbered.
const (
	kindKeys = "keys"
	kindNext = "next"
)

// maxKeys limits the number of created keys.
const maxKeys = 10_000

// authorized checks the API key, from the header or else the URL, for the route. A request for several collections is checked for each of
// them later (see mayAll).
func (h *Handler) authorized(r *request, to *route) bool {
	presented := r.Header.Get("X-Typesense-Api-Key")
	if presented == "" {
		presented = r.param("x-typesense-api-key")
	}
	switch {
	case presented == "":
		return false
	case h.admin(presented):
		return true
	}
	known, now := h.keys(), h.engine.Now()
	k, ok := known.byDigest[sha256.Sum256([]byte(presented))]
	if !ok {
		if r.scope, ok = keys.Scoped(presented, known.list, now); !ok || to.action != search {
			return false
		}
		k = r.scope.Parent
	}
	r.key = k
	if k.Expired(now) {
		return false
	}
	if to.path == "multi_search" {
		return true
	}
	collection := ""
	if len(r.parts) > 1 && r.parts[0] == "collections" {
		collection = r.parts[1]
	}
	return k.Allows(h.action(r, to), collection)
}

// action returns the action of the request. For writes of a document it depends on the action parameter.
func (h *Handler) action(r *request, to *route) string {
	if to.action == "documents:create" && r.param("action") != "" {
		return "documents:" + r.param("action")
	}
	return to.action
}

// mayAll reports whether the request's key may search all the collections.
func (h *Handler) mayAll(r *request, collections []string) bool {
	if r.key.Value == "" { // the admin key
		return true
	}
	for _, c := range collections {
		if !r.key.Allows(search, c) {
			return false
		}
	}
	return true
}

// keys returns the created keys, cached per generation of the settings.
func (h *Handler) keys() *knownKeys {
	store := h.engine.Settings()
	generation := store.Generation()
	if k := h.known.Load(); k != nil && k.generation == generation {
		return k
	}
	k := &knownKeys{generation: generation, byDigest: map[[32]byte]keys.Key{}}
	for _, r := range store.List(kindKeys) {
		var key keys.Key
		if json.Unmarshal(r.Body, &key) != nil {
			continue // only this package writes them
		}
		k.list = append(k.list, key)
		k.byDigest[sha256.Sum256([]byte(key.Value))] = key
	}
	h.known.Store(k)
	return k
}

func (h *Handler) listKeys(w http.ResponseWriter, _ *request) {
	list := []keys.Shown{}
	for _, k := range h.keys().list {
		list = append(list, k.Show(false))
	}
	reply(w, http.StatusOK, map[string]any{"keys": list})
}

// numbered returns the name under which a key is stored, such that names sort like IDs.
func numbered(id uint32) string { return fmt.Sprintf("%010d", id) }

func (h *Handler) postKey(w http.ResponseWriter, r *request) {
	body, err := h.body(w, r, h.engine.Limits().BodyBytes)
	if err != nil {
		h.fail(w, err)
		return
	}
	k, err := keys.Parse(body)
	if err != nil {
		h.fail(w, err)
		return
	}
	err = h.engine.Settings().Update(func(c *settings.Change) error {
		names := c.Names(kindKeys)
		for _, name := range names {
			var other keys.Key
			stored, _ := c.Get(kindKeys, name)
			if json.Unmarshal(stored, &other) == nil && other.Value == k.Value {
				return &schema.Error{Status: http.StatusConflict, Text: "API key generation conflict."}
			}
		}
		if next, ok := c.Get(kindNext, kindKeys); ok { // an ID is never reused, even if its key is deleted
			if err := json.Unmarshal(next, &k.ID); err != nil {
				return err
			}
		}
		c.Put(kindNext, kindKeys, json.RawMessage(strconv.FormatUint(uint64(k.ID)+1, 10)))
		if len(names) >= maxKeys {
			return settings.ErrFull
		}
		stored, err := json.Marshal(k)
		c.Put(kindKeys, numbered(k.ID), stored)
		return err
	})
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusCreated, k.Show(true))
}

var errKeyMissing = &schema.Error{Status: http.StatusNotFound, Text: "Not found."}

// keyOf returns the key that the path names.
func (h *Handler) keyOf(r *request) (keys.Key, error) {
	id, err := strconv.ParseUint(r.parts[1], 10, 32)
	if err != nil {
		return keys.Key{}, &schema.Error{Status: http.StatusBadRequest, Text: "The id of a key is a number."}
	}
	for _, k := range h.keys().list {
		if uint64(k.ID) == id {
			return k, nil
		}
	}
	return keys.Key{}, errKeyMissing
}

func (h *Handler) getKey(w http.ResponseWriter, r *request) {
	k, err := h.keyOf(r)
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, k.Show(false))
}

func (h *Handler) deleteKey(w http.ResponseWriter, r *request) {
	k, err := h.keyOf(r)
	if err == nil {
		err = h.engine.Settings().Update(func(c *settings.Change) error {
			if !c.Delete(kindKeys, numbered(k.ID)) {
				return errKeyMissing
			}
			return nil
		})
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]uint32{"id": k.ID})
}
