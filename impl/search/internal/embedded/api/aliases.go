package api

import (
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

func (h *Handler) listAliases(w http.ResponseWriter, r *request) {
	h.records(w, r, "aliases", rules.KindAliases)
}

func (h *Handler) getAlias(w http.ResponseWriter, r *request) {
	h.record(w, rules.KindAliases, r.parts[1], missing("Collection not found"))
}

func (h *Handler) putAlias(w http.ResponseWriter, r *request) {
	name := r.parts[1]
	h.stored(w, r, rules.KindAliases, name, "name", func(body []byte) (any, error) {
		a, err := rules.ParseAlias(name, body)
		if err == nil && h.engine.Exists(name) {
			err = &schema.Error{Status: http.StatusInternalServerError, Text: "Name `" + name + "` conflicts with an existing collection name."}
		}
		return a, err
	})
}

// deleteAlias deletes only the alias, not the collection.
func (h *Handler) deleteAlias(w http.ResponseWriter, r *request) {
	body, ok := h.engine.Settings().Get(rules.KindAliases, r.parts[1])
	err := missing("Collection not found")
	if ok {
		err = h.remove(rules.KindAliases, r.parts[1], err)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, http.StatusOK, body)
}

func (h *Handler) listRules(w http.ResponseWriter, r *request) {
	h.records(w, r, "rules", rules.KindAnalytics)
}

func noRule() error { return missing("Rule not found.") }

func (h *Handler) getRule(w http.ResponseWriter, r *request) {
	h.record(w, rules.KindAnalytics, r.parts[2], noRule())
}

func (h *Handler) postRule(w http.ResponseWriter, r *request) {
	h.keepRule(w, r, "", http.StatusCreated)
}

func (h *Handler) putRule(w http.ResponseWriter, r *request) {
	h.keepRule(w, r, r.parts[2], http.StatusOK)
}

// keepRule stores an analytics rule and returns the request body. With POST (an empty name), a name that is already taken is refused.
func (h *Handler) keepRule(w http.ResponseWriter, r *request, name string, status int) {
	body, err := h.body(w, r, settings.MaxRecordBytes)
	if err != nil {
		h.fail(w, err)
		return
	}
	rule, err := rules.ParseAnalytics(name, body)
	if _, taken := h.engine.Settings().Get(rules.KindAnalytics, rule.Name); err == nil && taken && name == "" {
		err = &schema.Error{Status: http.StatusBadRequest, Text: "There's already another configuration with the name `" + rule.Name + "`."}
	}
	if err == nil {
		err = h.put(rules.KindAnalytics, rule.Name, rule)
	}
	var answer json.RawMessage
	if err == nil {
		answer, err = echo(body, "name", rule.Name)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	reply(w, status, answer)
}

func (h *Handler) deleteRule(w http.ResponseWriter, r *request) {
	h.removed(w, rules.KindAnalytics, r.parts[2], "name", noRule())
}
