package rules

import (
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Preset is a stored set of search parameters, or of whole searches.
type Preset struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

// ParsePreset parses the body of PUT /presets/{name}. Any value is accepted; it is validated when a search names it.
func ParsePreset(name string, body []byte) (Preset, error) {
	raw, err := object(body)
	if err != nil {
		return Preset{}, err
	}
	v, ok := raw["value"]
	if !ok {
		return Preset{}, refuse("Missing `value` field.")
	}
	return Preset{name, v}, nil
}

// Params returns the parameters of a preset for a single search.
func (p Preset) Params() (map[string]json.RawMessage, error) {
	var params map[string]json.RawMessage
	if json.Unmarshal(p.Value, &params) != nil || params == nil {
		return nil, &schema.Error{Status: http.StatusBadRequest, Text: "Search preset is not an object."}
	}
	return params, nil
}
