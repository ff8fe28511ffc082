package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// knownRules caches what the analytics rules count, for a generation of the settings.
type knownRules struct {
	generation uint64
	list       []rules.Counting
}

// countings returns what the analytics rules count.
func (h *Handler) countings() []rules.Counting {
	store := h.engine.Settings()
	generation := store.Generation()
	if known := h.rules.Load(); known != nil && known.generation == generation {
		return known.list
	}
	known := &knownRules{generation, rules.Countings(store.List(rules.KindAnalytics))}
	h.rules.Store(known)
	return known.list
}

// asked counts a search for the rules of its collection. The rules may name the collection by an alias.
func (h *Handler) asked(r *request, answer interface {
	Asked() (collection, q string, found, counts bool)
}) {
	if h.counted == nil {
		return
	}
	collection, q, found, counts := answer.Asked()
	if !counts {
		return
	}
	var names []string
	source := false
	for _, c := range h.countings() {
		if c.Type == "counter" || !c.Automatic || !slices.ContainsFunc(c.Collections, func(name string) bool { return h.means(name, collection) }) {
			continue
		}
		if source = true; found == (c.Type == "popular_queries") {
			names = append(names, c.Name)
		}
	}
	if source {
		h.counted.Typed(who(r), collection, normalized(q), names)
	}
}

// normalized returns the form in which a query is counted: case and white space are ignored.
func normalized(q string) string { return strings.ToLower(strings.Join(strings.Fields(q), " ")) }

// means reports whether a name is that of the collection or of an alias of it.
func (h *Handler) means(name, collection string) bool {
	if name == collection {
		return true
	}
	c, err := h.engine.Collection(name)
	return err == nil && c.Name() == collection
}

// who returns the user named in a request, or else the address from which it came.
func who(r *request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return cmp.Or(r.Header.Get("X-Typesense-User-Id"), r.param("x-typesense-user-id"), host)
}

// postEvent accepts an event that a rule names, and counts it if analytics are enabled.
func (h *Handler) postEvent(w http.ResponseWriter, r *request) {
	body, err := h.body(w, r, settings.MaxRecordBytes)
	if err == nil {
		err = rules.CheckEvent(body, h.engine.Settings().List(rules.KindAnalytics))
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	h.happened(body)
	reply(w, http.StatusCreated, map[string]bool{"ok": true})
}

// happened counts an event for the rules that name it: a query, or a weight for a document.
func (h *Handler) happened(body []byte) {
	var event struct {
		Type, Name string
		Data       struct {
			Q          string
			DocumentID string `json:"doc_id"`
		}
	}
	if h.counted == nil || json.Unmarshal(body, &event) != nil {
		return
	}
	for _, c := range h.countings() {
		for _, counted := range c.Events {
			switch {
			case counted.Name != event.Name || counted.Type != event.Type:
			case c.Type == "counter":
				h.counted.Event(c.Name, event.Data.DocumentID, int64(counted.Weight))
			case event.Type == "search":
				h.counted.Counted(normalized(event.Data.Q), []string{c.Name})
			}
		}
	}
}

// CountQueries writes the counts to the collections of the rules at each interval, and once more when ctx ends. It does nothing without
// Options.Analytics.
func (h *Handler) CountQueries(ctx context.Context, interval time.Duration) {
	if h.counted == nil {
		return
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.flushCounts(ctx)
		case <-ctx.Done():
			h.flushCounts(context.WithoutCancel(ctx))
			return
		}
	}
}

// flushCounts writes the counts. If the collection of a rule can't be written, its counts are lost, which is logged. They are not kept,
// because they could grow without limit.
func (h *Handler) flushCounts(ctx context.Context) {
	queries, documents, lost := h.counted.Take()
	if lost > 0 {
		h.engine.Log().Warn("embedded engine: more queries than the limit; the rest are not counted", "left_out", lost)
	}
	for _, c := range h.countings() {
		var err error
		if counts := queries[c.Name]; len(counts) > 0 && c.Type != "counter" {
			err = h.engine.AddQueries(ctx, c.Destination, counts, c.Limit)
		}
		if counts := documents[c.Name]; len(counts) > 0 && c.Type == "counter" {
			err = h.engine.AddToField(c.Destination, c.Field, counts)
		}
		if err != nil {
			h.engine.Log().Warn("embedded engine: counts of a rule of analytics can't be written", "rule", c.Name, "collection", c.Destination, "error", err)
		}
	}
}
