package api

import (
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/projection"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

func (h *Handler) listCollections(w http.ResponseWriter, r *request) {
	list, err := window(r, h.engine.Collections())
	if err != nil {
		h.fail(w, err)
		return
	}
	out := make([]json.RawMessage, 0, len(list))
	excluded := projection.New("", r.param("exclude_fields"))
	for _, c := range list {
		b, err := c.Render()
		if err == nil {
			b, err = excluded.Apply(b)
		}
		if err != nil {
			h.fail(w, err)
			return
		}
		out = append(out, b)
	}
	reply(w, http.StatusOK, out)
}

func (h *Handler) postCollection(w http.ResponseWriter, r *request) {
	body, err := h.body(w, r, h.engine.Limits().BodyBytes)
	var c *embedded.Collection
	if err == nil && r.params.Has("src_name") {
		c, err = h.clone(body, r.param("src_name"))
	} else if err == nil {
		var s *schema.Schema
		if s, err = schema.Parse(body, h.engine.Limits().Fields); err == nil {
			c, err = h.engine.Create(s)
		}
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	h.show(w, http.StatusCreated, c)
}

// clone creates a collection with the schema, the synonyms and the overrides of another one, but without its documents.
func (h *Handler) clone(body []byte, source string) (*embedded.Collection, error) {
	var head struct {
		Name string `json:"name"`
	}
	if !json.Valid(body) {
		return nil, &schema.Error{Status: http.StatusBadRequest, Text: "Bad JSON."}
	}
	if json.Unmarshal(body, &head) != nil || head.Name == "" {
		return nil, &schema.Error{Status: http.StatusBadRequest, Text: "Parameter `name` is required."}
	}
	return h.engine.Clone(source, head.Name)
}

func (h *Handler) show(w http.ResponseWriter, status int, c *embedded.Collection) {
	b, err := c.Render()
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, status, b)
}

func (h *Handler) getCollection(w http.ResponseWriter, r *request) {
	c, err := h.engine.Collection(r.parts[1])
	if err != nil {
		h.fail(w, err)
		return
	}
	h.show(w, http.StatusOK, c)
}

// patchCollection changes the schema. The response contains the requested changes, with all defaults.
func (h *Handler) patchCollection(w http.ResponseWriter, r *request) {
	c, err := h.engine.Collection(r.parts[1])
	var body []byte
	if err == nil {
		body, err = h.body(w, r, h.engine.Limits().BodyBytes)
	}
	var a *schema.Alteration
	if err == nil {
		a, err = c.Alter(body)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, a)
}

func (h *Handler) deleteCollection(w http.ResponseWriter, r *request) {
	last, err := h.engine.Drop(r.parts[1])
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, json.RawMessage(last))
}
