package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

const (
	// maxSearches is Typesense's limit for the searches of one multi_search.
	maxSearches = 50
	// maxQueryBytes is Typesense's limit for q in a URL.
	maxQueryBytes = 4000
	// maxAnswers limits the total size of the answers of one multi_search, or of a union. An answer of at most smallAnswer bytes is never
	// refused.
	maxAnswers  = 64 << 20
	smallAnswer = 4 << 10
	// fewSearches is the number of searches that are admitted without a group: a search and its count.
	fewSearches = 2
)

// errAnswers is a refusal inside a response.
var errAnswers = &schema.Error{Status: http.StatusUnprocessableEntity, Text: fmt.Sprintf("Rejecting search: the results of one multi_search are at most %d bytes together. Ask for fewer documents or fields.", maxAnswers)}

// admitted carries out a search once it is admitted.
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

// inTurns carries out n searches, each of which starts when next returns. Each search is queued by itself, so that searches of other
// requests can run in between. Only as many groups run at once as the gate admits searches, because each group holds its answers in memory.
func (h *Handler) inTurns(w http.ResponseWriter, r *request, n int, do func(ctx context.Context, next func() error)) {
	ctx := r.Context()
	enter := h.gate.Enter
	if n > fewSearches {
		leave, err := h.groups.Enter(ctx)
		if err != nil {
			w.Header().Set("Retry-After", "1")
			h.fail(w, h.busy)
			return
		}
		defer leave()
		enter = h.gate.EnterAgain // it has been admitted as a group
	}
	leave, err := enter(ctx)
	if err != nil {
		w.Header().Set("Retry-After", "1")
		h.fail(w, h.busy)
		return
	}
	defer func() { leave() }()
	begun := false
	do(ctx, func() error {
		if !begun {
			begun = true
			return nil
		}
		leave()
		leave = func() {}
		again, err := h.gate.EnterAgain(ctx)
		if err == nil {
			leave = again
		}
		return err
	})
}

// fromURL returns the parameters of the URL. If one occurs several times, the last value is used.
func fromURL(r *request) map[string]string {
	out := make(map[string]string, len(r.params))
	for name := range r.params {
		out[name] = r.param(name)
	}
	return out
}

// over merges parameters. Those of outer take precedence, but all filters apply. Filters are kept separate and not joined as text, so that
// none can be written such that it escapes another.
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

// scoped applies the parameters embedded in a scoped key to a search, and prevents ways around them: the filter applies to pinned documents
// too, and highlights, facets and groups are limited to the fields that the key shows.
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
		values["highlight_fields"] = "" // otherwise those of a preset would apply
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
		if _, ok := values["q"]; !ok { // a preset's q is ignored here (reference, section 9)
			values["q"] = ""
		}
		answer, err := h.engine.Search(ctx, r.parts[1], scoped(values, r))
		if err != nil {
			h.fail(w, err)
			return
		}
		h.asked(r, answer)
		reply(w, http.StatusOK, answer)
	})
}

// asked is the body of a multi_search.
type asked struct {
	searches []map[string]string
	union    bool
	once     bool // in a union
}

// askedOf parses the body. If the URL names a preset with searches, they replace those in the body.
func (h *Handler) askedOf(body []byte, r *request) (asked, error) {
	var raw struct {
		Searches []map[string]json.RawMessage `json:"searches"`
		Union    bool                         `json:"union"`
		Once     bool                         `json:"remove_duplicates"` // of Typesense 30, where it is the default
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
	a := asked{union: raw.Union, once: raw.Once}
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

// multiSearch carries out several searches. The error of a single search is in its place in the response, whose status is 200.
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
	h.inTurns(w, r, len(a.searches), func(ctx context.Context, next func() error) {
		if a.union {
			h.union(ctx, w, scoped(fromURL(r), r), a, next)
			return
		}
		reply(w, http.StatusOK, json.RawMessage(h.results(ctx, r, a.searches, next)))
	})
}

// results writes the results of searches. Searches whose result does not fit any more are refused.
func (h *Handler) results(ctx context.Context, r *request, searches []map[string]string, next func() error) []byte {
	out, room := []byte(`{"results":[`), maxAnswers
	for i, s := range searches {
		if i > 0 {
			out = append(out, ',')
		}
		text, err := h.result(ctx, r, s, next)
		if err == nil && len(text) > max(room, smallAnswer) {
			err = errAnswers
		}
		if err != nil {
			text, _ = encode(h.inPlace(err)) // a number and a text can always be encoded
		}
		room -= len(text)
		out = append(out, text...)
	}
	return append(out, `]}`...)
}

// result carries out one of several searches, once it is admitted.
func (h *Handler) result(ctx context.Context, r *request, s map[string]string, next func() error) ([]byte, error) {
	if err := next(); err != nil {
		return nil, err
	}
	answer, err := h.engine.Search(ctx, s["collection"], s)
	if err != nil {
		return nil, err
	}
	h.asked(r, answer)
	return encode(answer)
}

// inPlace returns an error as part of a response with status 200.
func (h *Handler) inPlace(err error) any {
	refused := h.refusal(err)
	return map[string]any{"code": refused.Status, "error": refused.Text}
}

func (h *Handler) union(ctx context.Context, w http.ResponseWriter, common map[string]string, a asked, next func() error) {
	if len(a.searches) == 0 {
		h.fail(w, &schema.Error{Status: http.StatusInternalServerError, Text: "Embedded params parsing error."})
		return
	}
	answer, err := h.engine.Union(ctx, common, a.searches, a.once, next)
	var text []byte
	if err == nil {
		text, err = encode(answer)
	}
	if len(text) > maxAnswers {
		err = errAnswers
	}
	if err != nil {
		reply(w, http.StatusOK, h.inPlace(err))
		return
	}
	reply(w, http.StatusOK, json.RawMessage(text))
}
