// Package rules implements what changes a search before it is carried out: synonyms, curation (overrides), stopwords and presets. They are
// strictly validated when they are stored, and applied to the words of a query.
package rules

import (
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// The kinds under which the settings store them. Synonyms and overrides belong to a collection (see settings.Kind).
const (
	KindSynonyms  = "synonyms"
	KindOverrides = "overrides"
	KindStopwords = "stopwords"
	KindPresets   = "presets"
	KindAliases   = "aliases"
	KindAnalytics = "analytics"
)

func refuse(text string) error { return &schema.Error{Status: http.StatusBadRequest, Text: text} }

var errJSON = refuse("Bad JSON.")

// object parses a JSON object.
func object(body []byte) (map[string]json.RawMessage, error) {
	var raw map[string]json.RawMessage
	if !json.Valid(body) {
		return nil, errJSON
	}
	if json.Unmarshal(body, &raw) != nil || raw == nil {
		return nil, refuse("Bad request.")
	}
	return raw, nil
}

// rawText decodes a value that must be a string.
func rawText(raw json.RawMessage, into *string) bool {
	return len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, into) == nil
}
