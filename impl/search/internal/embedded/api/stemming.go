package api

import (
	"bytes"
	"net/http"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

func (h *Handler) listDictionaries(w http.ResponseWriter, _ *request) {
	names := []string{}
	for _, r := range h.engine.Settings().List(settings.KindStemming) {
		names = append(names, r.Name)
	}
	reply(w, http.StatusOK, map[string]any{"dictionaries": names})
}

func (h *Handler) getDictionary(w http.ResponseWriter, r *request) {
	h.record(w, settings.KindStemming, r.parts[2], embedded.ErrNoDictionary)
}

// importDictionary reads JSON lines and responds with them, as in the published API description. If a line is invalid, nothing is stored.
func (h *Handler) importDictionary(w http.ResponseWriter, r *request) {
	body, err := h.body(w, r, settings.MaxLargeBytes)
	var s rules.Stemming
	if err == nil {
		s, err = rules.ParseStemming(r.param("id"), body)
	}
	if err == nil {
		err = h.engine.PutDictionary(s)
	}
	lines := make([][]byte, len(s.Words))
	for i := 0; err == nil && i < len(lines); i++ {
		lines[i], err = encode(s.Words[i])
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(bytes.Join(lines, []byte("\n")))
}

func (h *Handler) deleteDictionary(w http.ResponseWriter, r *request) {
	name := r.parts[2]
	if err := h.engine.DropDictionary(name); err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"id": name})
}
