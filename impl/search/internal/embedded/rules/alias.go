package rules

import "encoding/json"

// Alias is another name of a collection.
type Alias struct {
	Collection string `json:"collection_name"`
	Name       string `json:"name"`
}

// ParseAlias parses the body of PUT /aliases/{name}.
func ParseAlias(name string, body []byte) (Alias, error) {
	if !json.Valid(body) {
		return Alias{}, errJSON
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(body, &raw) != nil {
		return Alias{}, refuse("Bad request.")
	}
	a := Alias{Name: name}
	v, ok := raw["collection_name"]
	if !ok {
		return a, refuse("Parameter `collection_name` is required.")
	}
	if !rawText(v, &a.Collection) {
		return a, refuse("Bad request.")
	}
	return a, nil
}
