// Package api serves Typesense's HTTP API over an embedded engine: routes, keys, wire formats and error texts. It is based only on the
// public documentation, the published API description and recorded responses of a server.
package api

import (
	"cmp"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/analytics"
	"github.com/fountainai/fountain/impl/search/internal/embedded/keys"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/internal/admission"
)

// Options configure a Handler.
type Options struct {
	// Key reports whether a presented API key is the admin key. It must compare in constant time. The admin key may change between
	// requests, so that a new key needs no restart. With nil, only created keys are accepted.
	Key func(presented string) bool
	// Busy is the status for a search while too many others are running; 0 means 503, after which Typesense's clients retry.
	Busy int
	// CORSOrigins are the origins of browser pages that may call; "*" allows all. Without origins, no preflight is answered.
	CORSOrigins []string
	// Analytics counts queries and events for the analytics rules; see Handler.CountQueries. Without it rules and events are accepted, but
	// nothing is counted.
	Analytics bool
	// Snapshots is the directory in which /operations/snapshot creates snapshots; if it is "", the operation is refused.
	Snapshots string
}

// Handler serves the API. It implements http.Handler.
type Handler struct {
	engine *embedded.Engine
	admin  func(string) bool
	// snapshots is Options.Snapshots. snapshot is held while a snapshot is made.
	snapshots string
	snapshot  sync.Mutex
	cors      *cors
	stats     stats
	known     atomic.Pointer[knownKeys]
	gate      *admission.Gate // of searches, each of which keeps a processor busy
	groups    *admission.Gate // of multi-searches, each of which holds its answers
	bodies    *bodies
	busy      *schema.Error
	// counted is nil if nothing is counted.
	counted *analytics.Collector
	rules   atomic.Pointer[knownRules]
}

// New returns the API of an engine.
func New(e *embedded.Engine, o Options) *Handler {
	busy := &schema.Error{Status: cmp.Or(o.Busy, http.StatusServiceUnavailable), Text: "Too many searches at once."}
	h := &Handler{engine: e, admin: o.Key, cors: newCORS(o.CORSOrigins), gate: admission.New(runtime.GOMAXPROCS(0)), groups: admission.New(runtime.GOMAXPROCS(0)), busy: busy, snapshots: o.Snapshots}
	h.bodies = newBodies(e.Limits())
	if o.Analytics {
		h.counted = analytics.New(e.Clock())
	}
	if h.admin == nil {
		h.admin = func(string) bool { return false }
	}
	return h
}

// knownKeys caches the created keys, for a generation of the settings.
type knownKeys struct {
	generation uint64
	list       []keys.Key
	byDigest   map[[32]byte]keys.Key
}

func (h *Handler) health(w http.ResponseWriter) {
	if h.engine.Ready() != nil {
		reply(w, http.StatusServiceUnavailable, map[string]bool{"ok": false})
		return
	}
	if full := h.engine.Full(); full != "" {
		reply(w, http.StatusServiceUnavailable, map[string]any{"ok": false, "resource_error": full})
		return
	}
	reply(w, http.StatusOK, map[string]bool{"ok": true})
}

// version is the version of Typesense whose API this engine implements.
const version = "29.0"

func (h *Handler) debug(w http.ResponseWriter, _ *request) {
	reply(w, http.StatusOK, map[string]any{"state": 1, "version": version, "engine": engineName})
}
