package api

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/keys"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// request is a request with the decoded parts of its path.
type request struct {
	*http.Request
	bound  *boundBody
	parts  []string
	params url.Values
	scope  keys.Scope // of a scoped key; without Params there is none
	key    keys.Key   // the created key of the request; without a value it is the admin key
}

// param returns a parameter of the URL. If it occurs several times, the last one is used.
func (r *request) param(name string) string {
	list := r.params[name]
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

type handle func(h *Handler, w http.ResponseWriter, r *request)

// route is one operation. A part "*" matches any name. action is the documented name of the permission that a key needs. The collection is
// the part after "collections".
type route struct {
	method, path, action string
	handle               handle
}

const (
	// search is the action of multi_search, for which keys are checked for each search.
	search       = keys.SearchAction
	importAction = "documents:import"
)

var routes = slices.Concat([]route{
	{"GET", "debug", "debug:list", (*Handler).debug},
	{"GET", "stats.json", "stats.json:list", (*Handler).showStats},
	{"GET", "metrics.json", "metrics.json:list", (*Handler).metrics},
	{"GET", "collections", "collections:list", (*Handler).listCollections},
	{"POST", "collections", "collections:create", (*Handler).postCollection},
	{"GET", "collections/*", "collections:get", (*Handler).getCollection},
	{"PATCH", "collections/*", "collections:update", (*Handler).patchCollection},
	{"DELETE", "collections/*", "collections:delete", (*Handler).deleteCollection},
	{"POST", "collections/*/documents", "documents:create", (*Handler).postDocument},
	{"PATCH", "collections/*/documents", "documents:update", (*Handler).patchDocuments},
	{"DELETE", "collections/*/documents", "documents:delete", (*Handler).deleteDocuments},
	{"POST", "collections/*/documents/import", importAction, (*Handler).importDocuments},
	{"GET", "collections/*/documents/export", "documents:export", (*Handler).exportDocuments},
	{"GET", "collections/*/documents/search", search, (*Handler).searchDocuments},
	{"GET", "collections/*/documents/*", "documents:get", (*Handler).getDocument},
	{"PATCH", "collections/*/documents/*", "documents:update", (*Handler).patchDocument},
	{"DELETE", "collections/*/documents/*", "documents:delete", (*Handler).deleteDocument},
	{"POST", "multi_search", search, (*Handler).multiSearch},
	{"GET", "aliases", "aliases:list", (*Handler).listAliases},
	{"GET", "aliases/*", "aliases:get", (*Handler).getAlias},
	{"PUT", "aliases/*", "aliases:create", (*Handler).putAlias},
	{"DELETE", "aliases/*", "aliases:delete", (*Handler).deleteAlias},
	{"GET", "keys", "keys:list", (*Handler).listKeys},
	{"POST", "keys", "keys:create", (*Handler).postKey},
	{"GET", "keys/*", "keys:get", (*Handler).getKey},
	{"DELETE", "keys/*", "keys:delete", (*Handler).deleteKey},
	{"GET", "presets", "presets:list", (*Handler).listPresets},
	{"GET", "presets/*", "presets:get", (*Handler).getPreset},
	{"PUT", "presets/*", "presets:create", (*Handler).putPreset},
	{"DELETE", "presets/*", "presets:delete", (*Handler).deletePreset},
	{"GET", "stopwords", "stopwords:list", (*Handler).listStopwords},
	{"GET", "stopwords/*", "stopwords:get", (*Handler).getStopwords},
	{"PUT", "stopwords/*", "stopwords:create", (*Handler).putStopwords},
	{"DELETE", "stopwords/*", "stopwords:delete", (*Handler).deleteStopwords},
	{"GET", "stemming/dictionaries", "stemming/dictionaries:list", (*Handler).listDictionaries},
	{"POST", "stemming/dictionaries/import", "stemming/dictionaries:create", (*Handler).importDictionary},
	{"GET", "stemming/dictionaries/*", "stemming/dictionaries:get", (*Handler).getDictionary},
	{"DELETE", "stemming/dictionaries/*", "stemming/dictionaries:delete", (*Handler).deleteDictionary},
	{"GET", "collections/*/synonyms", "synonyms:list", (*Handler).listSynonyms},
	{"GET", "collections/*/synonyms/*", "synonyms:get", (*Handler).getSynonym},
	{"PUT", "collections/*/synonyms/*", "synonyms:create", (*Handler).putSynonym},
	{"DELETE", "collections/*/synonyms/*", "synonyms:delete", (*Handler).deleteSynonym},
	{"GET", "collections/*/overrides", "overrides:list", (*Handler).listOverrides},
	{"GET", "collections/*/overrides/*", "overrides:get", (*Handler).getOverride},
	{"PUT", "collections/*/overrides/*", "overrides:create", (*Handler).putOverride},
	{"DELETE", "collections/*/overrides/*", "overrides:delete", (*Handler).deleteOverride},
	{"GET", "analytics/rules", "analytics/rules:list", (*Handler).listRules},
	{"POST", "analytics/rules", "analytics/rules:create", (*Handler).postRule},
	{"GET", "analytics/rules/*", "analytics/rules:get", (*Handler).getRule},
	{"PUT", "analytics/rules/*", "analytics/rules:create", (*Handler).putRule},
	{"DELETE", "analytics/rules/*", "analytics/rules:delete", (*Handler).deleteRule},
	{"POST", "analytics/events", "analytics/events:create", (*Handler).postEvent},
	{"GET", "operations/schema_changes", "operations:list", (*Handler).schemaChanges},
	{"POST", "operations/snapshot", "operations:create", (*Handler).makeSnapshot},
	{"POST", "operations/vote", "operations:create", (*Handler).vote},
	{"POST", "operations/cache/clear", "operations:create", (*Handler).done},
	{"POST", "operations/db/compact", "operations:create", (*Handler).done},
	{"POST", "config", "config:create", (*Handler).configured},
	// Resources that don't exist here are listed as empty; their creation is refused by name.
	{"GET", "conversations/models", "conversations/models:list", (*Handler).none},
	{"GET", "nl_search_models", "nl_search_models:list", (*Handler).none},
	{"GET", "limits", "limits:list", (*Handler).none},
	{"GET", "limits/active", "limits:list", (*Handler).none},
	{"GET", "limits/exceeds", "limits:list", (*Handler).none},
}, synonymSets.routes(), curationSets.routes())

// unsupportedRoutes are Typesense's operations that this engine refuses by name.
var unsupportedRoutes = []struct{ method, path string }{
	{"*", "analytics/*"}, {"*", "analytics/*/*"},
	{"POST", "conversations/models"}, {"*", "conversations/models/*"}, {"POST", "nl_search_models"}, {"*", "nl_search_models/*"},
	{"*", "personalization/*"}, {"*", "personalization/*/*"},
	{"POST", "limits"}, {"*", "limits/*"},
}

// Unsupported lists what the engine refuses of Typesense: operations, with * for every method, and flags of fields.
func Unsupported() []string {
	var names []string
	for _, r := range unsupportedRoutes {
		names = append(names, r.method+" /"+strings.ReplaceAll(r.path, "/*", "/{name}"))
	}
	return append(names, schema.UnsupportedFlags()...)
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	w.Header().Set(EngineHeader, engineName)
	if h.cors != nil && h.cors.answered(w, hr) {
		return
	}
	r := &request{Request: hr}
	var err error
	if r.parts, err = split(hr.URL); err != nil {
		h.fail(w, errNotFound)
		return
	}
	if len(r.parts) == 1 && r.parts[0] == "health" {
		h.health(w)
		return
	}
	if r.params, err = url.ParseQuery(literal(hr.URL.RawQuery)); err != nil {
		h.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: "Bad request."})
		return
	}
	found := find(hr.Method, r.parts)
	switch {
	case found == nil:
		h.fail(w, errNotFound)
	case h.engine.Ready() != nil:
		h.fail(w, errLoading)
	case !h.authorized(r, found):
		h.fail(w, errKey)
	default:
		r.bound = h.bodies.bound(hr, found)
		defer r.bound.leave()
		defer h.stats.begin(found.kind())()
		found.handle(h, w, r)
	}
}

// literal escapes characters that would otherwise have a meaning in a query string: semicolons don't separate parameters, and two
// ampersands are the && of a filter that was not escaped. An ampersand at the end is ignored.
func literal(query string) string {
	query = strings.TrimSuffix(query, "&")
	query = strings.NewReplacer(";", "%3B", "&&", "%26%26").Replace(query)
	if before, ok := strings.CutSuffix(query, "&"); ok {
		return before + "%26"
	}
	return query
}

// split splits the path into decoded parts.
func split(u *url.URL) ([]string, error) {
	parts := strings.Split(strings.Trim(u.EscapedPath(), "/"), "/")
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil || parts[i] == "" {
			return nil, errors.New("bad path")
		}
	}
	return parts, nil
}

func find(method string, parts []string) *route {
	for i := range routes {
		if routes[i].method == method && fits(routes[i].path, parts) {
			return &routes[i]
		}
	}
	for _, r := range unsupportedRoutes {
		if (r.method == method || r.method == "*") && fits(r.path, parts) {
			name := method + " /" + strings.ReplaceAll(r.path, "*", "{name}")
			refuse := func(h *Handler, w http.ResponseWriter, _ *request) { h.fail(w, schema.Unsupported(name)) }
			return &route{method: method, path: r.path, action: parts[0] + ":" + strings.ToLower(method), handle: refuse}
		}
	}
	return nil
}

func fits(path string, parts []string) bool {
	n := 0
	for want := range strings.SplitSeq(path, "/") {
		if n >= len(parts) || want != "*" && want != parts[n] {
			return false
		}
		n++
	}
	return n == len(parts)
}

// body reads a body of limited size.
func (h *Handler) body(w http.ResponseWriter, r *request, limit int64) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, io.NopCloser(r.bound), limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge(limit)
	case errors.Is(err, errBodies):
		w.Header().Set("Retry-After", "1")
		return nil, err
	case err != nil:
		return nil, &schema.Error{Status: http.StatusBadRequest, Text: "The body can't be read."}
	}
	return b, nil
}
