package rules

import (
	"encoding/json"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Stopwords is a set of words that a search may leave out.
type Stopwords struct {
	ID     string   `json:"id"`
	Locale string   `json:"locale,omitempty"`
	Words  []string `json:"stopwords"`
}

// ParseStopwords parses the body of PUT /stopwords/{id}. Each item is split into normalised words, as texts are.
func ParseStopwords(id string, body []byte) (Stopwords, error) {
	raw, err := object(body)
	if err != nil {
		return Stopwords{}, err
	}
	s := Stopwords{ID: id, Words: []string{}}
	list, ok := raw["stopwords"]
	if !ok {
		return s, refuse("Parameter `stopwords` is required")
	}
	var items []string
	if json.Unmarshal(list, &items) != nil || len(items) == 0 {
		return s, refuse("Parameter `stopwords` is required as string array value")
	}
	if v, ok := raw["locale"]; ok && !rawText(v, &s.Locale) {
		return s, refuse("Parameter `locale` is required as string value")
	}
	a, seen := text.New(nil, nil), map[string]bool{}
	for _, item := range items {
		for _, w := range a.Words(item) {
			if !seen[w] {
				s.Words, seen[w] = append(s.Words, w), true
			}
		}
	}
	s.Words = schema.SetOrder(s.Words)
	return s, nil
}

// Without returns the words that are not stopwords.
func (s Stopwords) Without(words []string) []string {
	drop := make(map[string]bool, len(s.Words))
	for _, w := range s.Words {
		drop[w] = true
	}
	out := make([]string, 0, len(words))
	for _, w := range words {
		if !drop[w] {
			out = append(out, w)
		}
	}
	return out
}
