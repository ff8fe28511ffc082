package rules

import "encoding/json"

// The kinds of sets that Typesense 30 has instead of rules per collection. Any collection may use them.
const (
	KindSynonymSets  = "synonym_sets"
	KindCurationSets = "curation_sets"
)

// Set is a named list of synonyms or overrides.
type Set[T any] struct {
	Items []T    `json:"items"`
	Name  string `json:"name"`
}

// ParseSet parses the body of PUT /synonym_sets/{name} or /curation_sets/{name}. item parses one of its items.
func ParseSet[T any](name string, body []byte, item func(id string, body []byte) (T, error)) (Set[T], error) {
	s := Set[T]{Name: name, Items: []T{}}
	raw, err := object(body)
	if err != nil {
		return s, err
	}
	var items []json.RawMessage
	if json.Unmarshal(raw["items"], &items) != nil {
		return s, refuse("Could not find an array of `items`.")
	}
	for _, body := range items {
		var head struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(body, &head) != nil || head.ID == "" {
			return s, refuse("Each item must have an `id`.")
		}
		one, err := item(head.ID, body)
		if err != nil {
			return s, err
		}
		s.Items = append(s.Items, one)
	}
	return s, nil
}
