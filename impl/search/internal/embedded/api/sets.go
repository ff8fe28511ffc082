package api

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// sets serves the routes of one kind of sets: lists of rules that any collection may use. Typesense 30 has them instead of rules per
// collection. Here both are served.
type sets[T any] struct {
	kind string
	item func(id string, body []byte) (T, error)
	id   func(T) string
}

var (
	synonymSets  = sets[rules.Synonym]{rules.KindSynonymSets, rules.ParseSynonym, func(s rules.Synonym) string { return s.ID }}
	curationSets = sets[rules.Override]{rules.KindCurationSets, rules.ParseOverride, func(o rules.Override) string { return o.ID }}
)

// routes returns the routes under the kind's name.
func (s sets[T]) routes() []route {
	one, items, item := s.kind+"/*", s.kind+"/*/items", s.kind+"/*/items/*"
	return []route{
		{"GET", s.kind, s.kind + ":list", s.list},
		{"GET", one, s.kind + ":get", s.get}, {"PUT", one, s.kind + ":create", s.put}, {"DELETE", one, s.kind + ":delete", s.remove},
		{"GET", items, s.kind + ":get", s.items},
		{"GET", item, s.kind + ":get", s.getItem}, {"PUT", item, s.kind + ":create", s.putItem}, {"DELETE", item, s.kind + ":delete", s.removeItem},
	}
}

func (s sets[T]) list(h *Handler, w http.ResponseWriter, r *request) {
	list, err := window(r, h.engine.Settings().List(s.kind))
	if err != nil {
		h.fail(w, err)
		return
	}
	out := make([]json.RawMessage, len(list))
	for i, record := range list {
		out[i] = record.Body
	}
	reply(w, http.StatusOK, out)
}

func (s sets[T]) get(h *Handler, w http.ResponseWriter, r *request) {
	h.record(w, s.kind, r.parts[1], errNotFound)
}

func (s sets[T]) put(h *Handler, w http.ResponseWriter, r *request) {
	body, err := h.body(w, r, settings.MaxRecordBytes)
	var set rules.Set[T]
	if err == nil {
		set, err = rules.ParseSet(r.parts[1], body, s.item)
	}
	if err == nil {
		err = h.put(s.kind, set.Name, set)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, set)
}

func (s sets[T]) remove(h *Handler, w http.ResponseWriter, r *request) {
	h.removed(w, s.kind, r.parts[1], "name", errNotFound)
}

// stored reads the set that the path names.
func (s sets[T]) stored(h *Handler, r *request) (set rules.Set[T], err error) {
	body, ok := h.engine.Settings().Get(s.kind, r.parts[1])
	if !ok {
		return set, errNotFound
	}
	return set, json.Unmarshal(body, &set)
}

func (s sets[T]) items(h *Handler, w http.ResponseWriter, r *request) {
	set, err := s.stored(h, r)
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, set.Items)
}

func (s sets[T]) getItem(h *Handler, w http.ResponseWriter, r *request) {
	set, err := s.stored(h, r)
	at := slices.IndexFunc(set.Items, func(item T) bool { return s.id(item) == r.parts[3] })
	if err == nil && at < 0 {
		err = errNotFound
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, set.Items[at])
}

func (s sets[T]) putItem(h *Handler, w http.ResponseWriter, r *request) {
	body, err := h.body(w, r, settings.MaxRecordBytes)
	var item T
	if err == nil {
		item, err = s.item(r.parts[3], body)
	}
	if err == nil {
		err = s.change(h, r, func(items []T) ([]T, error) {
			items = slices.DeleteFunc(items, func(other T) bool { return s.id(other) == r.parts[3] })
			return append(items, item), nil
		})
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, item)
}

func (s sets[T]) removeItem(h *Handler, w http.ResponseWriter, r *request) {
	err := s.change(h, r, func(items []T) ([]T, error) {
		n := len(items)
		if items = slices.DeleteFunc(items, func(other T) bool { return s.id(other) == r.parts[3] }); len(items) == n {
			return nil, errNotFound
		}
		return items, nil
	})
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"id": r.parts[3]})
}

// change replaces the items of a set atomically.
func (s sets[T]) change(h *Handler, r *request, do func([]T) ([]T, error)) error {
	return h.engine.Settings().Update(func(c *settings.Change) error {
		body, ok := c.Get(s.kind, r.parts[1])
		if !ok {
			return errNotFound
		}
		var set rules.Set[T]
		if err := json.Unmarshal(body, &set); err != nil {
			return err
		}
		var err error
		if set.Items, err = do(set.Items); err != nil {
			return err
		}
		stored, err := encode(set)
		c.Put(s.kind, set.Name, stored)
		return err
	})
}
