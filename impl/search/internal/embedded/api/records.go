package api

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// maxRecords limits the settings of one kind.
const maxRecords = 10_000

// put stores a setting.
func (h *Handler) put(kind, name string, v any) error {
	body, err := encode(v)
	if err != nil {
		return err
	}
	return h.engine.Settings().Update(func(c *settings.Change) error {
		if _, there := c.Get(kind, name); !there && len(c.Names(kind)) >= maxRecords {
			return settings.ErrFull
		}
		c.Put(kind, name, body)
		return nil
	})
}

// remove deletes a setting. If there is none, it returns missing.
func (h *Handler) remove(kind, name string, missing error) error {
	return h.engine.Settings().Update(func(c *settings.Change) error {
		if !c.Delete(kind, name) {
			return missing
		}
		return nil
	})
}

// record responds with a setting.
func (h *Handler) record(w http.ResponseWriter, kind, name string, missing error) {
	body, ok := h.engine.Settings().Get(kind, name)
	if !ok {
		h.fail(w, missing)
		return
	}
	reply(w, http.StatusOK, body)
}

// records responds with a list of settings, as the member under.
func (h *Handler) records(w http.ResponseWriter, r *request, under, kind string) {
	list := h.engine.Settings().List(kind)
	list, err := window(r, list)
	if err != nil {
		h.fail(w, err)
		return
	}
	out := make([]json.RawMessage, len(list))
	for i, item := range list {
		out[i] = item.Body
	}
	reply(w, http.StatusOK, map[string]any{under: out})
}

// window applies the parameters limit and offset to a list.
func window[T any](r *request, list []T) ([]T, error) {
	limit, offset := len(list), 0
	for _, p := range []struct {
		name, title string
		into        *int
	}{{"limit", "Limit", &limit}, {"offset", "Offset", &offset}} {
		v := r.param(p.name)
		if v == "" {
			continue
		}
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			return nil, &schema.Error{Status: http.StatusBadRequest, Text: p.title + " param should be unsigned integer."}
		}
		*p.into = int(n)
	}
	if offset > 0 && offset >= len(list) {
		return nil, &schema.Error{Status: http.StatusBadRequest, Text: "Invalid offset param."}
	}
	list = list[offset:]
	return list[:min(limit, len(list))], nil
}

// echo returns the body of a request with the name added. Typesense responds in this way when it stores a setting.
func echo(body []byte, key, name string) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	id, err := encode(name)
	if err != nil {
		return nil, err
	}
	all[key] = id
	return encode(all)
}

// stored parses and stores a request body, and responds with its echo.
func (h *Handler) stored(w http.ResponseWriter, r *request, kind, name, key string, parse func(body []byte) (any, error)) {
	body, err := h.body(w, r, settings.MaxRecordBytes)
	var v any
	if err == nil {
		v, err = parse(body)
	}
	if err == nil {
		err = h.put(kind, name, v)
	}
	var answer json.RawMessage
	if err == nil {
		answer, err = echo(body, key, name)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, answer)
}

// removed deletes a setting and responds with its name.
func (h *Handler) removed(w http.ResponseWriter, kind, name, key string, missing error) {
	if err := h.remove(kind, name, missing); err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{key: name})
}

func missing(text string) error { return &schema.Error{Status: http.StatusNotFound, Text: text} }

func (h *Handler) listPresets(w http.ResponseWriter, r *request) {
	h.records(w, r, "presets", rules.KindPresets)
}

func (h *Handler) getPreset(w http.ResponseWriter, r *request) {
	h.record(w, rules.KindPresets, r.parts[1], missing("Not found."))
}

func (h *Handler) putPreset(w http.ResponseWriter, r *request) {
	name := r.parts[1]
	h.stored(w, r, rules.KindPresets, name, "name", func(body []byte) (any, error) { return rules.ParsePreset(name, body) })
}

func (h *Handler) deletePreset(w http.ResponseWriter, r *request) {
	body, ok := h.engine.Settings().Get(rules.KindPresets, r.parts[1])
	err := missing("Not found.")
	if ok {
		err = h.remove(rules.KindPresets, r.parts[1], err)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, body)
}

func (h *Handler) listStopwords(w http.ResponseWriter, r *request) {
	h.records(w, r, "stopwords", rules.KindStopwords)
}

func noStopwords(r *request) error { return missing("Stopword `" + r.parts[1] + "` not found.") }

func (h *Handler) getStopwords(w http.ResponseWriter, r *request) {
	body, ok := h.engine.Settings().Get(rules.KindStopwords, r.parts[1])
	if !ok {
		h.fail(w, noStopwords(r))
		return
	}
	reply(w, http.StatusOK, map[string]any{"stopwords": body})
}

func (h *Handler) putStopwords(w http.ResponseWriter, r *request) {
	name := r.parts[1]
	h.stored(w, r, rules.KindStopwords, name, "id", func(body []byte) (any, error) { return rules.ParseStopwords(name, body) })
}

func (h *Handler) deleteStopwords(w http.ResponseWriter, r *request) {
	h.removed(w, rules.KindStopwords, r.parts[1], "id", noStopwords(r))
}

// ofCollection returns the kind of settings that belong to the collection in the path.
func (h *Handler) ofCollection(r *request, kind string) (string, error) {
	c, err := h.engine.Collection(r.parts[1])
	if err != nil {
		return "", err
	}
	return settings.Kind(kind, c.Name()), nil
}

// within calls do with the kind of settings that belong to the collection in the path.
func (h *Handler) within(w http.ResponseWriter, r *request, kind string, do func(kind string)) {
	k, err := h.ofCollection(r, kind)
	if err != nil {
		h.fail(w, err)
		return
	}
	do(k)
}

func (h *Handler) listSynonyms(w http.ResponseWriter, r *request) {
	h.within(w, r, rules.KindSynonyms, func(kind string) { h.records(w, r, "synonyms", kind) })
}

func (h *Handler) getSynonym(w http.ResponseWriter, r *request) {
	h.within(w, r, rules.KindSynonyms, func(kind string) { h.record(w, kind, r.parts[3], errNotFound) })
}

func (h *Handler) putSynonym(w http.ResponseWriter, r *request) {
	name := r.parts[3]
	h.within(w, r, rules.KindSynonyms, func(kind string) {
		h.stored(w, r, kind, name, "id", func(body []byte) (any, error) { return rules.ParseSynonym(name, body) })
	})
}

func (h *Handler) deleteSynonym(w http.ResponseWriter, r *request) {
	h.within(w, r, rules.KindSynonyms, func(kind string) { h.removed(w, kind, r.parts[3], "id", missing("Could not find that `id`.")) })
}

func (h *Handler) listOverrides(w http.ResponseWriter, r *request) {
	h.within(w, r, rules.KindOverrides, func(kind string) { h.records(w, r, "overrides", kind) })
}

func (h *Handler) getOverride(w http.ResponseWriter, r *request) {
	h.within(w, r, rules.KindOverrides, func(kind string) { h.record(w, kind, r.parts[3], missing("override "+r.parts[3]+" not found.")) })
}

func (h *Handler) putOverride(w http.ResponseWriter, r *request) {
	name := r.parts[3]
	h.within(w, r, rules.KindOverrides, func(kind string) {
		h.stored(w, r, kind, name, "id", func(body []byte) (any, error) { return rules.ParseOverride(name, body) })
	})
}

func (h *Handler) deleteOverride(w http.ResponseWriter, r *request) {
	h.within(w, r, rules.KindOverrides, func(kind string) { h.removed(w, kind, r.parts[3], "id", missing("Could not find that `id`.")) })
}
