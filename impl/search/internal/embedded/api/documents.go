package api

import (
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/projection"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

func (h *Handler) postDocument(w http.ResponseWriter, r *request) {
	act := embedded.Create
	var err error
	if r.params.Has("action") {
		act, err = embedded.ParseAction(r.param("action"))
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	h.writeOne(w, r, http.StatusCreated, embedded.Write{Action: act})
}

func (h *Handler) patchDocument(w http.ResponseWriter, r *request) {
	h.writeOne(w, r, http.StatusOK, embedded.Write{Action: embedded.Update, ID: r.parts[3]})
}

func (h *Handler) writeOne(w http.ResponseWriter, r *request, status int, change embedded.Write) {
	c, err := h.engine.Collection(r.parts[1])
	if err != nil {
		h.fail(w, err)
		return
	}
	if change.Line, err = h.body(w, r, h.engine.Limits().DocumentBytes+1024); err != nil {
		h.fail(w, err)
		return
	}
	change.Dirty = r.param("dirty_values")
	h.report(w, status, c, change)
}

// report carries out one write and returns the document.
func (h *Handler) report(w http.ResponseWriter, status int, c *embedded.Collection, change embedded.Write) {
	results, err := c.Apply([]embedded.Write{change})
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, status, json.RawMessage(results[0].Doc))
}

func (h *Handler) getDocument(w http.ResponseWriter, r *request) {
	c, err := h.engine.Collection(r.parts[1])
	if err != nil {
		h.fail(w, err)
		return
	}
	doc, err := c.Get(r.parts[3])
	if err == nil {
		doc, err = projection.New(r.param("include_fields"), r.param("exclude_fields")).Apply(doc)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, json.RawMessage(doc))
}

func (h *Handler) deleteDocument(w http.ResponseWriter, r *request) {
	c, err := h.engine.Collection(r.parts[1])
	if err != nil {
		h.fail(w, err)
		return
	}
	if r.param("ignore_not_found") == "true" {
		if _, err := c.Get(r.parts[3]); err != nil && h.refusal(err).Status == http.StatusNotFound {
			reply(w, http.StatusOK, map[string]string{"id": r.parts[3]})
			return
		}
	}
	h.report(w, http.StatusOK, c, embedded.Write{Remove: true, ID: r.parts[3]})
}

var errFilterWanted = &schema.Error{Status: http.StatusBadRequest, Text: "Parameter `filter_by` must be provided."}

// deleteDocuments deletes by filter. An empty filter deletes nothing; only truncate empties a collection.
func (h *Handler) deleteDocuments(w http.ResponseWriter, r *request) {
	c, err := h.engine.Collection(r.parts[1])
	if err != nil {
		h.fail(w, err)
		return
	}
	truncate := r.param("truncate") == "true"
	if !truncate && !r.params.Has("filter_by") {
		h.fail(w, errFilterWanted)
		return
	}
	n := 0
	if truncate || r.param("filter_by") != "" {
		n, err = h.engine.OverFilter(r.Context(), c, r.param("filter_by"), func(id string) embedded.Write { return embedded.Write{Remove: true, ID: id} })
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]int{"num_deleted": n})
}

// patchDocuments updates by filter.
func (h *Handler) patchDocuments(w http.ResponseWriter, r *request) {
	c, err := h.engine.Collection(r.parts[1])
	if err != nil {
		h.fail(w, err)
		return
	}
	if !r.params.Has("filter_by") || r.param("filter_by") == "" {
		h.fail(w, errFilterWanted)
		return
	}
	body, err := h.body(w, r, h.engine.Limits().DocumentBytes)
	if err != nil {
		h.fail(w, err)
		return
	}
	if _, err := schema.ParseDocument(body); err != nil {
		h.fail(w, err)
		return
	}
	n, err := h.engine.OverFilter(r.Context(), c, r.param("filter_by"), func(id string) embedded.Write {
		return embedded.Write{Action: embedded.Update, ID: id, Line: body, Dirty: r.param("dirty_values")}
	})
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]int{"num_updated": n})
}

func (h *Handler) exportDocuments(w http.ResponseWriter, r *request) {
	c, err := h.engine.Collection(r.parts[1])
	if err != nil {
		h.fail(w, err)
		return
	}
	p := projection.New(r.param("include_fields"), r.param("exclude_fields"))
	var next func() ([][]byte, error)
	if r.param("filter_by") != "" {
		found, err := h.engine.Select(r.Context(), c, r.param("filter_by"))
		if err != nil {
			h.fail(w, err)
			return
		}
		next = c.PagesOf(found)
	} else {
		next = c.Pages()
	}
	w.Header().Set("Content-Type", contentText)
	for first := true; ; {
		docs, err := next()
		if err != nil || r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // the status has been sent: only a broken connection can report the error
		}
		if docs == nil {
			return
		}
		for _, doc := range docs {
			line, err := p.Apply(doc)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			if !first {
				line = append([]byte("\n"), line...)
			}
			first = false
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}
}
