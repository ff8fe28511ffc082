package embedded

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// request is a request on its way: the parts of its path without the leading slash, decoded.
type request struct {
	*http.Request
	parts  []string
	params url.Values
}

// param returns a parameter of the URL; of several the last counts.
func (r *request) param(name string) string {
	list := r.params[name]
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

type handler func(e *Engine, w http.ResponseWriter, r *request)

// route is one operation. A part "*" stands for any name.
type route struct {
	method, path string
	handle       handler
}

var routes = []route{
	{"GET", "debug", (*Engine).debug},
	{"GET", "collections", (*Engine).listCollections},
	{"POST", "collections", (*Engine).postCollection},
	{"GET", "collections/*", (*Engine).getCollection},
	{"DELETE", "collections/*", (*Engine).deleteCollection},
	{"POST", "collections/*/documents", (*Engine).postDocument},
	{"PATCH", "collections/*/documents", (*Engine).patchDocuments},
	{"DELETE", "collections/*/documents", (*Engine).deleteDocuments},
	{"POST", "collections/*/documents/import", (*Engine).importDocuments},
	{"GET", "collections/*/documents/export", (*Engine).exportDocuments},
	{"GET", "collections/*/documents/search", (*Engine).searchDocuments},
	{"GET", "collections/*/documents/*", (*Engine).getDocument},
	{"PATCH", "collections/*/documents/*", (*Engine).patchDocument},
	{"DELETE", "collections/*/documents/*", (*Engine).deleteDocument},
	{"POST", "multi_search", (*Engine).multiSearch},
}

// unsupportedRoutes are Typesense's operations that this engine refuses by name.
var unsupportedRoutes = []struct{ method, path string }{
	{"PATCH", "collections/*"},
	{"*", "collections/*/synonyms"}, {"*", "collections/*/synonyms/*"},
	{"*", "collections/*/overrides"}, {"*", "collections/*/overrides/*"},
	{"GET", "aliases"}, {"*", "aliases/*"}, {"GET", "keys"}, {"POST", "keys"}, {"*", "keys/*"},
	{"GET", "presets"}, {"*", "presets/*"}, {"GET", "stopwords"}, {"*", "stopwords/*"},
	{"*", "synonym_sets"}, {"*", "synonym_sets/*"}, {"*", "synonym_sets/*/items"}, {"*", "synonym_sets/*/items/*"},
	{"*", "curation_sets"}, {"*", "curation_sets/*"}, {"*", "curation_sets/*/items"}, {"*", "curation_sets/*/items/*"},
	{"*", "stemming/*"}, {"*", "stemming/*/*"}, {"*", "analytics/*"}, {"*", "analytics/*/*"},
	{"*", "conversations/*"}, {"*", "conversations/*/*"}, {"*", "nl_search_models"}, {"*", "nl_search_models/*"},
	{"*", "personalization/*"}, {"*", "personalization/*/*"},
	{"*", "operations/*"}, {"*", "operations/*/*"}, {"POST", "config"}, {"GET", "metrics.json"}, {"GET", "stats.json"},
	{"*", "limits"}, {"*", "limits/*"},
}

// ServeHTTP implements http.Handler.
func (e *Engine) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	w.Header().Set(EngineHeader, engineName)
	r := &request{Request: hr}
	var err error
	if r.parts, err = split(hr.URL); err != nil {
		e.fail(w, errNotFound)
		return
	}
	if len(r.parts) == 1 && r.parts[0] == "health" {
		e.health(w)
		return
	}
	if r.params, err = url.ParseQuery(strings.ReplaceAll(hr.URL.RawQuery, ";", "%3B")); err != nil {
		e.fail(w, &schema.Error{Status: http.StatusBadRequest, Text: "Bad request."})
		return
	}
	handle := find(hr.Method, r.parts)
	switch {
	case handle == nil:
		e.fail(w, errNotFound)
	case !e.authorized(r):
		e.fail(w, errKey)
	case e.Ready() != nil:
		e.fail(w, errLoading)
	default:
		handle(e, w, r)
	}
}

// split cuts the path into decoded parts.
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

func find(method string, parts []string) handler {
	for _, r := range routes {
		if r.method == method && fits(r.path, parts) {
			return r.handle
		}
	}
	for _, r := range unsupportedRoutes {
		if (r.method == method || r.method == "*") && fits(r.path, parts) {
			name := method + " /" + strings.ReplaceAll(r.path, "*", "{name}")
			return func(e *Engine, w http.ResponseWriter, _ *request) { e.fail(w, schema.Unsupported(name)) }
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

// authorized checks the API key, from the header or else the URL.
func (e *Engine) authorized(r *request) bool {
	key := r.Header.Get("X-Typesense-Api-Key")
	if key == "" {
		key = r.param("x-typesense-api-key")
	}
	return key != "" && e.key(key)
}

func (e *Engine) health(w http.ResponseWriter) {
	if e.Ready() != nil {
		reply(w, http.StatusServiceUnavailable, map[string]bool{"ok": false})
		return
	}
	if e.store.DiskFull() {
		reply(w, http.StatusServiceUnavailable, map[string]any{"ok": false, "resource_error": "OUT_OF_DISK"})
		return
	}
	reply(w, http.StatusOK, map[string]bool{"ok": true})
}

// version is the version of Typesense whose API this engine speaks.
const version = "29.0"

func (e *Engine) debug(w http.ResponseWriter, _ *request) {
	reply(w, http.StatusOK, map[string]any{"state": 1, "version": version, "engine": engineName})
}

// body reads a bounded body.
func (e *Engine) body(w http.ResponseWriter, r *request, limit int64) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, tooLarge("a request", limit)
	}
	if err != nil {
		return nil, &schema.Error{Status: http.StatusBadRequest, Text: "The body can't be read."}
	}
	return b, nil
}
