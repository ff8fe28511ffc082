package embedded

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

func (e *Engine) listCollections(w http.ResponseWriter, r *request) {
	list := e.sorted()
	limit, offset := len(list), 0
	for name, into := range map[string]*int{"Limit": &limit, "Offset": &offset} {
		v := r.param(map[string]string{"Limit": "limit", "Offset": "offset"}[name])
		if v == "" {
			continue
		}
		n, err := strconv.ParseUint(v, 10, 31)
		if err != nil {
			e.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: name + " param should be unsigned integer."})
			return
		}
		*into = int(n)
	}
	if offset > 0 && offset >= len(list) {
		e.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: "Invalid offset param."})
		return
	}
	list = list[offset:]
	list = list[:min(limit, len(list))]
	out := make([]json.RawMessage, 0, len(list))
	excluded := newProjection("", r.param("exclude_fields"))
	for _, c := range list {
		b, err := c.render()
		if err == nil {
			b, err = excluded.apply(b)
		}
		if err != nil {
			e.fail(w, err)
			return
		}
		out = append(out, b)
	}
	reply(w, http.StatusOK, out)
}

func (e *Engine) postCollection(w http.ResponseWriter, r *request) {
	if r.params.Has("src_name") {
		e.fail(w, schema.Unsupported("src_name"))
		return
	}
	body, err := e.body(w, r, e.limits.BodyBytes)
	if err != nil {
		e.fail(w, err)
		return
	}
	s, err := schema.Parse(body, e.limits.Fields)
	if err != nil {
		e.fail(w, err)
		return
	}
	c, err := e.createCollection(s)
	if err != nil {
		e.fail(w, err)
		return
	}
	e.show(w, http.StatusCreated, c)
}

func (e *Engine) show(w http.ResponseWriter, status int, c *collection) {
	b, err := c.render()
	if err != nil {
		e.fail(w, err)
		return
	}
	reply(w, status, b)
}

func (e *Engine) getCollection(w http.ResponseWriter, r *request) {
	c, err := e.collection(r.parts[1])
	if err != nil {
		e.fail(w, err)
		return
	}
	e.show(w, http.StatusOK, c)
}

func (e *Engine) deleteCollection(w http.ResponseWriter, r *request) {
	last, err := e.dropCollection(r.parts[1])
	if err != nil {
		e.fail(w, err)
		return
	}
	reply(w, http.StatusOK, json.RawMessage(last))
}
