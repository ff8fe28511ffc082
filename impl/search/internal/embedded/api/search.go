package api

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

const (
	// maxSearches is Typesense's bound for the searches of one multi_search.
	maxSearches = 50
	// maxQueryBytes is its bound for q in a URL.
	maxQueryBytes = 4000
)

// admitted carries out searches when it is their turn.
func (h *Handler) admitted(w http.ResponseWriter, r *request, do func(ctx context.Context)) {
	leave, err := h.gate.Enter(r.Context())
	if err != nil {
		w.Header().Set("Retry-After", "1")
		h.fail(w, h.busy)
		return
	}
	defer leave()
	do(r.Context())
}

// fromURL returns the parameters of the URL; of several values of one the last counts.
func fromURL(r *request) map[string]string {
	out := make(map[string]string, len(r.params))
	for name := range r.params {
		out[name] = r.param(name)
	}
	return out
}

// over puts parameters over others: those of outer win, but every filter holds. Filters are kept apart and not joined as text, so that
// none can be written to get out of another.
func over(inner, outer map[string]string) map[string]string {
	out := maps.Clone(inner)
	for name, v := range outer {
		if old := out[name]; name == "filter_by" && old != "" {
			out[params.AlsoFilter+strconv.Itoa(len(out))] = v
			continue
		}
		out[name] = v
	}
	return out
}

// scoped puts what a scoped key embeds over the parameters of a search. Beside them, nothing may lead around them: a filter holds for pinned
// documents too, marks are shown of fields alone that the document is shown with, and so are values of facets and groups.
func scoped(values map[string]string, r *request) map[string]string {
	embedded := params.Flat(r.scope.Params)
	if len(embedded) == 0 {
		return values
	}
	values = maps.Clone(values)
	if embedded["filter_by"] != "" {
		embedded["filter_curated_hits"] = "true"
	}
	if embedded["include_fields"] != "" || embedded["exclude_fields"] != "" {
		values["highlight_fields"] = "" // else a preset's would count
		embedded[params.KeyIncludes], embedded[params.KeyExcludes] = embedded["include_fields"], embedded["exclude_fields"]
	}
	return over(values, embedded)
}

func (h *Handler) searchDocuments(w http.ResponseWriter, r *request) {
	if len(r.param("q")) > maxQueryBytes {
		h.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: "Query string exceeds max allowed length of 4000. Use the /multi_search end-point for larger payloads."})
		return
	}
	h.admitted(w, r, func(ctx context.Context) {
		values := fromURL(r)
		if _, ok := values["q"]; !ok { // there a preset's q does not count (reference, section 9)
			values["q"] = ""
		}
		answer, err := h.engine.Search(ctx, r.parts[1], scoped(values, r))
		if err != nil {
			h.fail(w, err)
			return
		}
		reply(w, http.StatusOK, answer)
	})
}

// asked is the body of a multi_search.
type asked struct {
	searches []map[string]string
	union    bool
}

// askedOf reads the body. A preset that is named in the URL and holds searches takes the place of those in the body.
func (h *Handler) askedOf(body []byte, r *request) (asked, error) {
	var raw struct {
		Searches []map[string]json.RawMessage `json:"searches"`
		Union    bool                         `json:"union"`
	}
	if !json.Valid(body) {
		return asked{}, &schema.Error{Status: http.StatusBadRequest, Text: "Bad JSON."}
	}
	wrong := json.Unmarshal(body, &raw) != nil
	if name := r.param("preset"); name != "" {
		if list, ok := h.engine.PresetSearches(name); ok {
			raw.Searches = list
		}
	}
	if wrong || raw.Searches == nil {
		return asked{}, &schema.Error{Status: http.StatusBadRequest, Text: "Missing `searches` array."}
	}
	a := asked{union: raw.Union}
	limit := maxSearches
	common := fromURL(r)
	all := scoped(common, r)
	if n, err := strconv.Atoi(all["limit_multi_searches"]); err == nil && n >= 0 {
		limit = min(n, maxSearches)
	}
	if len(raw.Searches) > limit {
		return a, &schema.Error{Status: http.StatusBadRequest, Text: "Number of multi searches exceeds `limit_multi_searches` parameter."}
	}
	for _, s := range raw.Searches {
		a.searches = append(a.searches, scoped(over(params.Flat(s), common), r))
	}
	return a, nil
}

// multiSearch carries out several searches; an error of one is told in its place and the whole is 200.
func (h *Handler) multiSearch(w http.ResponseWriter, r *request) {
	body, err := h.body(w, r, h.engine.Limits().BodyBytes)
	var a asked
	if err == nil {
		a, err = h.askedOf(body, r)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	names := make([]string, len(a.searches))
	for i, s := range a.searches {
		names[i] = s["collection"]
	}
	if !h.mayAll(r, names) {
		h.fail(w, errKey)
		return
	}
	h.admitted(w, r, func(ctx context.Context) {
		if a.union {
			h.union(ctx, w, scoped(fromURL(r), r), a.searches)
			return
		}
		results := make([]any, len(a.searches))
		for i, s := range a.searches {
			var answer *embedded.Answer
			answer, err := h.engine.Search(ctx, s["collection"], s)
			results[i] = answer
			if err != nil {
				results[i] = h.inPlace(err)
			}
		}
		reply(w, http.StatusOK, map[string]any{"results": results})
	})
}

// inPlace is an error inside an answer that is 200.
func (h *Handler) inPlace(err error) any {
	refused := h.refusal(err)
	return map[string]any{"code": refused.Status, "error": refused.Text}
}

func (h *Handler) union(ctx context.Context, w http.ResponseWriter, common map[string]string, searches []map[string]string) {
	if len(searches) == 0 {
		h.fail(w, &schema.Error{Status: http.StatusInternalServerError, Text: "Embedded params parsing error."})
		return
	}
	answer, err := h.engine.Union(ctx, common, searches)
	if err != nil {
		reply(w, http.StatusOK, h.inPlace(err))
		return
	}
	reply(w, http.StatusOK, answer)
}
